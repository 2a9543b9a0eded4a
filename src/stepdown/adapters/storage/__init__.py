"""The ledger on a local disk: a spool that is written first, and SQLite that is filled from it."""

from stepdown.adapters.storage.ledger import SpoolLedger, open_ledger

__all__ = ["SpoolLedger", "open_ledger"]

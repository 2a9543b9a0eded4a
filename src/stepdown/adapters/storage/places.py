"""What the files of a ledger's directory are called."""

DATABASE = "ledger.sqlite"
SPOOL = "spool"
LOCK = "fill.lock"
ROLLUP = "rollup.sqlite"

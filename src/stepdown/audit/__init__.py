"""The audit stage: what each step of a pipeline costs today, and which could step down."""

from stepdown.audit.audit import audit
from stepdown.audit.bill import AuditReport, StepBill
from stepdown.audit.contract import infer_contract, labels_of
from stepdown.audit.document import audit_document
from stepdown.audit.rules import Assumption, Rules

__all__ = [
    "Assumption",
    "AuditReport",
    "Rules",
    "StepBill",
    "audit",
    "audit_document",
    "infer_contract",
    "labels_of",
]

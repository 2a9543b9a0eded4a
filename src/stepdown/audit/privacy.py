"""The report without what must not be shown: every text in it is masked."""

from __future__ import annotations

import msgspec

from stepdown.audit.bill import AuditReport
from stepdown.core.masking import masked


def masked_report(report: AuditReport) -> AuditReport:
    """Return the report with secrets and obvious personal data masked in all of its texts."""
    plain = masked(msgspec.to_builtins(report))
    return msgspec.convert(plain, AuditReport, str_keys=True)

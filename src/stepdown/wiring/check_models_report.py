"""How `models check` shows what it found."""

from __future__ import annotations

from typing import Any

from stepdown.core.report import Column, Document, Prose, Section, Table
from stepdown.wiring.model_check import Checked

KINDS = {
    "ends": "ends",
    "gone": "not listed",
    "newer": "newer version",
    "changed": "changed",
    "promoted": "not certified",
    "prices": "old prices",
}


def document(found: Checked) -> Document:
    """Return the report: what must change first, then what was not asked."""
    columns = (Column("tier"), Column("what"), Column("must"), Column("says"), Column("source"))
    rows = tuple(
        (one.tier or "–", KINDS[one.kind], "must" if one.must else "may", one.what, one.source)
        for one in found.findings
    )
    table = Table(title="Found", columns=columns, rows=rows)
    blocks: list[Prose | Table] = [Prose(*_summary(found)), *([table] if rows else [])]
    blocks += [Prose(f"Not asked: {said}.", "warn") for said in found.not_asked]
    asked = tuple((said,) for said in found.asked)
    looked = Table(title="Looked at", columns=(Column("what"),), rows=asked)
    return Document(
        title="Models check",
        sections=(Section("What must change?", tuple(blocks)), Section("Sources", (looked,))),
    )


def _summary(found: Checked) -> tuple[str, Any]:
    must = sum(one.must for one in found.findings)
    may = len(found.findings) - must
    if must:
        return f"{must} must change, {may} may.", "bad"
    if found.not_asked:
        return f"Nothing must change as far as could be asked; {may} may.", "warn"
    return f"Nothing must change; {may} may.", "good"

"""Verdicts as JUnit XML, as CI servers read it.

There is no standard. This keeps to what Jenkins' schema allows (`junit-10.xsd` of the xunit plugin,
as of November 2026), which GitLab, GitHub reporters and Azure read too: testsuites > testsuite >
testcase, with failure, error or skipped inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from stepdown.adapters.render.printable import printable
from stepdown.core.verdict_case import VerdictCase

TAGS = {"failed": "failure", "error": "error", "skipped": "skipped"}


def junit(name: str, cases: Sequence[VerdictCase], timestamp: str) -> bytes:
    """Return the document: one suite for each task or tier, in the order of the cases."""
    root = Element("testsuites", _attributes(name, cases))
    for suite in dict.fromkeys(case.suite for case in cases):
        mine = [case for case in cases if case.suite == suite]
        skipped = sum(case.ended == "skipped" for case in mine)
        more = {"skipped": str(skipped), "timestamp": timestamp}
        element = SubElement(root, "testsuite", _attributes(suite, mine) | more)
        for case in mine:
            _add(element, name, case)
    indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, "unicode").encode() + b"\n"


def _attributes(name: str, cases: Sequence[VerdictCase]) -> dict[str, str]:
    return {
        "name": printable(name),
        "tests": str(len(cases)),
        "failures": str(sum(case.ended == "failed" for case in cases)),
        "errors": str(sum(case.ended == "error" for case in cases)),
        "time": f"{sum(case.seconds or 0.0 for case in cases):.3f}",
    }


def _add(suite: Element, name: str, case: VerdictCase) -> None:
    where = f"{name}.{case.suite}".replace(" ", "_")
    attributes = {"name": printable(case.name), "classname": printable(where)}
    if case.seconds is not None:
        attributes["time"] = f"{case.seconds:.3f}"
    element = SubElement(suite, "testcase", attributes)
    if case.ended in TAGS:
        told = {"message": printable(case.message), "type": case.ended}
        inside = SubElement(element, TAGS[case.ended], told)
        inside.text = printable(case.detail or case.message)
    elif case.message or case.detail:
        SubElement(element, "system-out").text = printable(case.detail or case.message)

"""`stepdown explain`: every attempt of one request, with its evidence."""

from __future__ import annotations

from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import open_workspace, session


def explain(
    request_id: Annotated[str, typer.Argument(help="The id: header x-request-id of an answer.")],
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Why was this request answered by that tier? Attempts, signals, thresholds, reasons, cost."""
    with session("explain", json=json) as talk:
        from stepdown.errors import DataError
        from stepdown.wiring.explaining import document

        workspace = open_workspace(talk, project)
        with workspace.kept_ledger() as ledger:
            ledger.flush()
            trace = ledger.trace(request_id)
            beside = ledger.about(request_id)
        if trace is None:
            raise DataError(
                f"The ledger holds no request {request_id!r}.",
                "The id is in the header x-request-id of every answer.",
            )
        talk.finish({"trace": trace, "beside": beside}, document(trace, beside))

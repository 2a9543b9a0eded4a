"""The shape of `stepdown.toml`, key by key. What a key means is said beside it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from stepdown.core.bought import Bought
from stepdown.core.compare import Compare
from stepdown.core.contract import Contract, Prompt
from stepdown.core.judge import Judge
from stepdown.core.keeping import Store
from stepdown.core.limits import Limits
from stepdown.core.task import POLISH_BELOW, Finish, Place, Promise, TaskKind

Amount = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Chance = Annotated[float, Meta(gt=0, lt=0.5)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class DataKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """[data]: the labelled rows (JSONL, CSV or Parquet) that eval, train and certify use.

    `pool` is a file of rows that nobody has labelled, for `stepdown label`. `segment` is a column
    that says which kind of message a row is, known before any call (callers send it in metadata).
    `history`, `tools` and `images` are columns with the messages before a text, the functions that
    it may call, and images beside it (data URLs, or files in the folder of `path`). `trajectory` is
    a column with all messages of an agent's run; each step of the assistant is then a row.
    """

    path: str
    pool: str | None = None
    id: str = "id"
    input: str = "text"
    group: str | None = None
    segment: str | None = None
    history: str | None = None
    tools: str | None = None
    images: str | None = None
    max_image_mb: Positive = 5.0
    trajectory: str | None = None
    shares: dict[str, float] = msgspec.field(
        default_factory=lambda: {"train": 0.5, "tune": 0.15, "certify": 0.35}
    )


class PriceKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """price = { ... }: what a tier costs you; tokens in US dollars a million."""

    usd_per_hour: Amount | None = None
    input_usd_per_mtok: Amount | None = None
    output_usd_per_mtok: Amount | None = None
    cached_usd_per_mtok: Amount | None = None
    cache_write_usd_per_mtok: Amount | None = None
    source: str = "stepdown.toml"


class TierKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """[tiers.NAME]: whatever can answer. `priced_as` is PROVIDER/MODEL of the price list.

    `place` says where the data go. Without it: embedded; for a hosted wire self_hosted when it has
    a `base_url` of its own, else vendor. `recording` says what the answers of a recorded tier are;
    every table that shows the tier repeats it. `dimensions` is the length of the vectors that an
    embed task asks an `openai:` tier for; `vision = false` says that a hosted tier sees no images.
    """

    model: str
    place: Place | None = None
    price: PriceKeys | None = None
    priced_as: str | None = None
    recording: str = "recorded answers"
    timeout_s: Positive = 60.0
    base_url: str | None = None
    api_key_env: str | None = None
    api_key_file: str | None = None
    api_version: str | None = None
    region: str | None = None
    limits: Limits = Limits()
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    vision: bool | None = None


class TaskKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """[tasks.NAME]: one step's job; `tiers` from the weakest to the ceiling.

    `references` is a file whose rows (joined by id) are the references of this task, and limit it
    to those rows. `inputs` is FILE:FIELD that replaces the input text (joined by id). `signals`
    names the signals that may be bought. `schema` and `tools` are written here or name a JSON
    file. `scorer` is a name, or a table with it and what it is told. Without `finish`, drafts and
    summaries that customers see are polished when unsure, others never; `polish_below` is
    declared, not measured.
    """

    kind: TaskKind
    tiers: list[str]
    reference: str = ""
    reference_is: Literal["gold", "ceiling"] = "gold"
    labels: list[str] = []
    fields: list[str] = []
    schema: str | dict[str, Any] | None = None
    tools: str | list[dict[str, Any]] | None = None
    scorer: str | dict[str, Any] | None = None
    compare: dict[str, str | Compare] = {}
    promise: Promise = Promise()
    contract: Contract = Contract()
    prompts: dict[str, Prompt] = {}
    rules: dict[str, str] = {}
    boundary: Place = "vendor"
    customer_facing: bool = False
    finish: Finish | None = None
    polish_by: str = ""
    polish_below: Share = POLISH_BELOW
    deadline_ms: Annotated[int, Meta(ge=1)] | None = None
    signals: list[str] = []
    store: Store = "metadata"
    store_share: Share = 0.01
    thresholds: dict[str, Share] = {}
    fallback: str = ""
    references: str | None = None
    inputs: str | None = None


class PipelineKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """[pipelines.NAME]: steps, in order, with one promise for each message.

    A message is as good as its worst step, or as the mean of its steps. `takes` says which step
    reads the answers of others: the name of one, whose answer is its whole input, or a template
    with `{STEP}` and `{text}`, the message. Only `max_loss` can be promised.
    """

    steps: list[str]
    score: Literal["worst", "mean"] = "worst"
    promise: Promise = Promise()
    takes: dict[str, str] = {}


class ShadowLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """[serve.shadow.tasks.NAME]: what differs for one task."""

    sample: Share | None = None
    usd_per_day: Amount | None = None
    usd_per_month: Amount | None = None


class ShadowKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """[serve.shadow]: the policy also runs beside a `sample` of what today's model answers.

    Dollars are for each task. `queue` is how many may wait, `workers` how many run at a time, in
    each process of the gateway.
    """

    sample: Share = 1.0
    usd_per_day: Amount | None = None
    usd_per_month: Amount | None = None
    queue: Annotated[int, Meta(ge=1)] = 256
    workers: Annotated[int, Meta(ge=1)] = 2
    tasks: dict[str, ShadowLimits] = {}

    def for_task(self, name: str) -> ShadowLimits:
        """Return what holds for a task: its own word, else the section's."""
        own = self.tasks.get(name, ShadowLimits())
        return ShadowLimits(
            sample=self.sample if own.sample is None else own.sample,
            usd_per_day=self.usd_per_day if own.usd_per_day is None else own.usd_per_day,
            usd_per_month=self.usd_per_month if own.usd_per_month is None else own.usd_per_month,
        )


class AuditLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """[serve.audit.tasks.NAME]: what differs for one task."""

    share: Share | None = None
    usd_per_month: Amount | None = None


class AuditingKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """[serve.audit]: the ceiling also answers a random `share` of what the policies answered.

    `usd_per_month` is for each task, spread over the days of the month.
    """

    share: Share = 0.01
    usd_per_month: Amount | None = None
    tasks: dict[str, AuditLimits] = {}

    def for_task(self, name: str) -> AuditLimits:
        """Return what holds for a task: its own word, else the section's."""
        own = self.tasks.get(name, AuditLimits())
        return AuditLimits(
            share=self.share if own.share is None else own.share,
            usd_per_month=self.usd_per_month if own.usd_per_month is None else own.usd_per_month,
        )


class ReviewKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """[review]: how alarms are raised, and what they do.

    `alpha` is the chance of a false alarm on loss in `horizon_days` days with evidence, for each
    task; `alpha_signs` that of all alarms without labels together. `on_alarm` and `on_sign`:
    `step_up` withdraws the promise and lets the ceiling answer, `warn` only tells. `webhook` is
    an address that gets the alarm as JSON, `command` a program with its arguments, which gets it
    on its standard input. `look_minutes` is how often a gateway looks.
    """

    alpha: Chance = 0.05
    alpha_signs: Chance = 0.05
    horizon_days: Annotated[int, Meta(ge=7, le=366)] = 92
    on_alarm: Literal["step_up", "warn"] = "step_up"
    on_sign: Literal["step_up", "warn"] = "step_up"
    webhook: str | None = None
    webhook_plain_http: bool = False
    command: list[str] = []
    look_minutes: Annotated[float, Meta(ge=0.1, le=1440)] = 10.0


class MappedKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """[serve.models."NAME"]: a model name that callers use today.

    The request's template says which of `tasks` (all where none is named) is meant; `otherwise` is
    the tier that answers, as they are, the requests that match none of them, or several.
    """

    otherwise: str
    tasks: list[str] = []


class ServeKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """[serve]: where the gateway listens. A key is needed for any address but loopback.

    `share` is the share of a task's traffic that its policy answers at first; the rest is today's
    model's. `session_s` is how long a conversation stays on its tier after a turn; 0 is never.
    `models` maps the names of models that callers use today to tasks. `ui` says who may read the
    dashboard where a key is set: who has the `key`, or whoever reaches the address (`read`: figures
    without texts); `off` serves none.
    """

    host: str = "127.0.0.1"
    port: Port = 8377
    api_key_env: str = "STEPDOWN_API_KEY"
    api_key_file: str | None = None
    max_body_mb: Positive = 8.0
    session_s: Amount = 300.0
    share: dict[str, Share] = {}
    shadow: ShadowKeys | None = None
    audit: AuditingKeys | None = None
    models: dict[str, MappedKeys] = {}
    ui: Literal["key", "read", "off"] = "key"


class AuditKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """[audit]: the usage logs of today's pipeline; `columns` maps our fields to a table's.

    `customer_facing` and `high_stakes` are patterns of names of steps (None: hints are read).
    """

    logs: list[str] = []
    columns: dict[str, str] = {}
    customer_facing: list[str] | None = None
    high_stakes: list[str] | None = None


class ProjectKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """[project]: its name, and the tier that answers everything today (the baseline)."""

    name: str
    baseline: str | None = None
    review_days: Annotated[int, Meta(ge=1)] = 31


class FileKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    project: ProjectKeys
    tiers: dict[str, TierKeys]
    tasks: dict[str, TaskKeys]
    data: DataKeys | None = None
    serve: ServeKeys = ServeKeys()
    audit: AuditKeys = AuditKeys()
    review: ReviewKeys = ReviewKeys()
    pipelines: dict[str, list[str] | PipelineKeys] = {}
    signals: dict[str, Bought] = {}
    judges: dict[str, Judge] = {}
    prices: dict[str, Any] = {}  # checked in config/prices.py: aliases, and prices by model


def struct_in(kind: Any) -> tuple[type[Struct] | None, bool]:
    """Return the Struct that a field's type holds, and whether it is the value of a mapping."""
    info = msgspec.inspect.type_info(kind)
    nested = getattr(info, "types", (info,))
    for part in nested:
        if isinstance(part, msgspec.inspect.StructType):
            return part.cls, False
        if isinstance(part, msgspec.inspect.DictType):
            for value in getattr(part.value_type, "types", (part.value_type,)):
                if isinstance(value, msgspec.inspect.StructType):
                    return value.cls, True
    return None, False

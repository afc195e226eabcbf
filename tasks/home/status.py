"""The state of a workspace as a value; `starloom status` prints it as JSON under these names."""

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

RowT = TypeVar("RowT")
ServiceName = Literal["home", "prefect", "mlflow", "label"]
ServiceState = Literal["running", "starting", "not running", "no answer"]
RunGroup = Literal["running", "scheduled", "ended"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Section(_Frozen, Generic[RowT]):
    """What there is of one kind."""

    rows: tuple[RowT, ...] = ()
    absent: str | None = None
    """Why there is no row; None where there is one."""
    command: str | None = None
    """What makes the first row."""
    faults: tuple[str, ...] = ()
    """What could not be read, and why; the rows stand without it."""


class Figure(_Frozen):
    """A number with its interval, of 95 % unless its name says otherwise; the ends are None where there is none."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


class ServiceStatus(_Frozen):
    """A service with pages of its own."""

    name: ServiceName
    address: str | None
    """None: it does not run."""
    state: ServiceState


class SchemeCounts(_Frozen):
    """A scheme's classes with their numbers of samples; empty where the manifest has none."""

    name: str
    counts: dict[str, int]


class DatasetStatus(_Frozen):
    """The published version of a dataset."""

    name: str
    version: int | None
    """None: nothing is published yet."""
    night: str | None
    """Of a dataset that holds one night, its date."""
    problem: str | None = None
    pixels: str | None = None
    """real, simulated or real+injected."""
    label_kind: str | None = None
    asked: int = 0
    stored: int = 0
    rejected: dict[str, int] = Field(default_factory=dict)
    """By reason; ``asked = stored + sum(rejected)``."""
    schemes: tuple[SchemeCounts, ...] = ()
    parts: dict[str, int] = Field(default_factory=dict)
    """Samples of train, validation and test, of the newest build; empty where it tells none."""
    published_at: datetime | None = None
    digest: str | None = None
    report: str | None = None
    """File in ``reports/``."""
    validation: str | None = None
    """Page of its validation below ``datasets/``."""
    builder: int | None = None
    """Process that builds it."""


class ModelStatus(_Frozen):
    """A registered version that is champion or challenger."""

    name: str
    version: int
    aliases: tuple[str, ...]
    registered_at: datetime
    dataset: str | None
    """NAME@VERSION that it was trained on."""
    pixels: str | None
    labels: str | None
    count: int | None
    """Samples of the test part that the figures are of."""
    figures: tuple[Figure, ...]
    """Measured once on the test part."""
    experiment_id: str
    run_id: str


class NightLine(_Frozen):
    """An earlier night in short."""

    night: str
    state: str
    ingested: int
    scored: int
    selected: int | None
    drift: str | None
    decision: str | None


class NightStatus(_Frozen):
    """The newest night of a training set that `nightly-retrain` worked on."""

    dataset: str
    night: str | None
    """None: the first one is being worked on."""
    state: str | None
    words: str | None
    """The state in words."""
    pixels: str | None = None
    """Of the training set."""
    message: str = ""
    ingested: int = 0
    rejected: dict[str, int] = Field(default_factory=dict)
    scored: int = 0
    selected: int | None = None
    efficiency: tuple[Figure, ...] = ()
    drift: str | None = None
    """Verdict; None: not checked."""
    drift_reasons: tuple[str, ...] = ()
    challenger: str | None = None
    champion: str | None = None
    decision: str | None = None
    """The gate's verdict; None without a challenger."""
    reasons: tuple[str, ...] = ()
    gate: tuple[Figure, ...] = ()
    unfinished: str | None = None
    """A newer night with its finished steps, which has not ended."""
    report: str | None = None
    """File in ``reports/``."""
    earlier: tuple[NightLine, ...] = ()
    """The newest first."""


class ScoringStatus(_Frozen):
    """Scores of one night."""

    night: str
    rows: int
    selected: int | None
    not_scored: int | None
    model: str
    scored_at: datetime
    report: str | None


class DecisionStatus(_Frozen):
    """A row of the decision ledger."""

    sequence: int
    at: datetime
    night: str | None
    name: str
    verdict: str
    kind: str
    by: str
    reasons: tuple[str, ...]
    champion_before: str | None
    champion_after: str | None
    challenger: str | None
    figures: tuple[Figure, ...]


class RunStatus(_Frozen):
    """A flow run."""

    flow: str
    name: str
    group: RunGroup
    state: str
    at: datetime | None
    """When it began, will begin, or ended."""
    process: int | None
    """Of a run that was started with `starloom run`."""
    address: str | None
    """Its page in Prefect."""


class QueueStatus(_Frozen):
    """Samples that people are asked about."""

    dataset: str
    """Of the labelling queue of a night: the night."""
    name: str
    source: str
    items: int
    answered: int
    """Items with an answer of at least one person."""
    opened_at: datetime | None
    """When people were first asked."""
    labellers: tuple[str, ...]
    path: str | None
    """On the labelling page; None of a table that is filled in by hand."""


class ReportStatus(_Frozen):
    """A page in ``reports/``."""

    file: str
    title: str
    written_at: datetime


class FolderSize(_Frozen):
    """What a folder at the top of the workspace holds."""

    name: str
    size: int


class DiskStatus(Section[FolderSize]):
    """Sizes of the workspace's folders, the largest first."""

    free: int | None = None
    """On the disk of the workspace."""
    measured_at: datetime | None = None
    """None: not all folders are measured yet."""

    @property
    def total(self) -> int:
        """All bytes that were measured."""
        return sum(row.size for row in self.rows)


class WorkspaceStatus(_Frozen):
    """The state of a workspace."""

    workspace: str
    at: datetime
    begin: str | None
    """What to run first where there is nothing yet."""
    services: Section[ServiceStatus]
    nights: Section[NightStatus]
    scorings: Section[ScoringStatus]
    models: Section[ModelStatus]
    datasets: Section[DatasetStatus]
    decisions: Section[DecisionStatus]
    runs: Section[RunStatus]
    queues: Section[QueueStatus]
    reports: Section[ReportStatus]
    disk: DiskStatus

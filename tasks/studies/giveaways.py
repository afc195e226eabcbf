"""The audit of a simulated survey for give-aways: can injections be distinguished from the scene's transients?

Sources are injected and detected in parallel, compared, and the checks are reported on a page.
"""

import math
import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from realbogus.audits.checks import Check
from realbogus.audits.difficulty import check_difficulty
from realbogus.audits.flawed_injections import Flaw
from realbogus.audits.giveaways import check_giveaways
from realbogus.audits.source_sample import INJECTED
from realbogus.audits.visit_audit import VisitAudit, join_audits
from realbogus.injection.chip_visit import VisitSettings
from realbogus.injection.inject import InjectionSettings
from realbogus.simulation.survey import SurveySettings
from tasks.candidates.building.harvest import log_faults
from tasks.candidates.building.staged_rows import INJECTION_ROUND, injection_rounds
from tasks.reports.page import Block, Heading, Headline, Headlines, Table, Text, page
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import whole_file
from tasks.store.schema import REALBOGUS
from tasks.studies.audit_jobs import AuditJob, run_audit
from tasks.studies.choices import InjectionFlaw

ALL_NUMBERS = "all numbers"
"""Name of the check that compares all features at once; its value is the page's headline."""
BY_CONSTRUCTION = (
    ("kernel knows", "the subtraction takes no list of injections; repeated without one it gives the same difference"),
    ("label by construction", "scene and injections share no module but the frames' own"),
)
"""Give-aways that are impossible, and why; tests assert both."""
_CHIP_STEP = 11  # so that a few chips are spread over the mosaic


class GiveawayRequest(BaseModel):
    """The parameters of `check-giveaways`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chips: int = Field(ge=1, le=84)
    visits: int = Field(ge=1)
    scene_transients: float = Field(gt=0)
    injections_per_visit: int = Field(ge=1)
    variable_fraction: float = Field(default=0.0, ge=0, le=0.4)
    height_px: int = Field(ge=96)
    width_px: int = Field(ge=96)
    spoil: InjectionFlaw
    dataset: str | None
    seed: int = Field(ge=0)

    @property
    def count(self) -> int:
        """Number of chip-visits."""
        return self.chips * self.visits

    @property
    def flaw(self) -> Flaw | None:
        """The flaw given to the injections on purpose."""
        return None if self.spoil == "none" else Flaw(self.spoil)

    def jobs(self) -> list[AuditJob]:
        """Return one job per chip-visit, each on a field of its own."""
        survey = SurveySettings(
            seed=self.seed,
            height_px=self.height_px,
            width_px=self.width_px,
            transients_per_visit=self.scene_transients,
            variable_share=self.variable_fraction,
        )
        injection = InjectionSettings(per_visit=self.injections_per_visit, variable_fraction=self.variable_fraction)
        work = VisitSettings(injection=injection)
        chips = [chip * _CHIP_STEP % survey.detectors for chip in range(self.chips)]
        return [AuditJob(number, chips[number % self.chips], survey, work, self.flaw) for number in range(self.count)]


def audit_survey(workspace: Workspace, request: GiveawayRequest, executor: Executor) -> dict[str, Any]:
    """Audit every chip-visit, check for give-aways, write the page and return the summary.

    Raises
    ------
    ValueError
        All visits were rejected, or too few sources were detected.
    """
    started = time.monotonic()
    audits, faults = list[VisitAudit](), list[str]()
    with progress("auditing", request.count) as advance:
        for audit in executor.map(run_audit, request.jobs()):
            if isinstance(audit, str):
                faults.append(audit)
            else:
                audits.append(audit)
            advance(1)
    log_faults(faults)
    if not audits:
        raise ValueError(f"none of {request.count} chip-visits could be worked on; the first: {faults[0]}")
    sources = join_audits(audits)
    kind = INJECTED if request.flaw is None else request.flaw.value
    checks, pairs = check_giveaways(sources.detections, sources.stars, sources.positions, request.seed, kind)
    difficulty = [] if request.dataset is None else check_dataset(workspace, request.dataset, request.seed)
    report = workspace.reports / f"giveaways-{request.spoil}-{request.seed}.html"
    with whole_file(report) as path:
        path.write_text(giveaway_page(request, checks, difficulty, pairs, len(audits)), encoding="utf-8")
    return {
        "spoil": request.spoil,
        "visits": len(audits),
        "faults": len(faults),
        "pairs": pairs,
        "passed": none_failed(checks),
        "failed": [check.name for check in checks if check.passed is False],
        "giveaways": {check.name: account_of(check) for check in checks},
        "dataset": request.dataset,
        "hard": none_failed(difficulty) if difficulty else None,
        "difficulty": {check.name: account_of(check) for check in difficulty},
        "pixels": "simulated",
        "labels": "injection",
        "report": str(report),
        "seconds": round(time.monotonic() - started, 1),
    }


def check_dataset(workspace: Workspace, reference: str, seed: int) -> list[Check]:
    """Return the checks of a published dataset's difficulty and of its ledger.

    Raises
    ------
    StoreError
        It is no real/bogus dataset.
    """
    dataset = Dataset.open(workspace, reference)
    if dataset.manifest["problem"] != REALBOGUS:
        raise StoreError(f"dataset {dataset.name!r} is of problem {dataset.manifest['problem']!r}, not {REALBOGUS}")
    ledger = dataset.samples().join(dataset.labels(dataset.schemes[0]).select(["id", "label"]), "id", "id")
    truth = dataset.truth()
    if truth is not None:
        ledger = ledger.join(truth, "id", "id")
    else:
        unknown = pa.nulls(ledger.num_rows, pa.string())
        ledger = ledger.append_column("truth", unknown).append_column("origin", unknown)
    ledger = ledger.append_column(INJECTION_ROUND, pa.array(injection_rounds(ledger["parameters"].to_pylist())))
    return check_difficulty(ledger.sort_by("id"), int(dataset.manifest["size_px"]), seed)


def account_of(check: Check) -> dict[str, Any]:
    """Return a check's entry in the summary: numbers to five decimals, null where there is none."""
    names = ("figure", "low", "high", "least", "most")
    return {
        **{name: _rounded(getattr(check, name)) for name in names},
        "passed": check.passed,
        "count": check.count,
    }


def giveaway_page(
    request: GiveawayRequest, checks: Sequence[Check], difficulty: Sequence[Check], pairs: int, visits: int
) -> str:
    """Return the page of a run as HTML."""
    flawed = "" if request.flaw is None else f" Injections are flawed on purpose: {request.spoil}."
    headline = next(check for check in checks if check.name == ALL_NUMBERS)
    interval = f"95 % interval {headline.low:.3f} to {headline.high:.3f}; {pairs} pairs of sources"
    blocks: list[Block] = [
        Headlines(
            [
                Headline("Area under the curve, injected against scene", f"{headline.figure:.3f}", interval),
                Headline("Checks failed", sum(check.passed is False for check in checks), f"of {len(checks)}"),
            ]
        ),
        Text(
            "Pixels are simulated, labels are from injection. Injected sources and the scene's own transients are "
            "detected in the same visits by the same detector. They are compared in pairs with similar S/N and similar "
            f"surroundings in the reference; random forests are tested on sky cells they were not fitted to.{flawed}"
        ),
        Heading("Give-aways"),
        checks_table("Injected against scene sources", checks),
        Table("Excluded by construction, asserted by tests", ("give-away", "why it is impossible"), BY_CONSTRUCTION),
    ]
    if difficulty:
        blocks += [Heading("Difficulty"), checks_table(f"Candidates of dataset {request.dataset}", difficulty)]
    settings = [(name, str(value)) for name, value in request.model_dump().items()]
    blocks += [Heading("Settings"), Table("Parameters of this run", ("parameter", "value"), settings)]
    return page("Give-aways of injected transients", blocks, f"{visits} simulated chip-visits")


def checks_table(caption: str, checks: Sequence[Check]) -> Table:
    """Return checks as a table, one per row."""
    rows = [
        (
            check.name,
            check.question,
            check.figure,
            "" if math.isnan(check.low) else f"{check.low:.3g} to {check.high:.3g}",
            format_limit(check),
            {True: "passed", False: "FAILED", None: "reported"}[check.passed],
            check.count,
            check.remark,
        )
        for check in checks
    ]
    columns = ("check", "question", "value", "95 % interval", "limit", "result", "rows", "remark")
    return Table(caption, columns, rows)


def format_limit(check: Check) -> str:
    """Return a check's limits in words; empty if it has none."""
    if check.least is not None and check.most is not None:
        return f"{check.least:.3g} to {check.most:.3g}"
    if check.least is not None:
        return f"≥ {check.least:.3g}"
    return "" if check.most is None else f"≤ {check.most:.3g}"


def none_failed(checks: Sequence[Check]) -> bool:
    """Return whether no check failed; one without limits cannot."""
    return all(check.passed is not False for check in checks)


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 5)

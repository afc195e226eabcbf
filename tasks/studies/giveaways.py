"""Checking a simulated survey for give-aways: sources are planted in parallel, judged, and told on a page."""

import math
import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE
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
from tasks.candidates.harvest import log_faults
from tasks.reports.page import Block, Heading, Headline, Headlines, Table, Text, page
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import whole_file
from tasks.store.schema import REALBOGUS
from tasks.studies.choices import InjectionFlaw
from tasks.studies.plant_jobs import PlantJob, plant_sources

BY_CONSTRUCTION = (
    ("kernel knows", "the subtraction takes no list of injections; repeated without one it gives the same difference"),
    ("label by construction", "scene and injections share no module but the frames' own"),
)
"""Give-aways that cannot be, and why; tests hold them to it."""
_CHIP_STEP = 11  # so that a few chips lie all over the mosaic


class GiveawayRequest(BaseModel):
    """What `check-giveaways` was asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chips: int = Field(ge=1, le=84)
    visits: int = Field(ge=1)
    scene_transients: float = Field(gt=0)
    injections_per_visit: int = Field(ge=1)
    height_px: int = Field(ge=96)
    width_px: int = Field(ge=96)
    spoil: InjectionFlaw
    dataset: str | None
    seed: int = Field(ge=0)

    @property
    def count(self) -> int:
        """Chip-visits in all."""
        return self.chips * self.visits

    @property
    def broken(self) -> Flaw | None:
        """What is wrong with the injections."""
        return None if self.spoil == "none" else Flaw(self.spoil)

    def jobs(self) -> list[PlantJob]:
        """Return the chip-visits, each on a field of its own."""
        survey = SurveySettings(
            seed=self.seed,
            height_px=self.height_px,
            width_px=self.width_px,
            transients_per_visit=self.scene_transients,
        )
        work = VisitSettings(injection=InjectionSettings(per_visit=self.injections_per_visit))
        chips = [chip * _CHIP_STEP % survey.detectors for chip in range(self.chips)]
        return [PlantJob(number, chips[number % self.chips], survey, work, self.broken) for number in range(self.count)]


@task(name="judge-giveaways", description="Plant sources, compare, write the page", cache_policy=NO_CACHE)
def judge_planted(workspace: Workspace, request: GiveawayRequest, executor: Executor) -> dict[str, Any]:
    """Plant sources in every chip-visit, judge them, write the page and return the account.

    Raises
    ------
    ValueError
        No visit could be worked on, or too few sources were found.
    """
    started = time.monotonic()
    parts, faults = list[VisitAudit](), list[str]()
    with progress("planting", request.count) as advance:
        for planted in executor.map(plant_sources, request.jobs()):
            if isinstance(planted, str):
                faults.append(planted)
            else:
                parts.append(planted)
            advance(1)
    log_faults(faults)
    if not parts:
        raise ValueError(f"none of {request.count} chip-visits could be worked on; the first: {faults[0]}")
    whole = join_audits(parts)
    kind = INJECTED if request.broken is None else request.broken.value
    checks, pairs = check_giveaways(whole.found, whole.stars, whole.placement, request.seed, kind)
    difficulty = [] if request.dataset is None else judge_dataset(workspace, request.dataset, request.seed)
    name = f"giveaways-{request.spoil}-{request.seed}"
    report = workspace.reports / f"{name}.html"
    with whole_file(report) as path:
        path.write_text(giveaway_page(request, checks, difficulty, pairs, len(parts)), encoding="utf-8")
    return {
        "spoil": request.spoil,
        "visits": len(parts),
        "faults": len(faults),
        "pairs": pairs,
        "passed": _all_pass(checks),
        "failed": [check.name for check in checks if check.passed is False],
        "giveaways": {check.name: account_of(check) for check in checks},
        "dataset": request.dataset,
        "hard": _all_pass(difficulty) if difficulty else None,
        "difficulty": {check.name: account_of(check) for check in difficulty},
        "pixels": "simulated",
        "labels": "injection",
        "report": str(report),
        "seconds": round(time.monotonic() - started, 1),
    }


def judge_dataset(workspace: Workspace, reference: str, seed: int) -> list[Check]:
    """Return the checks of a published dataset's difficulty and of its ledger.

    Raises
    ------
    StoreError
        It is no real/bogus dataset.
    """
    dataset = Dataset.open(workspace, reference)
    if dataset.manifest["problem"] != REALBOGUS:
        raise StoreError(f"dataset {dataset.name!r} is of problem {dataset.manifest['problem']!r}, not realbogus")
    ledger = dataset.samples().join(dataset.labels(dataset.schemes[0]).select(["id", "label"]), "id", "id")
    truth = dataset.truth()
    if truth is not None:
        ledger = ledger.join(truth, "id", "id")
    else:
        nothing = pa.nulls(ledger.num_rows, pa.string())
        ledger = ledger.append_column("truth", nothing).append_column("origin", nothing)
    return check_difficulty(ledger.sort_by("id"), int(dataset.manifest["size_px"]), seed)


def account_of(check: Check) -> dict[str, Any]:
    """Return a check as it stands in a run's account; what is not known is null."""
    figures = {name: getattr(check, name) for name in ("figure", "low", "high", "least", "most")}
    return {
        **{name: _rounded(value) for name, value in figures.items()},
        "passed": check.passed,
        "count": check.count,
    }


def giveaway_page(
    request: GiveawayRequest, checks: Sequence[Check], difficulty: Sequence[Check], pairs: int, visits: int
) -> str:
    """Return the page of a run as HTML."""
    spoiled = "" if request.broken is None else f" Injections are spoiled on purpose: {request.spoil}."
    headline = next(check for check in checks if check.name == "all numbers")
    interval = f"95 %: {headline.low:.3f} to {headline.high:.3f}; {pairs} + {pairs} sources"
    blocks: list[Block] = [
        Headlines(
            [
                Headline("Area under the curve, injected against scene", f"{headline.figure:.3f}", interval),
                Headline("Checks failed", sum(check.passed is False for check in checks), f"of {len(checks)}"),
            ]
        ),
        Text(
            "Pixels are simulated, labels are injection. Injected sources and the scene's own transients are found by "
            "the same detector on the same visits and compared in pairs alike in S/N and in what the reference shows; "
            f"forests are judged on sky cells they have not seen.{spoiled}"
        ),
        Heading("Give-aways"),
        checks_table("Injected against scene sources", checks),
        Table("Held by construction and by tests", ("give-away", "why it cannot be"), BY_CONSTRUCTION),
    ]
    if difficulty:
        blocks += [Heading("Difficulty"), checks_table(f"Candidates of dataset {request.dataset}", difficulty)]
    settings = [(name, str(value)) for name, value in request.model_dump().items()]
    blocks += [Heading("Where these numbers come from"), Table("Settings", ("what", "value"), settings)]
    return page("Give-aways of injected transients", blocks, f"{visits} simulated chip-visits")


def checks_table(caption: str, checks: Sequence[Check]) -> Table:
    """Return checks as a table, one a row."""
    rows = [
        (
            check.name,
            check.question,
            check.figure,
            "" if math.isnan(check.low) else f"{check.low:.3g} to {check.high:.3g}",
            _limit(check),
            {True: "passed", False: "FAILED", None: "reported"}[check.passed],
            check.count,
            check.remark,
        )
        for check in checks
    ]
    return Table(caption, ("check", "question", "figure", "95 %", "limit", "verdict", "rows", "remark"), rows)


def _limit(check: Check) -> str:
    if check.least is not None and check.most is not None:
        return f"{check.least:.3g} to {check.most:.3g}"
    if check.least is not None:
        return f"≥ {check.least:.3g}"
    return "" if check.most is None else f"≤ {check.most:.3g}"


def _all_pass(checks: Sequence[Check]) -> bool:
    return all(check.passed is not False for check in checks)


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 5)

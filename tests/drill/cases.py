"""The flows of the drill, each at the smallest size that goes through all its stages."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.drill.base_workspace import GALAXY_SCHEME, NIGHT_BEFORE, PREDICTIONS, SIMULATED
from tests.drill.inputs import NIGHT, SIDE, Inputs

SERVICE = "SERVICE"
"""Stands for the address of the cutout service, which every start of the drill takes anew."""

CONNECTIONS = 4


@dataclass(frozen=True)
class Point:
    """A state of the workspace in which a flow is disturbed.

    Attributes
    ----------
    name : str
    pattern : str
        Of a path in the workspace that is not there at the start.
    step : str, optional
        Of the night's record at that path, which is finished.
    """

    name: str
    pattern: str
    step: str | None = None

    def watch(self, workspace: Path) -> Callable[[], bool]:
        """Return a function that tells whether the point is reached, given when the flow has just been started."""
        if self.step is not None:
            return lambda: any(self.step in _steps(path) for path in workspace.glob(self.pattern))
        before = set(workspace.glob(self.pattern))
        return lambda: any(path not in before for path in _there(workspace, self.pattern))


@dataclass(frozen=True)
class Case:
    """One flow of the drill.

    Attributes
    ----------
    flow : str
    parameters : dict
    points : tuple of Point
        Where it is disturbed by name; it is at a random point too.
    dataset : str, optional
        That it builds.
    reads : str, optional
        Dataset whose pixels it reads.
    model : str, optional
        Registered name of the model that it reads.
    service, spreads, begins_empty : bool
        It asks the cutout service; it opens a Dask cluster; it needs nothing of the workspace.
    own : tuple of str
        Entries of the summary that tell what this run did: less, where one before it did a part.
    """

    flow: str
    parameters: Mapping[str, Any]
    points: tuple[Point, ...]
    dataset: str | None = None
    reads: str | None = None
    model: str | None = None
    service: bool = False
    spreads: bool = False
    begins_empty: bool = False
    own: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether it fits networks, and so writes runs and models."""
        return any(point in (*FITTING, FOLD, *STUDY) for point in self.points)

    def with_service(self, url: str) -> dict[str, Any]:
        """Return the parameters with the address of the cutout service."""
        return {name: url if value == SERVICE else value for name, value in self.parameters.items()}


def cutout_request(inputs: Inputs, dataset: str = "http") -> dict[str, Any]:
    """Return the parameters of a build from the cutout service."""
    return {
        "dataset": dataset,
        "catalog": str(inputs.positions),
        "source": "sdss",
        "service_url": SERVICE,
        "scheme": "gz1-2class",
        "request_px": SIDE,
        "size_px": 32,
        "field": "fixed",
        "scale_arcsec_per_px": 0.2,
        "max_connections": CONNECTIONS,
    }


def building(dataset: str, version: int = 1) -> tuple[Point, ...]:
    """Return the points of a build that publishes a version."""
    folder = f"datasets/{dataset}"
    return (
        Point("batch staged", f"{folder}/staging/*/batch-*"),
        Point("shard written", f"{folder}/pixels.zarr/pixels/c/{version - 1}/0/0/0"),
        Point("version half written", f"{folder}/versions/.*.part"),
        Point("version unpublished", f"{folder}/versions/{version:06d}"),
    )


FITTING = (
    Point("epoch saved", "training/*/fit/epoch-*"),
    Point("model saved", "mlartifacts/**/model.keras"),
)
FOLD = Point("fold finished", "training/*/fold-*.parquet")
STUDY = (Point("row finished", "studies/*/row-*.json"), Point("study recorded", "studies/*/runs-*.json"))
PAGE = Point("page half written", "reports/.*.part")
DECIDING = (
    Point("decision begun", "decisions/unfinished.json"),
    Point("row appended", "decisions/ledger.parquet/part-*"),
    PAGE,
)
QUICK = {"network": "first", "batch_size": 32}
STUDIED = {"dataset": SIMULATED, "test_dataset": SIMULATED, "epochs": 1, "seeds": [0]}
QUICK_STUDY = {**STUDIED, "network": "first", "limit": 100}
FORMER = "models:/realbogus/1"


def all_cases(inputs: Inputs) -> list[Case]:
    """Return the flows of the drill in the order of the chain."""
    archive = {"catalog": str(inputs.table), "source": "archive", "images": str(inputs.images)}
    nightly = {"night": NIGHT, "source": "triplets", "dataset": "made", "network": "simple", "epochs": 1}
    record = f"nightly/made/{NIGHT}/record.json"
    return [
        Case(
            "ingest-catalog",
            {"name": "classes", "tables": json.dumps([str(inputs.table)])},
            (
                Point("catalogue half written", "catalogs/.*.part"),
                Point("catalogue written", "catalogs/classes.parquet"),
            ),
        ),
        Case(
            "build-galaxy-dataset",
            cutout_request(inputs),
            building("http"),
            dataset="http",
            service=True,
            spreads=True,
            begins_empty=True,
        ),
        Case(
            "backfill-class-scheme",
            {"dataset": "zoo", "scheme": str(inputs.scheme)},
            (
                Point("version half written", "datasets/zoo/versions/.*.part"),
                Point("version unpublished", "datasets/zoo/versions/000002"),
            ),
            dataset="zoo",
        ),
        Case("train-galaxy", {"dataset": "zoo", "preset": "deck", "epochs": 3, "seed": 1}, FITTING, reads="zoo"),
        Case(
            "predict-galaxies",
            {"dataset": "zoo", "scheme": GALAXY_SCHEME},
            (Point("scores half written", "scores/.*.part"), Point("scores written", "scores/*.parquet")),
            reads="zoo",
            model=f"galaxy-{GALAXY_SCHEME}",
        ),
        Case(
            "galaxy-end-to-end",
            {"dataset": "whole", "scheme": GALAXY_SCHEME, "size_px": 32, "preset": "deck", "epochs": 1, **archive},
            (*building("whole"), *FITTING),
            dataset="whole",
            begins_empty=True,
        ),
        Case(
            "build-realbogus-dataset",
            {"dataset": "triplets", "source": "triplets", "path": str(inputs.survey)},
            building("triplets"),
            dataset="triplets",
            begins_empty=True,
        ),
        Case("train-realbogus", {"dataset": "made", "epochs": 3, "seed": 1, **QUICK}, FITTING, reads="made"),
        Case("cross-validate", {"dataset": "made", "folds": 3, "epochs": 1, **QUICK}, (FOLD,), reads="made"),
        Case(
            "relabel-and-retrain",
            {"dataset": "made", "folds": 2, "epochs": 1, "most_of_stratum": 1.0, "most_wrong": 1.0, **QUICK},
            (FOLD, Point("labels published", "datasets/made/versions/000002"), *FITTING),
            reads="made",
            spreads=True,
        ),
        Case(
            "evaluate-holdout",
            {"dataset": "made"},
            (Point("page half written", "reports/.*.part"), Point("page written", "reports/evaluation*")),
            reads="made",
            model="realbogus",
        ),
        Case(
            "score-night",
            {"path": "made", "night": "drill"},
            (Point("scores half written", "scores/.*"), Point("scores written", "scores/drill.parquet")),
            reads="made",
            model="realbogus",
        ),
        Case(
            "nightly-retrain",
            nightly,
            tuple(Point(f"step {step}", record, step) for step in ("ingest", "score", "append", "examine", "train")),
            model="realbogus",
        ),
        Case("export-dataset", {"dataset": "made"}, (Point("export begun", "exports/.*.part"),), reads="made"),
        Case("verify", {"dataset": "made"}, (), reads="made"),
        *_decisions(),
        *_nights(),
        *_labels(),
        *_studies(inputs),
        Case(
            "export-model",
            {"dataset": "made"},
            (Point("model written", "exports/*/model.onnx"),),
            reads="made",
            model="realbogus",
        ),
        Case(
            "housekeeping",
            {"keep_days": 0, "keep_versions": 1, "keep_nights": 0, "plan_only": False},
            (Point("something taken away", "*/.trash/*"), PAGE),
            own=("items", "kept"),
        ),
    ]


def _decisions() -> list[Case]:
    return [
        Case("promote", {"model": FORMER, "reason": "it finds more"}, DECIDING),
        Case("rollback", {"reason": "it finds less"}, DECIDING),
        Case("accept", {"night": NIGHT, "reason": "seen"}, DECIDING),
        Case("show-decisions", {}, DECIDING, own=("recorded",)),
    ]


def _nights() -> list[Case]:
    """Return the flows of nights that were scored, or are to be."""
    scores = (Point("scores half written", "scores/.*.part"), Point("scores written", "scores/history/*"), PAGE)
    return [
        Case(
            "make-night",
            {"dataset": SIMULATED, "count": 1200, "real_share": 0.1},
            (
                Point("night begun", "nights/*"),
                Point("shard drawn", "nights/*.zarr/pixels/c/1/*"),
                Point("night drawn", "nights/*.zarr/made.json"),
            ),
            reads=SIMULATED,
        ),
        Case(
            "score-visit",
            {"night": NIGHT},
            (Point("visit scored", "visits/*/*/*"), Point("table written", "scores/candidates-*")),
            model="realbogus",
        ),
        Case("stale", {}, ()),
        Case("rescore", {"only_stale": False}, scores, reads="made", model="realbogus", own=("nights",)),
        Case(
            "rethreshold",
            {"night": NIGHT_BEFORE, "max_candidates": 7},
            scores,
            own=("nights", "rethresholded", "current"),
        ),
        Case(
            "diff-models",
            {"night": NIGHT_BEFORE, "against": FORMER},
            (Point("differences written", "scores/differences/*"), PAGE),
            reads="made",
            model="realbogus",
        ),
    ]


def _labels() -> list[Case]:
    published = (
        Point("version half written", "datasets/made/versions/.*.part"),
        Point("labels published", "datasets/made/versions/000002"),
    )
    return [
        Case("publish-labels", {"dataset": "made", "name": "people"}, published, dataset="made"),
        Case(
            "survey-label-errors",
            {"dataset": SIMULATED, "network": "first", "folds": 2, "epochs": 1, "per_bin": 5},
            (FOLD, Point("page half written", "reports/.label-errors*")),
            reads=SIMULATED,
            spreads=True,
        ),
        Case(
            "relabel-and-retrain-galaxy",
            {"dataset": "zoo", "preset": "deck", "folds": 2, "epochs": 1, "batch_size": 16, "most_of_stratum": 1.0},
            (FOLD, Point("labels published", "datasets/zoo/versions/000002"), *FITTING),
            reads="zoo",
            spreads=True,
        ),
    ]


def _studies(inputs: Inputs) -> list[Case]:
    rows = (*STUDY, PAGE)
    grid = {"matched": [], "uniform": [0.1], "handlings": ["none", "remove"], "folds": 2}
    galaxies = {"dataset": "zoo", "arms": ["cnn:deck"], "epochs": 1, "seeds": [0]}
    return [
        Case(
            "compare-volumes",
            {**STUDIED, "network": "first", "reals": [20, 40], "bogus": [30, 50]},
            rows,
            reads=SIMULATED,
        ),
        Case("compare-treatments", QUICK_STUDY, rows, reads=SIMULATED),
        Case("compare-profiles", {**QUICK_STUDY, "network": "simple"}, rows, reads=SIMULATED),
        Case("compare-label-handling", {**QUICK_STUDY, "folds": 2}, rows, reads=SIMULATED, spreads=True),
        Case("label-noise-bench", {**QUICK_STUDY, **grid}, rows, reads=SIMULATED, spreads=True),
        Case("compare-trainings", {**galaxies, "sizes": [24, "all"], "folds": 2}, rows, reads="zoo"),
        Case("compare-schemes", {**galaxies, "schemes": [GALAXY_SCHEME]}, rows, reads="zoo"),
        Case(
            "compare-catalogue",
            {
                "catalog": str(inputs.table),
                "predictions": PREDICTIONS,
                "columns": {"class": "gz1_majority"},
                "classes": {"edge_on": "spiral"},
            },
            (Point("page written", "reports/compare-*"),),
        ),
    ]


def _there(workspace: Path, pattern: str) -> list[Path]:
    try:
        return list(workspace.glob(pattern))
    except OSError:  # a folder went away meanwhile
        return []


def _steps(record: Path) -> dict[str, Any]:
    return dict(json.loads(record.read_text(encoding="utf-8"))["steps"])

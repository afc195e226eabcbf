"""Scoring a night with the registered models: which threshold, which first model, what is shown.

TensorFlow takes long to import, so it is imported inside the task.
"""

import math
import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field, model_validator

from realbogus.pictures import draw_triplet
from realbogus.records import REAL
from tasks.candidate_evaluation import INJECTIONS
from tasks.learning.cascade import Discard, fit_discard
from tasks.learning.parts import part_rows
from tasks.learning.scoring import score
from tasks.night import Judge, Rule, Scored, best_of, keep_discard, kept_discard, score_night, stamps_of
from tasks.night_sources import BLOCK_ROWS, DatasetNight, NightSource, open_night
from tasks.pages import Block, Figure, Headline, Headlines, Table, Text, page
from tasks.progress import progress
from tasks.sheets import contact_sheet, to_jpeg
from tasks.stages.train import quiet_tensorflow, run_logger
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import whole_file
from tasks.tracking import UnknownModelError, resolve_model
from tasks.workspace import Workspace

REGISTERED, REGISTERED_FIRST = "realbogus", "realbogus-first"
DEFAULT_TPR = 0.9
DISCARD_MARGIN = 1.0
"""Logits by which the first model's threshold lies below the lowest real of the validation part."""
SHOWN = 48


class NightError(ValueError):
    """A night cannot be scored as asked."""


class NightRequest(BaseModel):
    """What to score, and from where on a candidate is one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    model: str = "champion"
    first: str | None = "champion"
    """The cheap model that goes before; None: none."""
    threshold: float | None = None
    """Logit; or
    """
    tpr: float | None = Field(default=None, gt=0, lt=1)
    """one of the model's operating points; or
    """
    max_candidates: int | None = Field(default=None, ge=1)
    """the best so many of the night. None of the three: tpr=0.9."""
    night_prior: float = Field(default=1e-3, gt=0, lt=1)
    """Share of reals among a night's detections, for the probability at that prior."""
    night: str | None = None
    """Name of the scores file; None: the source's."""

    @model_validator(mode="after")
    def _one_rule(self) -> "NightRequest":
        given = [name for name in ("threshold", "tpr", "max_candidates") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given: choose one of threshold, tpr, max_candidates")
        if self.model.endswith((".h5", ".hdf5")):
            raise ValueError(
                f"model={self.model}: HDF5 models of the public code are not supported, as their layers have no "
                "configuration; train the network here with profile=published, or give a registered model"
            )
        return self


@task(
    name="score-night", description="Stream candidates through the models, decide, show the best", cache_policy=NO_CACHE
)
def score_candidates(workspace: Workspace, request: NightRequest) -> dict[str, Any]:
    """Score a night and return the account; a killed scoring goes on with the next call."""
    started = time.monotonic()
    quiet_tensorflow()
    full = open_judge(workspace, request.model, REGISTERED)
    stamp_px = int(full.card["input_shape"][0])
    source = open_night(workspace, request.path, stamp_px)
    threshold, most, version = _threshold(request, full)
    first, discard = _first(workspace, request, full, threshold)
    rule = Rule(
        full,
        first,
        -math.inf if discard is None else discard.threshold,
        threshold,
        most,
        version,
        request.night_prior,
    )
    night = re.sub(r"[^A-Za-z0-9._-]+", "_", request.night or source.name)
    target = workspace.scores / f"{night}.parquet"
    with progress("scoring", source.count) as advance:
        scored = score_night(source, rule, workspace.root / "scoring", target, advance)
    seconds = time.monotonic() - started
    summary = _summary(scored, rule, discard, seconds) | _recovery(source, scored)
    report = workspace.reports / f"night-{night}.html"
    with whole_file(report) as path:
        path.write_text(page(f"Night {night}", _blocks(source, scored, rule, summary)), encoding="utf-8")
    return summary | {"report": str(report), "seconds": round(time.monotonic() - started, 1)}


def open_judge(workspace: Workspace, model: str, registered: str) -> Judge:
    """Open a registered model, checked, in its fastest form.

    Raises
    ------
    NightError
        It is of another problem, or its preprocessing is another version's.
    """
    from realbogus.models import PREPROCESSING_VERSION, PROBLEM, multiply_adds
    from tasks.learning.inference import fast_model
    from tasks.learning.saved import load_model

    ref = resolve_model(workspace, model, registered)
    network, card = load_model(ref.folder)
    if card["problem"] != PROBLEM:
        raise NightError(f"model {ref.name} {ref.version} is of problem {card['problem']!r}, not {PROBLEM}")
    if card["preprocessing_version"] != PREPROCESSING_VERSION:
        raise NightError(
            f"model {ref.name} {ref.version} was trained with preprocessing {card['preprocessing_version']!r}, this "
            f"code has {PREPROCESSING_VERSION!r}: train it anew"
        )
    return Judge(f"{ref.name}/{ref.version}", card, fast_model(network, BLOCK_ROWS, multiply_adds(network)))


def _threshold(request: NightRequest, full: Judge) -> tuple[float | None, int | None, str]:
    """Return the threshold, or how many are wanted, and what it is called."""
    told = f"{full.name} {str(full.card['sha256'])[:8]}"
    if request.max_candidates is not None:
        return None, request.max_candidates, f"{told} best {request.max_candidates}"
    if request.threshold is not None:
        return request.threshold, None, f"{told} threshold {request.threshold:g}"
    name = f"tpr{round(100 * (request.tpr or DEFAULT_TPR))}"
    points = full.card["operating_points"]
    if name not in points:
        raise NightError(f"tpr={request.tpr} is no operating point of {full.name}; it has {', '.join(points)}")
    return float(points[name]["threshold"]), None, f"{told} {name}"


def _first(
    workspace: Workspace, request: NightRequest, full: Judge, threshold: float | None
) -> tuple[Judge | None, Discard | None]:
    """Return the first model and what it may discard; neither where there is none to be had."""
    if request.first is None:
        return None, None
    try:
        first = open_judge(workspace, request.first, REGISTERED_FIRST)
    except UnknownModelError:
        run_logger().info(
            "no first model is registered (train-realbogus network=first): every candidate is judged in full"
        )
        return None, None
    if first.card["input_shape"] != full.card["input_shape"]:
        raise NightError(
            f"{first.name} takes stamps of {first.card['input_shape']}, {full.name} {full.card['input_shape']}"
        )
    at = float(full.card["operating_points"]["tpr99"]["threshold"]) if threshold is None else threshold
    kept = workspace.root / "cascade" / f"{first.card['sha256'][:16]}-{full.card['sha256'][:16]}-{at:.6f}.json"
    told = kept_discard(kept)
    if told is None:
        found = _fit_first(workspace, first, full, at)
        if found is None:
            return None, None
        told = found.told()
        keep_discard(kept, told)
    return first, Discard(**told)


def _fit_first(workspace: Workspace, first: Judge, full: Judge, threshold: float) -> Discard | None:
    """Set what the first model may discard on the reals of its validation part."""
    name = f"{first.card['dataset']}@{first.card['dataset_version']}"
    try:
        dataset = Dataset.open(workspace, name)
    except StoreError as error:
        run_logger().warning("the first model is not used, as its validation part is needed: %s", error)
        return None
    part = part_rows(dataset, str(first.card["scheme"]), "validation")
    rows = part.rows[part.labels == 1]
    logits = [_by_row(judge, dataset, rows) for judge in (first, full)]
    return fit_discard(logits[0], logits[1], threshold, DISCARD_MARGIN)


def _by_row(judge: Judge, dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    outputs = score(_Outputs(judge), dataset.pixels, rows, BLOCK_ROWS)
    return np.asarray(outputs[:, 1].astype(float) - outputs[:, 0].astype(float))


class _Outputs:
    """A judge as `tasks.learning.scoring` takes it."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def predict_on_batch(self, x: np.ndarray) -> np.ndarray:
        return self._judge.outputs(x)


def _summary(scored: Scored, rule: Rule, discard: Discard | None, seconds: float) -> dict[str, Any]:
    return {
        "path": str(scored.path),
        "count": scored.count,
        "scored": scored.scored,
        "not_scored": scored.not_scored,
        "selected": scored.selected,
        "stamps_per_second": round(scored.count / seconds, 1),
        "model": rule.full.name,
        "threshold": scored.threshold if math.isfinite(scored.threshold) else None,
        "threshold_version": rule.threshold_version,
        "cascade": None
        if rule.first is None or discard is None
        else {"first": rule.first.name, "discarded": scored.discarded, **discard.told()},
        "objects": None if scored.objects is None else {"before": scored.objects[0], "after": scored.objects[1]},
    }


def _recovery(source: NightSource, scored: Scored) -> dict[str, Any]:
    """Return how many true transients, injected or not, are among the selected, where the truth is known."""
    truth = source.dataset.truth() if isinstance(source, DatasetNight) else None
    if truth is None:
        return {"recovered": None}
    assert isinstance(source, DatasetNight)
    samples = source.dataset.samples(["id", "kind"])
    injected = samples.filter(pc.is_in(samples["kind"], value_set=_words(INJECTIONS)))["id"].combine_chunks()
    true = truth.filter(pc.and_(pc.equal(truth["truth"], REAL), pc.invert(pc.is_in(truth["id"], injected))))["id"]
    table = pq.read_table(scored.path, columns=["id", "decision"])
    mine = table.filter(pc.is_in(table["id"], true.combine_chunks()))
    kept = int(pc.sum(pc.fill_null(pc.equal(mine["decision"], REAL), False)).as_py() or 0)
    return {"recovered": {"true_transients": mine.num_rows, "selected": kept}}


def _words(values: tuple[str, ...]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.string())


def _blocks(source: NightSource, scored: Scored, rule: Rule, summary: Mapping[str, Any]) -> list[Block]:
    """Return the page of a night: how many before and after, and the best candidates."""
    best = best_of(scored.path, SHOWN)
    stamps = stamps_of(source, best["id"].to_pylist())
    rows = best.to_pylist()
    captions = [f"{row['probability_night']:.3f} {row['id']}" for row in rows]
    objects = summary["objects"]
    found = "" if objects is None else f"{objects['before']:,} and {objects['after']:,} objects"
    blocks: list[Block] = [
        Headlines(
            [
                Headline("Detections", scored.count, "before"),
                Headline("Candidates", scored.selected, f"after the classifier; {found}".rstrip("; ")),
                Headline("Not scored", scored.count - scored.scored, _told(scored.not_scored)),
            ]
        ),
        Text(
            f"By {rule.full.name}, threshold {scored.threshold:.3f} ({rule.threshold_version}). This is the "
            "classifier's share only; further cuts follow in a survey."
        ),
    ]
    if summary["recovered"] is not None:
        share = summary["recovered"]
        blocks.append(
            Text(f"Of {share['true_transients']} true transients {share['selected']} are among the candidates.")
        )
    if rule.first is not None:
        sure = f"{rule.first.name} discarded {scored.discarded} that it was sure of"
        lost = f"it loses at most {summary['cascade']['lost_limit']:.2%} of the reals that the full model keeps"
        blocks.append(Text(f"{sure} (logit below {rule.discard_below:.2f}); {lost}."))
    if rows:
        sheet = contact_sheet([draw_triplet(stamps[row["id"]]) for row in rows], captions, 4)
        blocks.append(
            Figure(
                f"The best {len(rows)}: new, reference, difference; probability of being real where "
                f"{rule.night_prior:g} of all are, and id.",
                to_jpeg(sheet),
                "contact sheet of candidates",
            )
        )
        columns = ["id", "probability_night", "probability", "logit", "ra_deg", "dec_deg"]
        blocks.append(Table("Best first", columns, [[row[name] for name in columns] for row in rows]))
    return blocks


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in counts.items()) or "none"

"""The survey of label errors: a sample drawn by label and score, its review by people, and both error rates."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realbogus.audits.pictures import draw_triplet
from realbogus.models.label_errors import (
    EDGES,
    RIGHT,
    UNSURE,
    WRONG,
    BinCount,
    ErrorRate,
    assign_bins,
    count_bins,
    draw_sample,
    error_rates,
)
from realbogus.records import BOGUS, REAL
from tasks.candidates.label_reviews import read_verdicts, write_verdict_table
from tasks.candidates.relabelling.relabel import CandidateRelabelRequest, CandidateRelabelTask
from tasks.learning.split_parts import PartError
from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.page import Block, Cell, Figure, Headline, Headlines, Table, Text, page
from tasks.runtime.cluster import Executor
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column, to_text
from tasks.store.dataset import Dataset
from tasks.store.files import whole_file, write_json
from tasks.training.relabel import score_folds

TRUTH = "truth"
"""Value of `answers` for which the simulation's hidden truth takes the place of reviews."""
NAMES = (BOGUS, REAL)
_SHEET_COLUMNS = 5


def survey_labels(
    workspace: Workspace, request: CandidateRelabelRequest, per_bin: int, answers: str | None, executor: Executor
) -> dict[str, Any]:
    """Draw the sample and write its contact sheets and table; with `answers` estimate the error rates too.

    Parameters
    ----------
    workspace : Workspace
    request : CandidateRelabelRequest
    per_bin : int
        Candidates to draw of each label and bin of score.
    answers : str or None
        Path of the table with its column ``verdict`` filled in (right, wrong, unsure), or `TRUTH`.
    executor : Executor
    """
    started = time.monotonic()
    scores = score_folds(CandidateRelabelTask(workspace, request), None, executor)
    dataset = Dataset.open(workspace, request.dataset)
    ids, logits, labels = scores["id"].to_pylist(), scores["logit"].to_numpy(), scores["label"].to_numpy()
    sample = draw_sample(logits, labels, per_bin, np.random.default_rng(request.seed))
    sample_ids = [ids[row] for row in sample]
    stem = workspace.reports / f"label-errors-{dataset.name}"
    table, sheet = stem.with_suffix(".csv"), stem.with_suffix(".html")
    summary: dict[str, Any] = {"count": len(ids), "sampled": len(sample), "table": str(table), "sheet": str(sheet)}
    blocks: list[Block] = []
    if answers is None:
        write_verdict_table(table, ((ids[row], NAMES[labels[row]], logits[row]) for row in sample))
    else:
        if answers == TRUTH:
            verdicts = verdicts_by_truth(dataset, sample_ids, labels[sample])
        else:
            verdicts = read_verdicts(Path(answers).expanduser(), sample_ids)
        counts = count_bins(logits, labels, sample, verdicts)
        rates = error_rates(counts, np.random.default_rng(request.seed))
        summary["rates"] = {NAMES[label]: summarise_rate(rate) for label, rate in rates.items()}
        blocks = estimate_blocks(counts, rates)
        write_json(stem.with_suffix(".json"), summary["rates"])
    blocks += sheet_blocks(dataset, sample_ids, logits[sample], labels[sample])
    title = f"Label errors of {dataset.name}"
    with whole_file(sheet) as path:
        path.write_text(page(title, blocks, f"{dataset.manifest['pixels']} pixels"), encoding="utf-8")
    return summary | {"seconds": round(time.monotonic() - started, 1)}


def verdicts_by_truth(dataset: Dataset, ids: Sequence[str], labels: NDArray) -> list[str]:
    """Return the verdict of the hidden truth on each label (n,) of ids (n,); blends are unsure.

    Raises
    ------
    PartError
        The dataset has no hidden truth.
    """
    truth = dataset.truth()
    if truth is None:
        raise PartError(f"answers=truth: dataset {dataset.name!r} has no hidden truth; fill in the table instead")
    words = to_text(align_column(truth, "truth", ids)).tolist()
    return [
        UNSURE if word not in NAMES else RIGHT if word == NAMES[label] else WRONG
        for word, label in zip(words, labels, strict=True)
    ]


def summarise_rate(rate: ErrorRate) -> dict[str, float | int]:
    """Return the summary's entries on one label: its error rate, and the counts behind it."""
    return {
        "value": rate.value,
        "low": rate.low,
        "high": rate.high,
        "labelled": rate.labelled,
        "judged": rate.reviewed,
        "wrong": rate.wrong,
    }


def estimate_blocks(counts: Sequence[BinCount], rates: Mapping[int, ErrorRate]) -> list[Block]:
    """Return the error rate of each label, and the counts behind them."""
    headlines = [
        Headline(
            f"Wrong labels among {NAMES[label]}",
            f"{rate.value:.2%}",
            f"95 % interval {rate.low:.2%} to {rate.high:.2%}; {rate.wrong} of {rate.reviewed} reviewed are wrong, "
            f"{rate.labelled} are labelled",
        )
        for label, rate in rates.items()
    ]
    rows: list[list[Cell]] = [
        [NAMES[count.label], describe_bin(count.bin), count.size, count.reviewed, count.wrong] for count in counts
    ]
    columns = ["label", "logit", "labelled", "reviewed", "wrong"]
    return [Headlines(headlines), Table("Counts by label and score", columns, rows)]


def describe_bin(number: int) -> str:
    """Return the range of logits of a bin, 0 to 9."""
    if number == 0:
        return f"below {EDGES[0]:g}"
    return f"above {EDGES[-1]:g}" if number == len(EDGES) else f"{EDGES[number - 1]:g} to {EDGES[number]:g}"


def sheet_blocks(dataset: Dataset, ids: Sequence[str], logits: NDArray, labels: NDArray) -> list[Block]:
    """Return a contact sheet of the sample for each label and bin, to review beside the table.

    Parameters
    ----------
    dataset : Dataset
    ids, logits, labels : (n,)
        The sample.
    """
    rows = align_column(dataset.samples(["id", "row"]), "row", ids).to_pylist()
    bins = assign_bins(logits)
    blocks: list[Block] = [
        Text(
            "Each triplet shows new, reference and difference. Enter right, wrong or unsure in the column verdict of "
            "the table."
        )
    ]
    for label in (0, 1):
        for number in range(len(EDGES) + 1):
            positions = np.flatnonzero((labels == label) & (bins == number)).tolist()
            if positions:
                pictures = [draw_triplet(np.asarray(dataset.pixels[rows[position]])) for position in positions]
                sheet = contact_sheet(pictures, [ids[position] for position in positions], _SHEET_COLUMNS)
                caption = f"Labelled {NAMES[label]}, logit {describe_bin(number)}"
                blocks.append(Figure(caption, to_jpeg(sheet), caption))
    return blocks

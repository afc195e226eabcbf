"""The survey of label errors: draw by score, show to people, read their verdicts, estimate both rates."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from realbogus.audits.pictures import draw_triplet
from realbogus.models.label_errors import EDGES, UNSURE, bin_of, count_bins, draw_sample, error_rates
from realbogus.records import BOGUS, REAL
from tasks.candidates.label_reviews import read_verdicts, write_verdict_table
from tasks.learning.split_parts import PartError
from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.page import Figure, Headline, Headlines, Table, Text, page
from tasks.runtime.cluster import Executor
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column
from tasks.store.dataset import Dataset
from tasks.store.files import whole_file, write_json
from tasks.studies.relabel import RelabelRequest, score_folds

TRUTH = "truth"
NAMES = (BOGUS, REAL)


@task(name="survey-labels", description="Sample, sheet and table, or the estimate from verdicts", cache_policy=NO_CACHE)
def survey_labels(
    workspace: Workspace, request: RelabelRequest, per_bin: int, answers: str | None, executor: Executor
) -> dict[str, Any]:
    """Draw the sample and write its sheet and table; with `answers` estimate the rates of wrong labels.

    ``answers`` is the table with its column ``verdict`` filled in (right, wrong, unsure), or ``truth`` where a
    simulation's hidden truth answers.
    """
    started = time.monotonic()
    scores: Any = score_folds(workspace, request, None, executor)
    dataset = Dataset.open(workspace, request.dataset)
    ids, logits, labels = scores["id"].to_pylist(), scores["logit"].to_numpy(), scores["label"].to_numpy()
    sample = draw_sample(logits, labels, per_bin, np.random.default_rng(request.seed))
    stem = workspace.reports / f"label-errors-{dataset.name}"
    table, sheet = stem.with_suffix(".csv"), stem.with_suffix(".html")
    summary: dict[str, Any] = {"count": len(ids), "sampled": len(sample), "table": str(table), "sheet": str(sheet)}
    verdicts = None
    if answers == TRUTH:
        verdicts = _by_truth(dataset, [ids[at] for at in sample], labels[sample])
    elif answers is not None:
        verdicts = read_verdicts(Path(answers).expanduser(), [ids[at] for at in sample])
    else:
        write_verdict_table(table, ((ids[at], NAMES[labels[at]], logits[at]) for at in sample))
    blocks: list[Any] = []
    if verdicts is not None:
        counts = count_bins(logits, labels, sample, verdicts)
        rates = error_rates(counts, np.random.default_rng(request.seed))
        summary["rates"] = {NAMES[label]: vars(rate) for label, rate in rates.items()}
        blocks = _estimate_blocks(dataset, counts, rates)
        write_json(stem.with_suffix(".json"), summary["rates"])
    blocks += _sheet_blocks(dataset, ids, logits, labels, sample)
    title = f"Label errors of {dataset.name}"
    with whole_file(sheet) as path:
        path.write_text(page(title, blocks, f"{dataset.manifest['pixels']} pixels"), encoding="utf-8")
    return summary | {"seconds": round(time.monotonic() - started, 1)}


def _by_truth(dataset: Dataset, ids: list[str], labels: NDArray) -> list[str]:
    """Let the hidden truth answer; blends are unsure."""
    truth = dataset.truth()
    if truth is None:
        raise PartError(f"answers=truth: dataset {dataset.name!r} has no hidden truth; fill in the table instead")
    true = align_column(truth, "truth", ids).to_pylist()
    return [
        UNSURE if word not in NAMES else "right" if word == NAMES[label] else "wrong"
        for word, label in zip(true, labels, strict=True)
    ]


def _estimate_blocks(dataset: Dataset, counts: Any, rates: Any) -> list[Any]:
    lines = [
        Headline(
            f"Wrong among {NAMES[label]}",
            f"{rate.value:.2%}",
            f"{rate.low:.2%} to {rate.high:.2%}; {rate.wrong} wrong of {rate.judged} judged, {rate.labelled} labelled",
        )
        for label, rate in rates.items()
    ]
    rows = [[NAMES[count.label], _span(count.bin), count.size, count.judged, count.wrong] for count in counts]
    return [Headlines(lines), Table("By label and score", ["label", "logit", "labelled", "judged", "wrong"], rows)]


def _span(number: int) -> str:
    if number == 0:
        return f"below {EDGES[0]:g}"
    return f"above {EDGES[-1]:g}" if number == len(EDGES) else f"{EDGES[number - 1]:g} to {EDGES[number]:g}"


def _sheet_blocks(
    dataset: Dataset, ids: list[str], logits: NDArray, labels: NDArray, sample: NDArray[np.int64]
) -> list[Any]:
    """Return a sheet for each label and bin, to be judged beside the table."""
    samples = dataset.samples(["id", "row"])
    row_of = dict(zip(samples["id"].to_pylist(), samples["row"].to_pylist(), strict=True))
    bins = bin_of(logits)
    blocks: list[Any] = [Text("New, reference, difference. Fill in the column verdict: right, wrong or unsure.")]
    for label in (0, 1):
        for number in range(len(EDGES) + 1):
            mine = [at for at in sample if labels[at] == label and bins[at] == number]
            if mine:
                pictures = [draw_triplet(np.asarray(dataset.pixels[row_of[ids[at]]])) for at in mine]
                sheet = contact_sheet(pictures, [ids[at] for at in mine], 5)
                caption = f"Labelled {NAMES[label]}, logit {_span(number)}"
                blocks.append(Figure(caption, to_jpeg(sheet), caption))
    return blocks

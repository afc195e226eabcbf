"""The page of a relabelling, on labels whose numbers are counted by hand."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.galaxies.relabelling.paired_accuracy import PairedAccuracy
from tasks.galaxies.relabelling.relabel_page import RelabelResults, relabel_page
from tasks.learning.intervals import Interval
from tasks.learning.labels.label_queue import label_queue
from tasks.learning.split_parts import SplitPart
from tasks.reports.page import Table

COUNT = 40
# Of twenty E two look like S and one like SB; of twenty S and no SB one looks like E. Two of the four are wrong labels.
LABELS = np.array([0] * 20 + [1] * 20, np.int32)
SUGGESTED = LABELS.copy()
SUGGESTED[[0, 1, 2, 20]] = [1, 1, 2, 0]
TRUTH = LABELS.copy()
TRUTH[[0, 20, 30]] = [1, 0, 3]  # the last is of a kind that the scheme leaves out
CLASSES = ["E", "S", "SB"]


def results(**changes: Any) -> RelabelResults:
    ids = [f"g{row:02d}" for row in range(COUNT)]
    probabilities = np.full((COUNT, 3), 0.1)
    probabilities[np.arange(COUNT), SUGGESTED] = 0.8 + np.arange(COUNT) / 1000
    part = SplitPart(ids, np.arange(COUNT), LABELS, ids)
    queue = label_queue(ids, probabilities, LABELS, SUGGESTED, CLASSES)
    fields: dict[str, Any] = {
        "name": "sky@3",
        "scheme": "deck-3",
        "origin": "simulated pixels, votes labels",
        "classes": CLASSES,
        "request": {"rule": "misclassified", "handling": "remove", "folds": 5},
        "part": part,
        "probabilities": probabilities,
        "suspect": SUGGESTED != LABELS,
        "queue": queue.append_column("vote_fraction", pa.array([0.5] * COUNT)),
        "covariates": {},
        "truth": TRUTH,
        "compared": {},
        "images": np.zeros((6, 8, 8, 3), np.uint8),
        "facts": {"dataset": "sky@3"},
    }
    return RelabelResults(**fields | changes)


def tables(monkeypatch: pytest.MonkeyPatch, shown: RelabelResults) -> dict[str, Table]:
    """The tables of the page by their captions."""
    found: dict[str, Table] = {}

    def keep(title: str, blocks: list[Any], subtitle: str) -> str:
        found.update({block.caption: block for block in blocks if isinstance(block, Table)})
        return title

    monkeypatch.setattr("tasks.galaxies.relabelling.relabel_page.page", keep)
    relabel_page(shown, "queue.parquet")
    return found


def test_suspects_are_counted_by_class_with_what_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    table = tables(monkeypatch, results())["Labels of the training part, Wilson's interval"]
    assert [[row[at] for at in (0, 1, 2, 3, 5)] for row in table.rows] == [
        ["E", 20, 3, "0.150", "S 2, SB 1"],
        ["S", 20, 1, "0.050", "E 1"],
        ["SB", 0, 0, None, None],
    ]


def test_suspects_and_the_head_of_the_queue_are_compared_with_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    table = tables(monkeypatch, results())["Simulated galaxies; no fit and no rule reads the truth"]
    assert [(row[1], row[2]) for row in table.rows] == [(3, 40), (2, 4), (2, 3), (2, 10), (2, 20)]
    assert all("truth" not in caption for caption in tables(monkeypatch, results(truth=None)))


def test_both_trainings_are_shown_with_their_paired_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    intervals = (Interval(0.7, 0.6, 0.8), Interval(0.68, 0.5, 0.8), Interval(-0.02, -0.1, 0.1))
    paired = PairedAccuracy(50, *intervals, 4, 3)
    shown = tables(monkeypatch, results(compared={"labels": paired}))
    table = shown["Accuracy on the test part; the interval of the difference resamples groups"]
    assert [list(row) for row in table.rows] == [
        ["labels", "first", 35, 50, "0.700", "0.600–0.800", 4],
        ["labels", "second", 34, 50, "0.680", "0.500–0.800", 3],
        ["labels", "second − first, paired", None, 50, "−0.020", "−0.100 to +0.100", None],
    ]


def test_the_page_names_the_queue_and_each_shown_galaxy_s_rank() -> None:
    page = relabel_page(results(), "../scores/queue.parquet")
    assert 'href="../scores/queue.parquet"' in page
    assert "4 of 40" in page
    assert "images of the 6 most suspect galaxies" in page


def test_the_estimate_of_confident_networks_is_the_share_of_labels_off_the_diagonal() -> None:
    assert results().estimated_errors.value == pytest.approx(4 / 40, abs=0.03)

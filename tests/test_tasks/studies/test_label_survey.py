"""The survey of label errors: verdicts by the truth, the estimate's blocks, the sheets of the sample."""

import numpy as np
import pytest

from realbogus.models.label_errors import EDGES, BinCount, ErrorRate
from tasks.learning.split_parts import PartError
from tasks.reports.page import Figure, Headlines, Table, Text
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import write_table
from tasks.studies.label_survey import (
    describe_bin,
    estimate_blocks,
    sheet_blocks,
    summarise_rate,
    verdicts_by_truth,
)
from tests.small_candidates import publish_candidates

RATE = ErrorRate(0.125, 0.05, 0.25, 400, 80, 9)


@pytest.fixture
def survey(workspace: Workspace) -> Dataset:
    """Even candidates are truly real; the last is a blend."""
    real = [row % 2 == 0 for row in range(6)]
    names = ["real"] * 6
    dataset = publish_candidates(workspace, "made", names, names, ["train"] * 6, real=real)
    truth = dataset.truth()
    assert truth is not None
    words = truth["truth"].to_pylist()
    words[5] = "blend"
    write_table(dataset.path / "truth.parquet", truth.set_column(1, "truth", [words]))
    return dataset


def test_the_truth_says_right_wrong_or_of_blends_and_unknown_ids_unsure(survey: Dataset) -> None:
    ids = ["c0000", "c0000", "c0001", "c0001", "c0005", "elsewhere"]
    verdicts = verdicts_by_truth(survey, ids, np.array([1, 0, 0, 1, 1, 0]))
    assert verdicts == ["right", "wrong", "right", "wrong", "unsure", "unsure"]


def test_without_a_truth_people_have_to_answer(workspace: Workspace) -> None:
    blind = publish_candidates(workspace, "blind", ["real"], ["cell"], ["train"])
    with pytest.raises(PartError, match="answers=truth: dataset 'blind' has no hidden truth; fill in the table"):
        verdicts_by_truth(blind, ["c0000"], np.array([1]))


@pytest.mark.parametrize(("number", "text"), [(0, "below -4"), (1, "-4 to -3"), (8, "3 to 4"), (9, "above 4")])
def test_a_bin_is_described_by_its_range_of_logits(number: int, text: str) -> None:
    assert len(EDGES) == 9
    assert describe_bin(number) == text


def test_a_rate_is_summarised_with_its_interval_and_counts() -> None:
    assert summarise_rate(RATE) == {
        **{"value": 0.125, "low": 0.05, "high": 0.25},
        **{"labelled": 400, "judged": 80, "wrong": 9},
    }


def test_the_estimate_has_a_headline_per_label_and_the_counts_of_every_bin() -> None:
    headlines, table = estimate_blocks([BinCount(1, 0, 50, 40, 4), BinCount(0, 9, 30, 20, 1)], {1: RATE})
    assert isinstance(headlines, Headlines)
    (headline,) = headlines.figures
    assert (headline.label, headline.value) == ("Wrong labels among real", "12.50%")
    assert headline.detail == "95 % interval 5.00% to 25.00%; 9 of 80 reviewed are wrong, 400 are labelled"
    assert isinstance(table, Table)
    assert table.rows == [["real", "below -4", 50, 40, 4], ["bogus", "above 4", 30, 20, 1]]


def test_the_sample_is_shown_by_label_and_bin_and_empty_bins_are_not(survey: Dataset) -> None:
    ids = ["c0003", "c0000", "c0004"]
    text, *sheets = sheet_blocks(survey, ids, np.array([-5.0, 0.5, 0.6]), np.array([0, 1, 1]))
    assert isinstance(text, Text)
    assert [sheet.caption for sheet in sheets if isinstance(sheet, Figure)] == [
        "Labelled bogus, logit below -4",
        "Labelled real, logit 0 to 1",
    ]
    assert all(isinstance(sheet, Figure) and sheet.pixels.startswith(b"\xff\xd8") for sheet in sheets)
    assert len(sheet_blocks(survey, [], np.empty(0), np.empty(0, int))) == 1

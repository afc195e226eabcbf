"""What the page of a real/bogus build shows: kinds, true origins, completeness."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from realbogus.audits.pictures import draw_triplet
from tasks.candidates.building.build_page import (
    TRIPLETS_PER_KIND,
    TRIPLETS_PER_ROW,
    completeness_plot,
    kind_sheet,
    origin_sheet,
    report_build,
    share_rows,
    spread_evenly,
)
from tasks.reports.contact_sheet import CAPTION_PX, GAP_PX
from tasks.reports.page import Figure, Table
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.small_candidates import SIDE, publish_candidates

SUMMARY: dict[str, Any] = {
    "pixels": "simulated",
    "asked": 50,
    "rejected": {"not_detected": 10},
    "stored": 40,
    "kinds": {"galaxy_injection": 20, "detection": 20},
    "labels": {"real": 20, "bogus": 20},
    "galaxy_share": {"asked": 0.5, "stored": 0.4512, "missing": 3},
}
TILE_HIGH, TILE_WIDE = draw_triplet(np.zeros((SIDE, SIDE, 3), np.float32)).shape[:2]


def publish(workspace: Workspace, count: int = 40, *, injected: bool = True, truth: bool = True) -> Dataset:
    """Even rows are injections near galaxies, labelled real, of which the brighter half is found."""
    even = [row % 2 == 0 for row in range(count)]
    columns: dict[str, list[Any]] = {"kind": ["galaxy_injection" if flag else "detection" for flag in even]}
    if injected:
        columns["injected_mag"] = [18 + 4 * row / count if flag else None for row, flag in enumerate(even)]
        columns["found"] = [row < count / 2 if flag else None for row, flag in enumerate(even)]
    labels = ["real" if flag else "bogus" for flag in even]
    cells, parts = [f"cell{row}" for row in range(count)], ["train"] * count
    return publish_candidates(workspace, "tiny", labels, cells, parts, real=even if truth else None, columns=columns)


def lines(jpeg: bytes) -> int:
    """Number of lines of triplets with captions on a sheet."""
    picture = Image.open(io.BytesIO(jpeg))
    assert picture.width == TRIPLETS_PER_ROW * (TILE_WIDE + GAP_PX) + GAP_PX
    whole, rest = divmod(picture.height - GAP_PX, TILE_HIGH + GAP_PX + CAPTION_PX)
    assert rest == 0
    return whole


def test_at_most_twelve_triplets_of_each_kind_are_shown(workspace: Workspace) -> None:
    assert TRIPLETS_PER_KIND == 2 * TRIPLETS_PER_ROW
    assert lines(kind_sheet(publish(workspace))) == 4  # of two kinds, two lines each


def test_every_true_origin_of_the_bogus_has_a_line_of_its_own(workspace: Workspace) -> None:
    sheet = origin_sheet(publish(workspace))
    assert sheet is not None
    assert lines(sheet) == 1  # the bogus have one origin


def test_without_hidden_truth_no_origins_are_shown(workspace: Workspace) -> None:
    assert origin_sheet(publish(workspace, truth=False)) is None


def test_completeness_is_shown_only_of_injections(workspace: Workspace) -> None:
    plot = completeness_plot(publish(workspace))
    assert plot is not None
    assert Image.open(io.BytesIO(plot.png)).format == "PNG"


def test_a_dataset_without_injections_has_no_completeness(workspace: Workspace) -> None:
    assert completeness_plot(publish(workspace, injected=False)) is None


@pytest.mark.parametrize(("injected", "truth", "figures"), [(True, True, 2), (True, False, 1), (False, False, 0)])
def test_a_build_shows_its_counts_and_what_can_be_known(
    workspace: Workspace, injected: bool, truth: bool, figures: int
) -> None:
    report = report_build(publish(workspace, injected=injected, truth=truth), SUMMARY, lambda row: "none")
    assert report.funnel[0] == ("injections and unmatched detections", 50)
    assert report.funnel[-1] == ("stored", 40)
    tables = [block for block in report.blocks if isinstance(block, Table)]
    assert [list(table.rows) for table in tables] == [
        [("galaxy_injection", 20), ("detection", 20)],
        [("real", 20), ("bogus", 20)],
        [("asked", "50.0%"), ("stored", "45.1%"), ("missing for the share", "3")],
    ]
    assert len([block for block in report.blocks if isinstance(block, Figure)]) == figures


def test_shares_near_galaxies_are_shown_as_far_as_they_are_known() -> None:
    assert share_rows({"asked": 0.25, "stored": None, "missing": None}) == [("asked", "25.0%"), ("stored", "–")]


@given(st.integers(0, 60), st.integers(1, 20))
def test_spread_values_are_in_order_and_as_many_as_there_is_room_for(length: int, count: int) -> None:
    values = spread_evenly(range(length), count)
    assert len(values) == min(length, count)
    assert sorted(set(values)) == list(values)


def test_spread_values_lie_at_equal_steps() -> None:
    assert spread_evenly([0, 1, 2, 3, 4, 5, 6, 7], 4) == [0, 2, 4, 6]
    assert spread_evenly([0, 1, 2, 3, 4, 5, 6], 4) == [0, 1, 2, 3]

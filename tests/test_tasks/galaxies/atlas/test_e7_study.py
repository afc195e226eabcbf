"""The E7 study, on galaxies whose shapes and predictions are written down."""

import math

import numpy as np
import pytest

from galaxy.images.shapes import AT_EDGE, Shapes
from tasks.galaxies.atlas.e7_study import CIRCULARITY_LIMIT, E7Study, study_e7
from tasks.learning import measures
from tasks.learning.predictions import Predictions
from tasks.learning.split_parts import SplitPart

CLASSES = ["E3", "E7", "Sa"]
RIGHT = np.linspace(0.50, 0.72, 12)
WRONG = np.linspace(0.61, 0.81, 11)
# Twelve right E7; ten wrong ones to E3 and the roundest to Sa; an E7 without a shape; an E3 taken for E7.
LABELS = [1] * 23 + [1, 0]
CHOSEN = [1] * 12 + [0] * 10 + [2] + [0, 1]
CIRCULARITY = np.concatenate([RIGHT, WRONG, [np.nan, 0.9]])


def study(origin: str = "real pixels, votes labels", labels: list[int] = LABELS) -> E7Study | None:
    count = len(labels)
    probabilities = np.full((count, 3), 0.1)
    probabilities[np.arange(count), CHOSEN[:count]] = np.linspace(0.5, 0.8, count)
    ids = [f"g{number}" for number in range(count)]
    part = SplitPart(ids, np.arange(count), np.array(labels, np.int32), ids)
    reason = np.where(np.isnan(CIRCULARITY), AT_EDGE, "")
    return study_e7(Predictions(part, CLASSES, probabilities), Shapes(CIRCULARITY, 2 / CIRCULARITY, reason), origin)


@pytest.fixture(autouse=True)
def _few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.galaxies.atlas.e7_study.BOOTSTRAPS", 50)


def test_shares_above_the_line_are_counted_among_right_and_wrong() -> None:
    found = study()
    assert found is not None
    summary = found.summary()
    assert (summary["labelled"], summary["right"], summary["wrong"]) == (24, 12, 11)
    assert summary["not_measured"] == {AT_EDGE: 1}
    right, wrong = measures.rate(4, 12), measures.rate(9, 11)  # 0.66 to 0.72, and 0.65 itself is not above 0.65
    assert int((RIGHT > CIRCULARITY_LIMIT).sum()), int((WRONG > CIRCULARITY_LIMIT).sum()) == (4, 8)
    assert summary["right_above_limit"] == right.value
    assert summary["wrong_above_limit"] == pytest.approx((WRONG > CIRCULARITY_LIMIT).mean())
    assert summary["wrong_above_limit_high"] <= wrong.high


def test_the_auc_is_the_chance_that_a_wrong_one_is_rounder() -> None:
    found = study()
    assert found is not None
    expected = np.mean([wrong > right for wrong in WRONG for right in RIGHT])
    ties = np.mean([wrong == right for wrong in WRONG for right in RIGHT])
    for name in ("circularity", "aspect_ratio"):  # the aspect ratio falls as the circularity rises
        area = found.aucs[name]
        assert area.value == pytest.approx(expected + ties / 2)
        assert area.low <= area.value <= area.high


def test_wrong_ones_are_followed_to_where_they_go() -> None:
    found = study()
    assert found is not None
    above = int((WRONG[:10] > CIRCULARITY_LIMIT).sum())
    assert found.goes_to == {"E3": (above, 10 - above), "Sa": (1, 0)}
    assert found.summary()["goes_to"] == {"E3": 10, "Sa": 1}
    assert [sum(row[1:3]) == row[3] for row in found.tables()["e7_goes_to"].rows] == [True, True]


def test_error_rates_on_both_sides_of_the_line_count_all() -> None:
    found = study()
    assert found is not None
    above, below = found.tables()["e7_errors"].rows
    assert (above[1] + below[1], above[3] + below[3]) == (12, 11)
    assert str(above[5]).startswith(f"{above[3] / (above[1] + above[3]):.3f}")


def test_images_are_the_most_confident_of_each_kind() -> None:
    found = study()
    assert found is not None
    right, above, below = found.chosen().values()
    assert right.tolist() == [11, 10, 9, 8, 7, 6]
    assert above.tolist() == [22, 21, 20, 19, 18, 17]
    assert set(below) == set(12 + np.flatnonzero(WRONG <= CIRCULARITY_LIMIT))


def test_of_few_mistakes_no_auc_is_given() -> None:
    found = study(labels=[1] * 12 + [0] * 10 + [1, 0, 0])
    assert found is not None
    assert math.isnan(found.aucs["circularity"].value)
    assert found.summary()["auc_circularity"] is None
    assert found.tables()["e7_shapes"].rows[0][3] == "not resolved"
    assert "e7_histograms" in found.figures()


def test_simulated_pixels_verify_no_finding_and_that_is_said() -> None:
    real, simulated = study(), study("simulated pixels, votes labels")
    assert real is not None
    assert simulated is not None
    assert not any("not verified" in note.text for note in real.notes())
    assert any("not verified" in note.text for note in simulated.notes())


def test_without_e7_there_is_no_study() -> None:
    assert study(labels=[0] * 25) is None

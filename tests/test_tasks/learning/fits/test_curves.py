"""Figures of epoch curves."""

from tasks.learning.fits.checkpoints import EpochRecord
from tasks.learning.fits.curves import curve_figures


def history(accuracies: list[tuple[float, float]]) -> list[EpochRecord]:
    return [
        EpochRecord(epoch, 1.0, train, 1.0, validation, 1e-3, 1.0)
        for epoch, (train, validation) in enumerate(accuracies, start=1)
    ]


def test_the_first_epoch_near_the_kept_one_and_the_gap_there() -> None:
    curves = history([(0.5, 0.5), (0.7, 0.76), (0.8, 0.7), (0.9, 0.8), (1.0, 0.6)])
    assert curve_figures(curves, 4) == {"epoch_to_95pct": 2, "generalisation_gap": 0.9 - 0.8}
    assert curve_figures(curves, 5) == {"epoch_to_95pct": 2, "generalisation_gap": 1.0 - 0.6}
    assert curve_figures(curves, 1)["epoch_to_95pct"] == 1


def test_a_classifier_that_is_never_right_is_as_good_at_once() -> None:
    assert curve_figures(history([(0.2, 0.0), (0.4, 0.0)]), 2) == {"epoch_to_95pct": 1, "generalisation_gap": 0.4}

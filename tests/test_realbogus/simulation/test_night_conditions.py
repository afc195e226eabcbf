"""What is special about a night: ordinary nights stay as they are, and each departure changes what it should."""

import hashlib
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import median_filter

from realbogus.simulation.night_conditions import NightConditions
from realbogus.simulation.survey import SimulatedVisit, Survey, SurveySettings

SMALL = SurveySettings(seed=3, height_px=400, width_px=500, stars=6000)
CHIP = 22
ORDINARY = "23aea4a9200127034c09a8b5f098402b593769eeee407f95731601058fa35652"
"""Of pixels, masks and truth of two visits without special conditions; another digest means other frames everywhere."""


def observe(chip: int = CHIP, night: int = 4, visit: int = 1, **special: object) -> SimulatedVisit:
    return Survey(SMALL, NightConditions(**special)).chip_visit(night, chip, visit)  # type: ignore[arg-type]


def test_ordinary_nights_have_the_frames_that_they_always_had() -> None:
    total = hashlib.sha256()
    for made in (observe(0, 0, 0), observe()):
        for frame in (made.pair.new, made.pair.reference):
            total.update(frame.pixels.tobytes())
            total.update(frame.mask.tobytes())
        total.update(repr(made.truth).encode())
    assert total.hexdigest() == ORDINARY


def dense(image: Any) -> np.ndarray:
    return np.asarray(image if isinstance(image, np.ndarray) else image.toarray())


@pytest.fixture(scope="module")
def ordinary() -> SimulatedVisit:
    return observe()


def same_frames(first: SimulatedVisit, second: SimulatedVisit) -> bool:
    pairs = [(getattr(first.pair, name), getattr(second.pair, name)) for name in ("new", "reference")]
    return all(np.array_equal(one.pixels, other.pixels, equal_nan=True) for one, other in pairs)


def test_seeing_widens_the_stars_and_leaves_the_reference(ordinary: SimulatedVisit) -> None:
    poor = observe(seeing_factor=1.6)
    # Optics and pixel add in quadrature, or nearly, to a seeing that is 1.6 times as wide.
    assert 1.4 < poor.seeing_fwhm_arcsec / ordinary.seeing_fwhm_arcsec < 1.6
    np.testing.assert_array_equal(poor.pair.reference.pixels, ordinary.pair.reference.pixels)
    assert poor.pair.new.zero_point_mag == ordinary.pair.new.zero_point_mag
    assert poor.pair.epoch_mjd == ordinary.pair.epoch_mjd


def test_clouds_take_light_from_sources_and_the_zero_point_says_how_much(ordinary: SimulatedVisit) -> None:
    cloudy = observe(extinction_mag=2.5)
    clear_mag, cloudy_mag = ordinary.pair.new.zero_point_mag, cloudy.pair.new.zero_point_mag
    assert clear_mag is not None
    assert cloudy_mag == pytest.approx(clear_mag - 2.5)
    clear, dimmed = (dense(made.light.new["star"]) for made in (ordinary, cloudy))
    bright = (clear > 1000) & (clear < 0.2 * ordinary.pair.new.saturation_counts)
    assert bright.sum() > 1000
    np.testing.assert_allclose(np.median(dimmed[bright] / clear[bright]), 0.1, rtol=0.01)


def test_a_hot_chip_has_more_hot_pixels_which_stay_in_place_and_the_others_have_not(ordinary: SimulatedVisit) -> None:
    hot, again = observe(hot_chip=CHIP), observe(hot_chip=f"chip{CHIP}", night=5)
    assert same_frames(observe(hot_chip=CHIP + 1), ordinary)
    np.testing.assert_array_equal(hot.pair.reference.pixels, ordinary.pair.reference.pixels)
    added = dense(hot.light.new["detector"]) - dense(ordinary.light.new["detector"])
    assert added.min() >= 0
    spikes = added - median_filter(added, 3) > 500
    # 0.4 % of all pixels are hot; at 290 K an eighth of them have the 12 electrons per second of 500 counts.
    assert 0.1 < spikes.sum() / (0.004 / 8 * spikes.size) < 2
    later = dense(again.light.new["detector"]) - dense(observe(night=5).light.new["detector"])
    # The current grows with the chip's temperature, which differs between nights; the pixels are the same.
    assert np.corrcoef(added.ravel(), later.ravel())[0, 1] > 0.99
    corners = [abs(corner) for corner in (added[:20, :20].mean(), added[-20:, -20:].mean())]
    corners += [abs(corner) for corner in (added[:20, -20:].mean(), added[-20:, :20].mean())]
    assert max(corners) > 3 * np.median(corners), "an amplifier glows in one corner"


def test_wrong_labels_change_no_frame(ordinary: SimulatedVisit) -> None:
    assert same_frames(observe(wrong_labels=0.5), ordinary)


@pytest.mark.parametrize("chip", ["", "chip", "-1", 1.5, True, "chip1x", "1e2"])
def test_what_names_no_chip_is_refused(chip: object) -> None:
    with pytest.raises(ValueError, match="hot_chip"):
        NightConditions(hot_chip=chip)  # type: ignore[arg-type]


def test_a_chip_beyond_the_survey_is_refused() -> None:
    with pytest.raises(ValueError, match="hot_chip=84: there are chips 0 to 83"):
        Survey(SMALL, NightConditions(hot_chip=84))


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 0.0])
def test_a_seeing_factor_out_of_range_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="seeing_factor"):
        NightConditions(seeing_factor=factor)

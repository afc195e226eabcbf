"""Mask and variance planes that do not fit their frame are refused by name; those that do are used."""

import numpy as np
import pytest

from realbogus.frames import measure_background
from realbogus.records import SourceError
from realbogus.sources.frame_files import read_frame_file
from realbogus.sources.frame_planes import MOST_BAD, check_variance, read_mask, read_variance
from tests.fits_files import draw_sky, wcs_header, write_image

SHAPE = (150, 200)


def bad_share(share: float) -> np.ndarray:
    """Return a mask whose left part, of this share, is bad."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, : round(share * SHAPE[1])] = 1
    return mask


@pytest.mark.parametrize("share", [0.0, 0.2, 0.45, 0.55, 0.98, 1.0])
def test_a_mask_that_calls_most_of_the_sky_bad_is_refused(tmp_path, share):
    path, mask = write_image(tmp_path / "mask.fits", bad_share(share), {}), bad_share(share)
    if share < MOST_BAD:
        np.testing.assert_array_equal(read_mask(path, draw_sky(SHAPE)), mask != 0)
        return
    with pytest.raises(SourceError, match=rf"mask\.fits calls {share:.1%} of .* bad, .* zero must mean good"):
        read_mask(path, draw_sky(SHAPE))


def test_an_exchanged_mask_is_good_again_when_it_is_turned(tmp_path):
    mask = bad_share(0.1)
    frame = write_image(tmp_path / "a.fits", draw_sky(SHAPE), wcs=wcs_header())
    exchanged = write_image(tmp_path / "exchanged.fits", 1 - mask, {})
    with pytest.raises(SourceError, match=r"exchanged\.fits calls 90.0% .* are the two exchanged"):
        read_frame_file(frame, mask=exchanged)
    read = read_frame_file(frame, mask=write_image(tmp_path / "right.fits", mask, {})).frame
    np.testing.assert_array_equal(read.mask > 0, mask > 0)


@pytest.mark.parametrize("dead", ["constant", "wild"])
def test_a_large_part_of_a_chip_may_be_dead(tmp_path, dead):
    """A mask is believed where the pixels that it calls bad do not look like sky."""
    image, mask = draw_sky(SHAPE), bad_share(0.7)
    image[mask > 0] = 300 + (0 if dead == "constant" else 40) * (image[mask > 0] - 300)
    np.testing.assert_array_equal(read_mask(write_image(tmp_path / "mask.fits", mask, {}), image), mask > 0)


def test_pixels_without_data_do_not_count(tmp_path):
    image = draw_sky(SHAPE)
    image[:, :140] = np.nan
    mask = bad_share(0.75)
    np.testing.assert_array_equal(read_mask(write_image(tmp_path / "mask.fits", mask, {}), image), mask > 0)


def test_planes_of_another_shape_are_refused(tmp_path):
    path = write_image(tmp_path / "plane.fits", np.zeros((3, 4), np.uint8), {})
    for read in (lambda: read_mask(path, draw_sky(SHAPE)), lambda: read_variance(path, SHAPE)):
        with pytest.raises(SourceError, match=r"plane\.fits is \(3, 4\), its frame is \(150, 200\)"):
            read()


def compare(tmp_path, sigma: float, variance: float) -> tuple[str, ...]:
    """Compare a constant variance with a sky of this noise."""
    image = draw_sky(SHAPE, 500 * sigma, sigma)
    background, rms = measure_background(image, np.zeros(SHAPE, bool))
    plane = np.full(SHAPE, variance, np.float32)
    return check_variance(tmp_path / "var.fits", plane, image, background, rms, np.zeros(SHAPE, np.uint8))


@pytest.mark.parametrize("sigma", [0.02, 0.2, 8.0, 30.0])
@pytest.mark.parametrize(
    ("power", "kind"), [(1, "standard deviation"), (-1, "inverse standard deviation"), (-2, "inverse variance")]
)
def test_a_plane_that_is_no_variance_is_called_what_it_is(tmp_path, sigma, power, kind):
    with pytest.raises(SourceError, match=rf"var\.fits .* it holds the {kind}, not the variance in counts squared"):
        compare(tmp_path, sigma, sigma**power)


@pytest.mark.parametrize("sigma", [0.05, 1.0, 8.0, 200.0])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_a_variance_is_taken_as_that(tmp_path, sigma, factor):
    assert compare(tmp_path, sigma, factor * sigma**2) == ()


def test_a_variance_far_from_the_noise_is_noted(tmp_path):
    (note,) = compare(tmp_path, 12.0, 40 * 12.0**2)
    assert "has the median 5760 on the sky, the square of the frame's noise is 1" in note


def test_the_note_is_in_the_reading_of_the_frame(tmp_path):
    path = write_image(tmp_path / "a.fits", draw_sky(SHAPE), wcs=wcs_header())
    plane = write_image(tmp_path / "var.fits", np.full(SHAPE, 40 * 12.0**2, np.float32), {})
    assert any("var.fits has the median 5760" in note for note in read_frame_file(path, variance=plane).reading.notes)

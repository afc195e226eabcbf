"""Positions of injections: phases, distances from mask, bright pixels and edge, and the flux as drawn."""

import numpy as np
import pytest

from realbogus.audits.injection_positions import InjectionPositions, join_positions, measure_positions
from realbogus.frames import Frame, Mask
from realbogus.psf.model import constant_psf

SHAPE = (80, 100)
STEPS = np.arange(-8, 9)
PSF = constant_psf(np.exp(-(STEPS[:, None] ** 2 + STEPS**2) / (2 * 1.5**2)), SHAPE)


def make_frame(masked=(), bright=()):
    pixels = np.full(SHAPE, 100.0, np.float32)
    mask = np.zeros(SHAPE, np.uint8)
    for x, y in masked:
        mask[y, x] = Mask.DEFECT
    for x, y, level in bright:
        pixels[y, x] += level
    return Frame(
        pixels=pixels,
        mask=mask,
        background=np.full(SHAPE, 100.0, np.float32),
        background_rms=np.full(SHAPE, 5.0, np.float32),
        gain_e_per_count=1.0,
        saturation_counts=1e5,
        zero_point_mag=25.0,
        pixel_arcsec=1.0,
        quantum_counts=1.0,
        wcs=None,
    )


def measure(frame, positions, is_random=None):
    positions = np.array(positions, float).reshape(-1, 2)
    flags = np.ones(len(positions), bool) if is_random is None else np.array(is_random)
    return measure_positions(frame, PSF, positions, flags, np.random.default_rng(0))


def test_phases_are_relative_to_the_pixel_centre():
    phase = measure(make_frame(), [(50.25, 40.75), (50.5, 40.0), (49.6, 39.4)]).phase
    np.testing.assert_allclose(phase, [(0.25, -0.25), (-0.5, 0), (-0.4, 0.4)], atol=1e-9)


def test_distances_are_from_the_nearest_masked_and_bright_pixel_and_the_edge():
    frame = make_frame(masked=[(10, 20), (90, 70)], bright=[(30, 20, 100.1), (12, 20, 99.9)])
    random = measure(frame, [(13.2, 24.3), (30.0, 22.0), (97.0, 70.0)]).random
    np.testing.assert_allclose(random[0], [5, np.hypot(17, 4), 13], rtol=1e-6)
    np.testing.assert_allclose(random[1], [np.hypot(20, 2), 2, 22], rtol=1e-6)
    np.testing.assert_allclose(random[2], [7, np.hypot(67, 50), 2], rtol=1e-6)


def test_without_mask_or_bright_pixels_the_distance_is_the_longer_axis():
    np.testing.assert_array_equal(measure(make_frame(), [(50, 40)]).random, [[100, 100, 39]])


def test_only_injections_at_random_positions_are_compared_with_uniform_points():
    measured = measure(make_frame(), [(50, 40), (20, 20), (30, 30)], [True, False, True])
    np.testing.assert_array_equal(measured.random[:, 2], [39, 30])
    assert len(measured.phase) == 3
    assert len(measure(make_frame(), [(50, 40)], [False]).random) == 0


def test_uniform_points_avoid_pixels_without_data():
    frame = make_frame()
    frame.mask[:, :60] = Mask.NO_DATA
    even = measure(frame, [(70, 40)]).even
    assert even.shape == (200, 3)
    assert (even[:, 0] >= 0).all()
    # The distance from the masked half is at most 40, and a point next to it exists among 200.
    assert even[:, 0].max() <= 40
    assert even[:, 2].max() <= 39


def test_the_flux_drawn_into_a_frame_is_that_drawn_alone():
    errors = measure(make_frame(), [(50.3, 40.2), (20.0, 60.5), (3.0, 3.0)]).flux_error
    assert len(errors) == 2, "a source at the edge of the frame is left out; half a pixel is rounded up as in drawing"
    assert np.abs(errors).max() < 1e-5


def test_joined_positions_are_those_of_all_frames_in_order():
    parts = [InjectionPositions(*(np.full((n, 2), float(n)) for _ in range(3)), np.full(n, float(n))) for n in (1, 2)]
    joined = join_positions(parts)
    assert joined.flux_error.tolist() == [1, 2, 2]
    assert joined.even[:, 0].tolist() == [1, 2, 2]
    assert len(joined.phase) == len(joined.random) == 3


@pytest.mark.parametrize("x", [-3.0, 104.0])
def test_a_position_outside_the_frame_counts_as_its_edge(x):
    assert measure(make_frame(), [(x, 40.0)]).random[0, 2] == 0

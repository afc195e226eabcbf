"""Stars and galaxies drawn in batches against GalSim, which is the reference."""

import galsim
import numpy as np
import pytest

from realbogus.simulation.camera import build_detector
from realbogus.simulation.optics import PsfField
from realbogus.simulation.rendering import (
    SERSIC_INDICES,
    FrameSources,
    GalaxyShapes,
    draw_galaxies,
    draw_stars,
)

SHAPE = (300, 420)
NOISE, GAIN = 120.0, 0.23


def make_field(seeing, number=80):
    optics = build_detector(0, number, SHAPE, 84, 1.0).optics
    return PsfField(optics, seeing, 0.3, (0.01, -0.02), 1.189, SHAPE)


def one_source(x, y, flux):
    return FrameSources(*(np.array([float(value)]) for value in (x, y, flux)))


def draw_by_galsim(profile, x, y):
    image = galsim.ImageF(galsim.BoundsI(0, SHAPE[1] - 1, 0, SHAPE[0] - 1), scale=1.0)
    profile = profile.withGSParams(folding_threshold=2e-3, maxk_threshold=1e-4)
    profile.drawImage(image, center=galsim.PositionD(x, y))
    return image.array


def assert_agrees(ours, reference):
    noise = np.sqrt(NOISE**2 + np.maximum(reference, 0) / GAIN)
    assert (np.abs(ours - reference) / noise).max() < 0.1
    assert ours.sum() == pytest.approx(reference.sum(), rel=0.01)


@pytest.mark.parametrize("seeing", [2.3, 3.4, 6.0])
def test_stars_agree_with_galsim_over_phase_place_and_flux(seeing):
    field, rng = make_field(seeing), np.random.default_rng(int(seeing * 10))
    for flux in 10 ** rng.uniform(3, 6.5, 5):
        x, y = rng.uniform(60, SHAPE[1] - 60), rng.uniform(60, SHAPE[0] - 60)
        ours = np.zeros(SHAPE, np.float32)
        draw_stars(ours, field, one_source(x, y, flux), NOISE)
        assert_agrees(ours, draw_by_galsim(field.profile_at(x, y) * flux, x, y))


def galaxy_profile(sersic_index, radius_px, axis_ratio, angle_rad):
    """One galaxy of flux 1 in GalSim, in units of pixels; the radius is along the major axis."""
    circular = galsim.Sersic(n=sersic_index, half_light_radius=radius_px * np.sqrt(axis_ratio))
    return circular.shear(q=axis_ratio, beta=angle_rad * galsim.radians)


@pytest.mark.parametrize("index", SERSIC_INDICES)
def test_galaxies_agree_with_galsim_over_phase_place_size_and_shape(index):
    rng = np.random.default_rng(int(index * 10))
    for seeing, flux in zip([2.3, 3.4, 3.4, 5.0], 10 ** rng.uniform(3, 5.7, 4), strict=True):
        field = make_field(seeing)
        x, y = rng.uniform(80, SHAPE[1] - 80), rng.uniform(80, SHAPE[0] - 80)
        shape = index, float(rng.uniform(0.4, 5)), float(rng.uniform(0.3, 1)), float(rng.uniform(0, np.pi))
        ours = np.zeros(SHAPE, np.float32)
        shapes = GalaxyShapes(*(np.array([value]) for value in shape))
        draw_galaxies(ours, field, one_source(x, y, flux), shapes, NOISE)
        assert_agrees(
            ours, draw_by_galsim(galsim.Convolve(galaxy_profile(*shape), field.profile_at(x, y)) * flux, x, y)
        )


def test_a_batch_is_the_sum_of_its_sources():
    field, rng = make_field(3.4), np.random.default_rng(4)
    x, y, flux = rng.uniform(-10, 430, 60), rng.uniform(-10, 310, 60), 10 ** rng.uniform(2, 6, 60)
    together, one_by_one = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    sources = FrameSources(x, y, flux)
    draw_stars(together, field, sources, NOISE)
    for i in range(60):
        draw_stars(one_by_one, field, sources.take(np.array([i])), NOISE)
    assert together == pytest.approx(one_by_one, abs=2)


def test_a_source_at_the_border_is_cut_off_there():
    field = make_field(3.4)
    wide, far = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    draw_stars(wide, field, one_source(-0.5, 150, 1e5), NOISE)
    draw_stars(far, field, one_source(-400, 150, 1e5), NOISE)
    assert 0.4e5 < wide.sum() < 0.6e5
    assert not far.any()


def test_the_point_spread_function_varies_over_the_chip_and_keeps_flux():
    field = make_field(3.4)
    stamps = []
    for x, y in ((60, 60), (360, 240)):
        image = np.zeros(SHAPE, np.float32)
        draw_stars(image, field, one_source(x, y, 1e5), NOISE)
        assert image.sum() == pytest.approx(1e5, rel=1e-4)
        stamps.append(image[y - 5 : y + 6, x - 5 : x + 6])
    assert np.abs(stamps[0] - stamps[1]).max() > 0.02 * stamps[0].max()


def test_centroid_is_where_the_source_is_asked_for():
    optics = build_detector(0, 0, SHAPE, 84, 0.0).optics
    # Without coma or shear of its own the profile is even about its position.
    even = PsfField(type(optics)(1.2, (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)), 3.4, 0.0, (0, 0), 1.189, SHAPE)
    for phase in (0.0, 0.25, 0.5, 0.9):
        image = np.zeros(SHAPE, np.float32)
        draw_stars(image, even, one_source(200 + phase, 150 - phase, 1e5), NOISE)
        rows, columns = np.indices(SHAPE)
        assert (image * columns).sum() / image.sum() == pytest.approx(200 + phase, abs=0.02)
        assert (image * rows).sum() / image.sum() == pytest.approx(150 - phase, abs=0.02)

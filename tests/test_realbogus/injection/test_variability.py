"""Injections on stars and nuclei: where they lie, how bright they are, and that the others remain as they were."""

from dataclasses import replace

import numpy as np
import pytest

from realbogus.frames import Frame, Mask
from realbogus.injection.inject import Hosts, InjectionSettings, plan_injections, sky_limit_counts
from realbogus.injection.variability import (
    AMPLITUDE_MAG,
    VariableSources,
    draw_variable_sources,
    find_variable_sources,
)
from realbogus.psf.model import constant_psf
from realbogus.psf.stars import Stars
from realbogus.records import VARIABLE_INJECTION

SHAPE = (300, 360)
SKY, RMS, ZERO_POINT = 500.0, 10.0, 25.0
_STEPS = np.arange(-9, 10)
_PROFILE = np.exp(-(_STEPS**2) / (2 * 1.4**2))
PSF = constant_psf(np.outer(_PROFILE, _PROFILE), SHAPE)


def scatter(count, seed=0):
    """Positions of sources that do not touch, between the pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[14:290:25, 14:350:25]
    chosen = rng.permutation(x.size)[:count]
    return x.ravel()[chosen] + rng.uniform(-0.5, 0.5, count), y.ravel()[chosen] + rng.uniform(-0.5, 0.5, count)


def frame_with(x, y, flux):
    pixels = (SKY + PSF.draw(x, y, flux, SHAPE)).astype(np.float32)
    flat = np.full(SHAPE, SKY, np.float32), np.full(SHAPE, RMS, np.float32)
    return Frame(pixels, np.zeros(SHAPE, np.uint8), *flat, 1.0, 1e9, ZERO_POINT, 1.2)


def detected(x, y, flux, **flags):
    count = len(x)
    given = {"saturated": np.zeros(count, bool), "isolated": np.ones(count, bool), "star_like": np.ones(count, bool)}
    return Stars(x, y, flux, flux / 50, flux / 12, np.full(count, 3.3), **(given | flags))


def galaxies(x, y):
    size = np.full(len(x), 3.0)
    return Hosts(x, y, np.ones(len(x)), size, np.ones(len(x)), np.zeros(len(x)), np.full(len(x), 17.0))


X, Y = scatter(120)
FLUX = 10 ** np.random.default_rng(1).uniform(3, 5.5, 120)
STARS, NUCLEI = slice(0, 80), slice(80, 120)


def plan(fraction, stars=True, seed=3, count=60):
    frame = frame_with(X, Y, FLUX)
    known = detected(X[STARS], Y[STARS], FLUX[STARS]) if stars else None
    settings = InjectionSettings(per_visit=count, variable_fraction=fraction)
    hosts = galaxies(X[NUCLEI], Y[NUCLEI])
    return frame, plan_injections(frame, PSF, hosts, settings, np.random.default_rng(seed), known)


def test_the_flux_of_a_source_is_measured_and_masked_or_saturated_ones_are_left_out():
    frame = frame_with(X, Y, FLUX)
    frame.mask[round(Y[1]), round(X[1])] = int(Mask.SATURATED)
    saturated = np.arange(80) == 2
    stars = detected(X[STARS], Y[STARS], FLUX[STARS], saturated=saturated, star_like=np.arange(80) != 3)
    sources = find_variable_sources(frame, PSF, stars, (X[NUCLEI], Y[NUCLEI]))
    kept = np.setdiff1d(np.arange(120), [1, 2, 3])
    np.testing.assert_array_equal(sources.x, X[kept])
    np.testing.assert_array_equal(sources.is_nucleus, kept >= 80)
    np.testing.assert_allclose(sources.flux_counts, FLUX[kept], rtol=1e-3)


def test_a_detected_nucleus_counts_once():
    frame = frame_with(X, Y, FLUX)
    both = detected(X + 0.4, Y, FLUX)
    sources = find_variable_sources(frame, PSF, both, (X[NUCLEI], Y[NUCLEI]))
    assert len(sources) == 120
    assert sources.is_nucleus.sum() == 40


def test_amplitudes_are_possible_and_log_normal_where_sources_are_many():
    rng = np.random.default_rng(5)
    flux = 10 ** rng.uniform(1, 7, 40_000)
    sources = VariableSources(np.zeros(40_000), np.zeros(40_000), flux, np.arange(40_000) % 2 == 0)
    drawn = draw_variable_sources(sources, np.full(300, 3000.0), rng)
    assert len(set(drawn.tolist())) == 300
    amplitude = 2.5 * np.log10(1 + 3000.0 / flux[drawn])
    assert amplitude.min() >= AMPLITUDE_MAG[0]
    assert amplitude.max() <= AMPLITUDE_MAG[1]
    # sources are uniform in log flux, so the density of ln(amplitude) is the normal one times that of ln(flux)
    assert 0.15 < np.median(amplitude) < 0.45
    assert 0.25 < sources.is_nucleus[drawn].mean() < 0.45


def test_no_source_is_drawn_twice_and_none_of_an_impossible_amplitude():
    sources = VariableSources(np.zeros(2), np.zeros(2), np.array([1000.0, 1.0]), np.zeros(2, bool))
    drawn = draw_variable_sources(sources, np.full(3, 300.0), np.random.default_rng(0))
    assert sorted(drawn.tolist()) == [-1, -1, 0]


def test_without_a_share_or_stars_nothing_changes():
    _, before = plan(0.0)
    for fraction, stars in ((0.0, False), (0.5, False)):
        _, after = plan(fraction, stars)
        for name in before.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_a_share_of_the_injections_lies_on_sources_and_all_keep_their_flux():
    _, before = plan(0.0)
    frame, planned = plan(0.4)
    moved = planned.kind == VARIABLE_INJECTION
    assert 0.2 < moved.mean() < 0.6
    np.testing.assert_array_equal(planned.flux_counts, before.flux_counts)
    np.testing.assert_array_equal(planned.x[~moved], before.x[~moved])
    np.testing.assert_array_equal(planned.kind[~moved], before.kind[~moved])
    distance = np.hypot(planned.x[moved, None] - X, planned.y[moved, None] - Y)
    source = distance.argmin(axis=1)
    assert distance.min(axis=1).max() == 0
    assert len(set(source.tolist())) == moved.sum()
    np.testing.assert_allclose(planned.host_mag[moved], ZERO_POINT - 2.5 * np.log10(FLUX[source]), atol=0.01)
    np.testing.assert_array_equal(np.isnan(planned.host_separation_re[moved]), source < 80)
    assert (planned.host_separation_arcsec[moved] == 0).all()
    amplitude = 2.5 * np.log10(1 + planned.flux_counts[moved] / FLUX[source])
    assert (amplitude >= AMPLITUDE_MAG[0] - 0.01).all()
    assert (amplitude <= AMPLITUDE_MAG[1] + 0.01).all()
    assert planned.flux_counts.max() <= 300 * sky_limit_counts(frame, PSF)


def test_a_frame_without_sources_keeps_its_injections():
    bare = replace(frame_with(X, Y, FLUX), pixels=np.full(SHAPE, SKY, np.float32))
    none = detected(*(np.zeros(0) for _ in range(3)))
    nowhere = galaxies(np.zeros(0), np.zeros(0))
    settings = InjectionSettings(per_visit=10, variable_fraction=1.0)
    planned = plan_injections(bare, PSF, nowhere, settings, np.random.default_rng(0), none)
    assert set(planned.kind.tolist()) == {"random_injection"}


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_a_share_is_between_0_and_1(fraction):
    with pytest.raises(ValueError, match="variable_fraction"):
        InjectionSettings(variable_fraction=fraction)

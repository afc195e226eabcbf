"""Injections: drawn by stated laws, and in the pixels as if their light had fallen there."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from realbogus.frames import Frame, Mask
from realbogus.injection.inject import (
    Hosts,
    InjectionError,
    Injections,
    InjectionSettings,
    inject,
    plan_injections,
    sky_limit_counts,
)
from realbogus.psf.model import constant_psf
from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION

SHAPE = (300, 360)
SKY, RMS, PIXEL_ARCSEC = 500.0, 10.0, 1.2
NOISELESS_GAIN = 1e9


def gaussian_psf(sigma_px):
    steps = np.arange(-9, 10)
    profile = np.exp(-(steps**2) / (2 * sigma_px**2))
    return constant_psf(np.outer(profile, profile), SHAPE)


PSF = gaussian_psf(1.4)


def flat_frame(*, gain=1.0, quantum=0.0, offset=0.0, saturation=1e9):
    """A frame of nothing but sky, on a lattice of `quantum` that begins at `offset`."""
    pixels = np.full(SHAPE, SKY, np.float32)
    if quantum:
        pixels += np.random.default_rng(9).normal(0, RMS, SHAPE).astype(np.float32)
        pixels = (np.round((pixels - offset) / quantum) * quantum + offset).astype(np.float32)
    flat = np.full(SHAPE, SKY, np.float32), np.full(SHAPE, RMS, np.float32)
    return Frame(pixels, np.zeros(SHAPE, np.uint8), *flat, gain, saturation, 25.0, PIXEL_ARCSEC, quantum)


def placed(x, y, flux, realisation=None):
    """Injections at chosen places."""
    count = len(x)
    nothing = np.full(count, np.nan)
    drawn = np.zeros(count, int) if realisation is None else realisation
    kind = np.full(count, RANDOM_INJECTION)
    return Injections(x, y, flux, kind, np.full(count, -1), nothing, nothing, nothing, drawn)


def on_a_grid(flux, rng, step=20):
    """One injection in every cell of `step` pixels, anywhere between the pixels."""
    y, x = (
        axis.ravel() + rng.uniform(-0.5, 0.5, axis.size) for axis in np.mgrid[10 : 300 - 9 : step, 10 : 360 - 9 : step]
    )
    return placed(x, y, np.full(len(x), float(flux)))


def sum_by_cell(image, step=20):
    return image.reshape(SHAPE[0] // step, step, SHAPE[1] // step, step).sum(axis=(1, 3), dtype=float).ravel()


def galaxies(x, y, flux=None, radius=3.0, ratio=1.0, angle=0.0):
    x, y = np.asarray(x, float), np.asarray(y, float)
    flux = np.ones(len(x)) if flux is None else np.asarray(flux, float)
    return Hosts(x, y, flux, *(np.full(len(x), value) for value in (radius, ratio, angle)), 20 - 2.5 * np.log10(flux))


NO_GALAXIES = galaxies([], [])


def plan(frame, hosts, rng, **settings):
    return plan_injections(frame, PSF, hosts, InjectionSettings(**settings), rng)


@pytest.mark.parametrize("gain", [0.23, 1.0, 6.0])
@pytest.mark.parametrize("quantum", [0.0, 1.0, 4.0])
def test_flux_and_photon_noise_are_those_asked_for(gain, quantum):
    rng = np.random.default_rng(1)
    flux, frame = 400.0, flat_frame(gain=gain, quantum=quantum)
    sums = np.concatenate([sum_by_cell(inject(frame, PSF, on_a_grid(flux, rng), rng)[1]) for _ in range(12)])
    # Poisson's variance, and that of a step of chance for each of the pixels that the PSF lights
    expected = flux / gain + 361 * quantum**2 / 4
    assert sums.mean() == pytest.approx(flux, abs=4 * np.sqrt(expected / len(sums)))
    if not quantum:
        assert sums.var() == pytest.approx(flux / gain, rel=4 * np.sqrt(2 / len(sums)))


def test_each_lies_between_the_pixels_where_it_was_asked():
    rng = np.random.default_rng(2)
    injections = on_a_grid(1e4, rng)
    _, image = inject(flat_frame(gain=NOISELESS_GAIN), PSF, injections, rng)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    total = sum_by_cell(image)
    np.testing.assert_allclose(total, 1e4, rtol=1e-3)
    np.testing.assert_allclose(sum_by_cell(image * columns) / total, injections.x, atol=0.01)
    np.testing.assert_allclose(sum_by_cell(image * rows) / total, injections.y, atol=0.01)


def test_each_is_drawn_with_its_own_realisation_of_the_psf():
    sharp, wide = gaussian_psf(1.2), gaussian_psf(2.0)
    psf = replace(PSF, jackknife=np.stack([sharp.spectra, wide.spectra]))
    injections = placed(np.array([60.0, 200.0]), np.array([60.0, 200.0]), np.full(2, 1e4), np.array([1, 0]))
    _, image = inject(flat_frame(gain=NOISELESS_GAIN), psf, injections, np.random.default_rng(3))
    for column, row, drawn in ((60, 60, wide), (200, 200, sharp)):
        stamp = drawn.at(np.array([float(column)]), np.array([float(row)]))[0]
        np.testing.assert_allclose(image[row - 9 : row + 10, column - 9 : column + 10], 1e4 * stamp, atol=0.5)


def test_the_frame_is_left_alone_and_the_image_is_what_was_added():
    rng = np.random.default_rng(4)
    frame = flat_frame(quantum=1.0)
    frame.pixels[100:110], frame.mask[100:110] = np.nan, int(Mask.NO_DATA)
    before = frame.pixels.copy()
    injected, image = inject(frame, PSF, on_a_grid(3000, rng), rng)
    np.testing.assert_array_equal(frame.pixels, before)
    np.testing.assert_array_equal(np.isnan(injected.pixels), np.isnan(before))
    assert (image[100:110] == 0).all()
    here = np.isfinite(before)
    np.testing.assert_array_equal(injected.pixels[here], (before + image)[here])
    np.testing.assert_array_equal(injected.mask, frame.mask)


@pytest.mark.parametrize(("quantum", "offset"), [(1.0, 0.0), (2.5, 7.0)])
def test_values_stay_on_the_lattice_of_the_frame(quantum, offset):
    rng = np.random.default_rng(5)
    frame = flat_frame(gain=0.7, quantum=quantum, offset=offset)
    injected, image = inject(frame, PSF, on_a_grid(3000, rng), rng)
    assert (image != 0).sum() > 5000
    steps = (injected.pixels.astype(float) - offset) / quantum
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    # The pixel beside the light that got none of it is as it was.
    np.testing.assert_array_equal(injected.pixels[image == 0], frame.pixels[image == 0])


def test_the_well_clips_and_is_masked():
    rng = np.random.default_rng(6)
    frame = flat_frame(saturation=2000.0)
    frame.pixels[50, 70], frame.pixels[50, 71] = 2600, 2000
    frame.mask[50, 70:72] = int(Mask.SATURATED)
    injected, image = inject(frame, PSF, placed(np.array([70.0, 200.0]), np.array([50.0, 80.0]), np.full(2, 1e5)), rng)
    newly = (injected.mask & ~frame.mask & Mask.SATURATED) > 0
    assert newly[80, 200]
    assert (injected.pixels[newly] == 2000).all()
    # 1e5 counts over 1500 above the sky: a disc where the Gaussian's profile is above that
    radius = 1.4 * np.sqrt(2 * np.log(1e5 / (2 * np.pi * 1.4**2) / 1500))
    assert newly[60:101, 180:221].sum() == pytest.approx(np.pi * radius**2, rel=0.25)
    assert ((injected.mask & Mask.SATURATED) > 0)[injected.pixels >= 2000].all()
    assert injected.pixels[50, 70:72].tolist() == [2600, 2000], "what is full already takes no light and loses none"
    assert image[50, 70:72].tolist() == [0, 0]


def test_random_ones_are_even_over_the_pixels_that_have_data():
    frame = flat_frame()
    frame.mask[:, 180:] = int(Mask.NO_DATA)
    frame.mask[100:140, 20:80] = int(Mask.SATURATED)
    injections = plan(frame, NO_GALAXIES, np.random.default_rng(7), per_visit=8000)
    assert set(injections.kind) == {RANDOM_INJECTION}
    assert stats.kstest(injections.x, stats.uniform(-0.5, 180).cdf).pvalue > 0.01
    assert stats.kstest(injections.y, stats.uniform(-0.5, 300).cdf).pvalue > 0.01
    inside = (abs(injections.y - 119.5) < 20) & (abs(injections.x - 49.5) < 30)
    assert stats.binomtest(int(inside.sum()), 8000, 40 * 60 / (300 * 180)).pvalue > 0.01, "stars are not kept clear of"
    phases = [np.mod(values + 0.5, 1) for values in (injections.x, injections.y)]
    assert stats.chisquare(np.histogram2d(*phases, bins=10, range=[(0, 1), (0, 1)])[0].ravel()).pvalue > 0.01


def test_hosts_are_chosen_by_their_flux_and_the_light_places_them():
    hosts = galaxies([50, 150, 250], [60, 60, 200], flux=[1, 3, 6], radius=4.0, ratio=0.4, angle=np.radians(30))
    injections = plan(flat_frame(), hosts, np.random.default_rng(8), per_visit=6000, galaxy_fraction=1)
    assert set(injections.kind) == {GALAXY_INJECTION}
    assert stats.chisquare(np.bincount(injections.host), 6000 * np.array([0.1, 0.3, 0.6])).pvalue > 0.01
    np.testing.assert_array_equal(injections.host_mag, hosts.mag[injections.host])
    dx, dy = injections.x - hosts.x[injections.host], injections.y - hosts.y[injections.host]
    np.testing.assert_allclose(injections.host_separation_arcsec, np.hypot(dx, dy) * PIXEL_ARCSEC, rtol=1e-9)
    along = dx * np.cos(np.radians(30)) + dy * np.sin(np.radians(30))
    across = dy * np.cos(np.radians(30)) - dx * np.sin(np.radians(30))
    assert np.std(across) / np.std(along) == pytest.approx(0.4, rel=0.05)
    assert abs(np.corrcoef(along, across)[0, 1]) < 0.05
    within = np.hypot(along, across / 0.4) * PIXEL_ARCSEC / 4.0  # in effective radii
    np.testing.assert_allclose(injections.host_separation_re, within, rtol=1e-9)
    assert stats.binomtest(int((within < 1).sum()), 6000, 0.5).pvalue > 0.01, "half of the light lies within"


def test_no_galaxy_holds_two_while_there_are_enough():
    rng = np.random.default_rng(9)
    hosts = galaxies(*rng.uniform(20, 280, (2, 60)), flux=rng.pareto(1, 60) + 0.1)
    injections = plan(flat_frame(), hosts, rng, per_visit=50, galaxy_fraction=1)
    assert len(set(injections.host)) == 50


def test_the_share_near_galaxies_is_the_one_asked():
    hosts = galaxies(*np.random.default_rng(0).uniform(20, 280, (2, 900)))
    injections = plan(flat_frame(), hosts, np.random.default_rng(10), per_visit=1000, galaxy_fraction=0.3)
    assert stats.binomtest(int((injections.kind == GALAXY_INJECTION).sum()), 1000, 0.3).pvalue > 0.01
    assert ((injections.host >= 0) == (injections.kind == GALAXY_INJECTION)).all()
    assert (np.isfinite(injections.host_separation_re) == (injections.kind == GALAXY_INJECTION)).all()


def test_without_a_galaxy_on_the_frame_none_is_made_up():
    frame = flat_frame()
    frame.mask[40:60, 40:60] = int(Mask.NO_DATA)
    elsewhere = galaxies([-3, 100, 400, 50, 100], [50, -0.6, 20, 50, 301])
    injections = plan(frame, elsewhere, np.random.default_rng(11), per_visit=50, galaxy_fraction=0.5)
    assert set(injections.kind) == {RANDOM_INJECTION}
    at_the_rim = plan(frame, galaxies([59.6], [50]), np.random.default_rng(11), per_visit=50)
    assert GALAXY_INJECTION in at_the_rim.kind, "its pixel is the first that has data"
    dark = replace(galaxies([100], [100]), flux=np.zeros(1))
    assert set(plan(frame, dark, np.random.default_rng(11), per_visit=50).kind) == {RANDOM_INJECTION}


@pytest.mark.parametrize("slope", [0.0, 0.25, 0.6])
def test_brightness_follows_the_stated_law_between_its_limits(slope):
    frame = flat_frame()
    injections = plan(
        frame,
        NO_GALAXIES,
        np.random.default_rng(12),
        per_visit=5000,
        brightest_snr=80,
        faintest_snr=2,
        slope_per_mag=slope,
    )
    snr = injections.flux_counts / sky_limit_counts(frame, PSF)
    assert 2 <= snr.min() < snr.max() <= 80
    fainter, deepest = 2.5 * np.log10(80 / snr), 2.5 * np.log10(40)

    def share(magnitude):
        return (10 ** (slope * magnitude) - 1) / (10 ** (slope * deepest) - 1) if slope else magnitude / deepest

    assert stats.kstest(fainter, share).pvalue > 0.01


def test_the_limit_of_the_sky_is_the_noise_of_the_best_filter():
    # The matched filter's noise for a Gaussian PSF on white noise is rms * sqrt(4 pi) * sigma.
    assert sky_limit_counts(flat_frame(), PSF) == pytest.approx(RMS * np.sqrt(4 * np.pi) * 1.4, rel=1e-3)


def test_the_generator_alone_decides():
    hosts = galaxies(*np.random.default_rng(0).uniform(20, 280, (2, 90)))
    frame = flat_frame(gain=2.0)
    images = []
    for seed in (1, 1, 2):
        rng = np.random.default_rng(seed)
        images.append(inject(frame, PSF, plan(frame, hosts, rng), rng)[1])
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValidationError, match=r"faintest_snr=60.0 is not below brightest_snr=60.0"):
        InjectionSettings(faintest_snr=60, brightest_snr=60)
    with pytest.raises(ValidationError, match="galaxy_share"):
        InjectionSettings(galaxy_share=0.5)


def test_the_defaults_are_those_that_are_shipped():
    assert InjectionSettings().model_dump() == {
        **{"per_visit": 20, "galaxy_fraction": 0.5, "brightest_host_mag": 16.0, "brightest_snr": 300.0},
        **{"faintest_snr": 3.0, "slope_per_mag": 0.25, "variable_fraction": 0.0, "repeats": 1, "rounds": 1},
    }


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("per_visit", (0, 10_000), (-1, 10_001)),
        ("galaxy_fraction", (0, 1), (-0.01, 1.01)),
        ("faintest_snr", (0.01, 299.9), (0, 300)),
        ("slope_per_mag", (0, 1), (-0.01, 1.01)),
        ("variable_fraction", (0, 1), (-0.01, 1.01)),
        ("repeats", (1, 100), (0, 101)),
        ("rounds", (1, 100), (0, 101)),
    ],
)
def test_settings_within_their_limits_are_accepted(name, accepted, refused):
    for value in accepted:
        assert getattr(InjectionSettings(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(ValidationError, match=name):
            InjectionSettings(**{name: value})
    with pytest.raises(ValidationError, match="brightest_snr"):
        InjectionSettings(brightest_snr=0)


@pytest.mark.parametrize(
    ("x", "y", "is_inside"),
    [
        *((x, 150, True) for x in (-0.5, 359.49)),
        *((x, 150, False) for x in (-0.51, 359.5, -30.0, 500.0)),
        *((180, y, True) for y in (-0.5, 299.49)),
        *((180, y, False) for y in (-0.51, 299.5, -30.0, 500.0)),
    ],
)
def test_hosts_inside_are_those_whose_centre_is_on_a_pixel(x, y, is_inside):
    assert len(galaxies([x], [y]).inside(flat_frame()).x) == is_inside


def test_hosts_without_data_or_light_are_none():
    frame = flat_frame()
    frame.mask[20, 30], frame.mask[21, 31] = Mask.NO_DATA, Mask.SATURATED
    hosts = replace(galaxies([30, 31, 40, 50], [20, 21, 40, 50]), flux=np.array([1.0, 1.0, 0.0, 0.5]))
    assert hosts.inside(frame).x.tolist() == [31, 50]


def test_hosts_brighter_than_the_limit_are_drawn_as_one_at_it():
    """Of magnitudes 12, 16 and 17 the first two are drawn as often, the third by its flux."""
    flux = 10 ** (-0.4 * np.array([12.0, 16.0, 17.0]))
    x = np.array([60.0, 180.0, 300.0])
    hosts = replace(galaxies(x, [150.0] * 3, flux, radius=0.01), mag=np.array([12.0, 16.0, 17.0]))
    drawn = plan(flat_frame(), hosts, np.random.default_rng(4), per_visit=10_000, galaxy_fraction=1.0)
    counts = np.bincount(drawn.host, minlength=3)
    assert counts[0] / counts[1] == pytest.approx(1, abs=0.06)
    assert counts[2] / counts[1] == pytest.approx(10**-0.4, abs=0.03)
    np.testing.assert_allclose(drawn.x, x[drawn.host], atol=0.2)


def test_places_without_a_host_are_even_within_their_pixel():
    """With one pixel of data, all places lie on it, in x and y alike."""
    frame = flat_frame()
    frame.mask[:] = Mask.NO_DATA
    frame.mask[100, 200] = 0
    drawn = plan(frame, NO_GALAXIES, np.random.default_rng(5), per_visit=4000)
    for place, middle in ((drawn.x, 200), (drawn.y, 100)):
        assert stats.kstest(place - middle + 0.5, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(drawn.x, drawn.y)[0, 1]) < 0.06
    rng = np.random.default_rng(5)
    rng.random(4000), rng.integers(0, 1, 4000)
    phases = rng.uniform(-0.5, 0.5, (2, 4000))
    np.testing.assert_allclose((drawn.x, drawn.y), phases + np.array([[200], [100]]))


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.6])
def test_the_law_of_brightness_in_exact_numbers(slope):
    """At half of the cumulated number, of a law that grows as 10^(slope m) over the stated magnitudes."""
    drawn = plan(flat_frame(), NO_GALAXIES, np.random.default_rng(6), per_visit=10_000, slope_per_mag=slope)
    fainter = 2.5 * np.log10(300 * sky_limit_counts(flat_frame(), PSF) / drawn.flux_counts)
    span = 2.5 * np.log10(100)
    middle = np.log10((1 + 10 ** (slope * span)) / 2) / slope if slope else span / 2
    assert fainter.min() >= -1e-9
    assert fainter.max() <= span + 1e-9
    assert (fainter < middle).mean() == pytest.approx(0.5, abs=0.015)


def test_more_electrons_than_can_be_drawn_name_gain_and_noise():
    bright = placed(np.array([50.0]), np.array([60.0]), np.array([1e4]))
    with pytest.raises(InjectionError, match=r"electrons .* check the gain \(1e\+30\) and the noise \(10 counts\)"):
        inject(flat_frame(gain=1e30), PSF, bright, np.random.default_rng(1))

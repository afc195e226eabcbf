"""Samples of sources on empty sky with known distributions, for the tests of the audits."""

import numpy as np
from scipy import ndimage

from realbogus.audits.matched_pairs import MatchedPairs
from realbogus.audits.source_sample import INJECTED, SourceSample, join_samples

SIDE, SKY, GAIN, REFERENCE_DEPTH = 29, 60.0, 0.23, 6.0


def point_profiles(x, y, sigma):
    """Return Gaussian stars of unit flux at sub-pixel phases, (n, side, side)."""
    step = np.arange(SIDE) - SIDE // 2
    across = np.exp(-((step - (x - np.floor(x + 0.5))[:, None]) ** 2) / (2 * sigma[:, None] ** 2))
    up = np.exp(-((step - (y - np.floor(y + 0.5))[:, None]) ** 2) / (2 * sigma[:, None] ** 2))
    stars = up[:, :, None] * across[:, None, :]
    return stars / stars.sum(axis=(1, 2), keepdims=True)


def make_sample(kind, count, seed, *, poisson=True, digitised=True, one_psf=False, off_px=0.0, smoothed=False):
    """Return sources on empty sky with one distribution, apart from what the arguments change."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(20, 480, (2, count))
    sigma = 1.3 * (1 + 0.15 * (x / 250 - 1))
    flux = SKY * 4.6 * 10 ** rng.uniform(np.log10(12), np.log10(200), count)
    profile = point_profiles(x, y, sigma)
    light = flux[:, None, None] * (point_profiles(x, y, np.full(count, 1.3)) if one_psf else profile)
    if poisson:
        light = rng.poisson(light * GAIN) / GAIN
    sky = rng.normal(3600, SKY, light.shape)
    new = (np.round(sky) + light) if not digitised else np.round(sky + light)
    if smoothed:
        new = 3600 + ndimage.gaussian_filter(new - 3600, (0, 0.5, 0.5))
        new = np.round(new)
    reference = (
        np.round(REFERENCE_DEPTH * rng.normal(3600, SKY / np.sqrt(REFERENCE_DEPTH), new.shape)) / REFERENCE_DEPTH
    )
    detected_x = x + off_px * rng.normal(size=count)
    claimed = np.where(np.floor(detected_x + 0.5) == np.floor(x + 0.5), detected_x, x)
    shared = {
        "snr": flux / SKY / 4.6,
        "galaxy_separation_re": np.full(count, 9.0),
        "finite_fraction": np.ones(count),
        "saturated": np.zeros(count),
        "seeing_px": np.full(count, 1.3 * 2.355),
        "difference_fwhm_px": np.full(count, 1.3 * 2.355),
        "gain_e_per_count": np.full(count, GAIN),
        "quantum_counts": np.ones(count),
        "saturation_counts": np.full(count, 3e5),
        "scale": np.ones(count),
        "rms_counts": np.full(count, SKY),
        "identity": np.zeros(count),
        "x_px": claimed,
        "y_px": y,
    }
    at_claim = point_profiles(claimed, y, sigma)
    stamps = np.stack([new, reference, new - reference], axis=-1).astype(np.float32)
    field = np.arange(count) % 20
    return SourceSample(np.full(count, kind, object), field, stamps, at_claim, at_claim, np.ones(count, bool), shared)


def pairs_of(scene, injected):
    joined = join_samples([scene, injected])
    return MatchedPairs(joined, joined.kind == INJECTED, joined.field % 5)

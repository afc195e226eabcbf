"""Properties of simulated galaxies: true class, shape parameters, magnitude, size, redshift.

The classes overlap in every property that a catalogue lists. Units are in the names; radii are on the sky, along the
major axis; position angles run from north to east.
"""

import numpy as np

SMOOTH, DISC, EDGE_ON, STAR = "smooth", "disc", "edge_on", "star"

# Shares of the true classes. Dominant (a) and absent (d) bulges are rarer, as in a selected Galaxy Zoo 2 sample.
CLASS_SHARES = {
    "E0": 0.110, "E3": 0.130, "E7": 0.080,
    "Sa": 0.045, "Sb": 0.140, "Sc": 0.135, "Sd": 0.045,
    "SBa": 0.030, "SBb": 0.105, "SBc": 0.090, "SBd": 0.030,
    "edge_on": 0.052, "artifact": 0.008,
}  # fmt: skip
_SMOOTH_AXIS_RATIO = {"E0": (0.91, 0.05), "E3": (0.69, 0.07), "E7": (0.39, 0.07)}  # mean, scatter
_BULGE_PROMINENCE = {"a": 0.88, "b": 0.63, "c": 0.37, "d": 0.10}  # 0 none, 1 dominant
_COLOUR_OF_PROMINENCE = (0.46, 0.19)  # g-r of a bulgeless disc, and what a dominant bulge adds
SERSIC_INDICES = np.array([1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0])  # few values, since each needs a Fourier table
_LEAST_R90_ARCSEC, _MOST_R90_ARCSEC = 4.0, 60.0
_ODD_SHARE = 0.06
_ODD_KINDS = ("ring", "disturbed", "irregular", "other", "merger", "dust_lane")
_ODD_WEIGHTS = (0.30, 0.12, 0.12, 0.16, 0.20, 0.10)


def draw_shapes(host: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw galaxies.

    Parameters
    ----------
    host : ndarray of int, (n,)
        Row of the first member of the galaxy's group (its own row where it is alone).

    Returns
    -------
    dict of ndarray, (n,)
        ``truth, odd, kind`` and the shape's parameters.
    """
    count = len(host)
    truth = rng.choice(list(CLASS_SHARES), count, p=np.array(list(CLASS_SHARES.values())))
    kind = np.full(count, DISC, dtype="<U8")
    kind[np.char.startswith(truth, "E")] = SMOOTH
    kind[truth == "edge_on"] = EDGE_ON
    kind[truth == "artifact"] = STAR
    shapes = {"truth": truth, "kind": kind, "odd": _draw_odd(kind, rng)}
    shapes |= _draw_brightness(host, rng)
    shapes |= _draw_body(truth, kind, rng)
    shapes |= _draw_disc_features(truth, shapes, rng)
    shapes |= _draw_colours(shapes, rng)
    shapes["r50_arcsec"] = shapes["r90_arcsec"] / _concentration(shapes, rng)
    shapes["texture_seed"] = rng.integers(0, 2**31, count)
    return shapes


def _draw_odd(kind: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    odd = rng.choice(_ODD_KINDS, len(kind), p=_ODD_WEIGHTS)
    return np.where((rng.random(len(kind)) < _ODD_SHARE) & (kind != STAR), odd, "none")


def _draw_brightness(host: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return magnitude, radius, redshift, extinction and seeing, all independent of the class."""
    count = len(host)
    extinction = np.minimum(rng.lognormal(np.log(0.08), 0.5, count), 0.6)
    corrected = 17.0 - np.minimum(rng.exponential(0.62, count), 4.5)
    r90 = 10 ** (0.94 + 0.16 * (16.2 - corrected) + rng.normal(0, 0.13, count))
    redshift = 0.066 * 10 ** (0.07 * (corrected - 16.3)) * rng.lognormal(0, 0.36, count)
    physical = rng.random(count) < 0.6  # the other companions are chance projections
    redshift = np.where(physical, redshift[host] * rng.normal(1, 0.004, count), redshift)
    return {
        "r_mag": corrected + extinction,
        "extinction_r": extinction,
        "r90_arcsec": np.clip(r90, _LEAST_R90_ARCSEC, _MOST_R90_ARCSEC),
        "redshift": np.clip(redshift, 0.004, 0.24),
        "psf_fwhm_arcsec": np.clip(rng.lognormal(np.log(1.28), 0.10, count), 0.9, 1.9),
    }


def _draw_body(truth: np.ndarray, kind: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return axis ratio, orientation, bulge and disc."""
    count = len(truth)
    inclination = np.sqrt(0.40**2 + rng.random(count) * (1 - 0.40**2))  # cosine; isotropic but for edge-on
    axis_ratio = np.where(kind == DISC, inclination, rng.uniform(0.10, 0.24, count))
    sersic = np.where(rng.random(count) < 0.6, rng.uniform(1.0, 2.2, count), rng.uniform(2.0, 4.0, count))
    prominence = rng.beta(1.6, 1.6, count)
    for name, (mean, scatter) in _SMOOTH_AXIS_RATIO.items():
        of_class = truth == name
        axis_ratio[of_class] = _mirrored(rng.normal(mean, scatter, of_class.sum()))
    for letter, mean in _BULGE_PROMINENCE.items():
        of_class = (kind == DISC) & np.char.endswith(truth, letter)
        prominence[of_class] = np.clip(rng.normal(mean, 0.07, of_class.sum()), 0.0, 1.0)
    smooth = kind == SMOOTH
    sersic[smooth] = 1.4 + 3.6 * rng.beta(1.5, 1.5, smooth.sum())
    sersic = SERSIC_INDICES[np.abs(sersic[:, None] - SERSIC_INDICES).argmin(axis=1)]
    bulge_fraction = np.where(smooth, rng.uniform(0.55, 1.0, count), _bulge_fraction(prominence, rng))
    return {
        "axis_ratio": np.clip(axis_ratio, 0.1, 1.0),
        "position_angle_deg": rng.uniform(0, 180, count),
        "prominence": prominence,
        "bulge_fraction": np.where(kind == STAR, 1.0, bulge_fraction),
        "sersic_n": sersic,
        "bulge_r90_share": np.where(smooth, rng.uniform(0.36, 0.44, count), 0.05 + 0.17 * prominence),
        "disc_r90_share": rng.uniform(0.24, 0.31, count),
    }


def _mirrored(axis_ratio: np.ndarray) -> np.ndarray:
    """Reflect axis ratios above 1 to below 1."""
    return 1 - np.abs(1 - axis_ratio)


def _bulge_fraction(prominence: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the bulge's share of the light: 0 to about 0.65."""
    return np.clip(0.68 * prominence**1.5 * rng.lognormal(0, 0.12, len(prominence)), 0.0, 0.75)


def _draw_disc_features(
    truth: np.ndarray, body: dict[str, np.ndarray], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return arms, bar, clumps, dust; zero for smooth galaxies, whose discs have no structure."""
    count = len(truth)
    disc = np.isin(body["kind"], (DISC, EDGE_ON))
    barred = np.char.startswith(truth, "SB")
    bulgeless = 1 - body["prominence"]
    pitch = np.clip(11 + 9 * bulgeless + rng.normal(0, 4.5, count), 6, 34)
    contrast = np.clip(rng.normal(0.72, 0.20, count), 0.15, 1.0)
    strength = np.where(barred, np.clip(rng.normal(0.66, 0.18, count), 0.2, 1.0), 0.0)
    faint_bar = ~barred & disc & (rng.random(count) < 0.25)  # volunteers miss most weak bars
    strength = np.where(faint_bar, rng.uniform(0.05, 0.25, count), strength)
    irregular = body["odd"] == "irregular"
    return {
        "arms": rng.choice([1, 2, 3, 4, 5], count, p=[0.05, 0.61, 0.17, 0.09, 0.08]),
        "pitch_deg": pitch * rng.choice([-1.0, 1.0], count),
        "arm_phase_rad": rng.uniform(0, 2 * np.pi, count),
        "arm_contrast": np.where(disc, contrast * np.where(irregular, 0.5, 1.0), 0.0),
        "flocculence": np.where(disc, np.clip(rng.normal(0.35, 0.2, count) + 0.4 * irregular, 0.0, 1.0), 0.0),
        "clumps": np.where(disc, rng.poisson(2 + 14 * bulgeless**2 + 12 * irregular), 0),
        "bar_strength": np.where(disc, strength, 0.0),
        "bar_r90_share": np.clip(rng.normal(0.40, 0.08, count), 0.22, 0.6),
        "bar_angle_rad": rng.uniform(0, np.pi, count),
        "dust": np.where(disc, rng.gamma(2.0, 0.22, count) + 0.9 * (body["odd"] == "dust_lane"), 0.0),
        "ring": np.where(disc & (body["odd"] == "ring"), rng.uniform(0.4, 0.9, count), 0.0),
        "ring_r90_share": rng.uniform(0.4, 0.7, count),
    }


def _draw_colours(shapes: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the whole galaxy's colours, not corrected for extinction; classes overlap."""
    count = len(shapes["r_mag"])
    base, bulge_adds = _COLOUR_OF_PROMINENCE
    g_r = base + bulge_adds * shapes["prominence"] + rng.normal(0, 0.13, count)
    smooth = shapes["kind"] == SMOOTH
    g_r[smooth] = rng.normal(0.71, 0.105, smooth.sum())
    g_r[shapes["kind"] == STAR] += rng.normal(0, 0.3, (shapes["kind"] == STAR).sum())
    g_r += 1.2 * (shapes["redshift"] - 0.06) + 0.38 * shapes["extinction_r"]  # K correction, reddening
    g_r = np.clip(g_r, 0.15, 1.3)
    r_i = 0.36 + 0.40 * (g_r - 0.68) + rng.normal(0, 0.03, count)
    return {"g_r": g_r, "r_i": r_i}


def _concentration(shapes: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return R90 / R50 as seeing, noise and the mixture of components leave it."""
    bulge = 2.35 + 0.16 * (shapes["sersic_n"] - 1) * np.where(shapes["kind"] == SMOOTH, 1.0, 0.3)
    disc = 2.25 + 0.85 * shapes["bulge_fraction"] * (1 - shapes["bulge_fraction"])
    mixture = np.where(shapes["kind"] == SMOOTH, bulge, disc + 0.6 * shapes["bulge_fraction"])
    return np.clip(mixture + rng.normal(0, 0.18, len(mixture)), 1.7, 3.6)

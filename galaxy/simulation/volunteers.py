"""Volunteers of a simulated Galaxy Zoo 2: votes drawn down the decision tree, and the columns made from them.

Confusion grows with redshift and shrinks with the galaxy's size in seeing discs. Features fade with
redshift in the raw fractions; the debiased ones are corrected for the mean fading, answer by answer, so that they need
not sum to 1, as in Hart et al. (2016). All functions take and return whole columns, (n,) or (n, answers).
"""

import numpy as np
import pyarrow as pa

from galaxy.labels.votes import QUESTIONS, derive_classes
from galaxy.simulation.shapes import EDGE_ON, SMOOTH, STAR

Columns = dict[str, np.ndarray]

_FADE_PER_Z = 9.0  # logit by which features fade per unit of redshift; the debiased columns are corrected for it
_FADE_FROM_Z = 0.03
# Smallest vote fractions on the path to a question for its clean flags: Willett et al. (2013), table 3.
_FLAG_PATHS = {
    "t02_edgeon": (("t01_smooth_or_features", 1, 0.430),),
    "t03_bar": (("t01_smooth_or_features", 1, 0.430), ("t02_edgeon", 1, 0.715)),
    "t04_spiral": (("t01_smooth_or_features", 1, 0.430), ("t02_edgeon", 1, 0.715)),
    "t05_bulge_prominence": (("t01_smooth_or_features", 1, 0.430), ("t02_edgeon", 1, 0.715)),
    "t07_rounded": (("t01_smooth_or_features", 0, 0.469),),
    "t08_odd_feature": (("t06_odd", 0, 0.420),),
    "t09_bulge_shape": (("t01_smooth_or_features", 1, 0.430), ("t02_edgeon", 0, 0.602)),
    "t10_arms_winding": (("t04_spiral", 0, 0.619),),
    "t11_arms_number": (("t04_spiral", 0, 0.619),),
}
_FLAG_VOTES, _FLAG_DEBIASED = 20, 0.8
# Fading of each answer with redshift: below 0 it loses votes, above 0 it wins them; others are not debiased.
_FADING = {
    "t01_smooth_or_features": (0.7, -1.0, 0.0),
    "t03_bar": (-0.6, 0.4),
    "t04_spiral": (-0.6, 0.4),
}
_DEBIASED_GAPS = {"t02_edgeon": 1, "t03_bar": 1, "t04_spiral": 1, "t05_bulge_prominence": 3, "t06_odd": 0}
_GAP_SHARE = 0.0012  # fraction of the real table's rows without a debiased value of such an answer


def draw_votes(shapes: Columns, rng: np.random.Generator) -> Columns:
    """Draw every volunteer's answers.

    Parameters
    ----------
    shapes : dict of ndarray
        As `galaxy.simulation.shapes.draw_shapes` returns.

    Returns
    -------
    dict of ndarray
        ``gz2_class, total_classifications, total_votes`` and six measures for each of the 37 answers, in the
        real table's column order.
    """
    opinions = _opinions(shapes, rng)
    volunteers = np.clip(np.rint(rng.normal(43, 8, len(shapes["redshift"]))), 20, 60).astype(np.int64)
    counts = _walk_tree(opinions, volunteers, rng)
    columns: Columns = {}
    fractions = {question: _share(count) for question, count in counts.items()}
    for question, count in counts.items():
        clean_path = _clean_path(question, fractions) & (count.sum(axis=1) >= _FLAG_VOTES)
        columns |= _measures(question, count, shapes["redshift"], clean_path, rng)
    head = {
        "gz2_class": derive_classes(pa.table(columns)).to_numpy(zero_copy_only=False),
        "total_classifications": volunteers,
        "total_votes": np.sum([count.sum(axis=1) for count in counts.values()], axis=0),
    }
    return head | columns


def _opinions(shapes: Columns, rng: np.random.Generator) -> Columns:
    """Return question -> probabilities of its answers for each galaxy, (n, answers)."""
    count = len(shapes["redshift"])
    kind, truth = shapes["kind"], shapes["truth"]
    fade = _FADE_PER_Z * np.maximum(shapes["redshift"] - _FADE_FROM_Z, 0)
    resolved = np.log(shapes["r90_arcsec"] / shapes["psf_fwhm_arcsec"] / 6.5)

    def noise(scatter: float) -> np.ndarray:
        """Return (n,) normal draws."""
        return rng.normal(0, scatter, count)

    structure = 1.5 + 3.6 * (shapes["arm_contrast"] - 0.65) + 1.2 * shapes["bar_strength"]
    features = np.where(kind == SMOOTH, -1.8, np.where(kind == EDGE_ON, 2.2, structure))
    features = features + 0.8 * resolved - fade + noise(0.8)
    star = np.where(kind == STAR, 3.5, -3.4) + noise(0.4)
    edge = np.where(kind == EDGE_ON, 2.2, (0.30 - shapes["axis_ratio"]) / 0.05) + noise(0.4)
    barred = np.char.startswith(truth, "SB")
    bar = np.where(barred, 1.0 + 3.6 * (shapes["bar_strength"] - 0.6), -2.2 + 4 * shapes["bar_strength"])
    bar = bar + 0.6 * resolved - 0.6 * fade + noise(0.6)
    spiral = 4.5 * (shapes["arm_contrast"] - 0.42) + 0.5 * resolved - 0.6 * fade + noise(0.6)
    odd = np.where(shapes["odd"] == "none", -2.7, 0.5) + noise(0.5)
    blur = (1 + 0.4 * fade) * np.exp(-0.25 * resolved)  # distant and small galaxies are confused more often
    return {
        "t01_smooth_or_features": _shares(np.stack([-features / 2, features / 2, star], axis=1)),
        "t02_edgeon": _yes_no(edge),
        "t03_bar": _yes_no(bar),
        "t04_spiral": _yes_no(spiral),
        "t05_bulge_prominence": _nearest(
            shapes["prominence"] + noise(0.045) * blur, (0.10, 0.37, 0.63, 0.88), 0.13 * blur
        ),
        "t06_odd": _yes_no(odd),
        "t07_rounded": _nearest(shapes["axis_ratio"] + noise(0.03) * blur, (0.95, 0.69, 0.36), 0.11 * blur),
        "t08_odd_feature": _odd_features(shapes["odd"], rng),
        "t09_bulge_shape": _nearest(shapes["prominence"] + noise(0.08), (0.75, 1.3, 0.1), 0.25 * blur),
        "t10_arms_winding": _nearest(np.abs(shapes["pitch_deg"]) + noise(2.0), (10.0, 17.0, 26.0), 5.0 * blur),
        "t11_arms_number": _arm_numbers(shapes, rng),
    }


def _yes_no(logit: np.ndarray) -> np.ndarray:
    yes = 1 / (1 + np.exp(-logit))
    return np.stack([yes, 1 - yes], axis=1)


def _shares(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def _nearest(value: np.ndarray, centres: tuple[float, ...], width: np.ndarray) -> np.ndarray:
    """Return (n, centres) probabilities of choosing each centre for values (n,) perceived with errors `width` (n,)."""
    return _shares(-(((value[:, None] - np.array(centres)) / width[:, None]) ** 2) / 2)


def _odd_features(odd: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (n, 7) probabilities in the order ring, lens or arc, disturbed, irregular, other, merger, dust lane."""
    chances = rng.dirichlet(np.full(7, 1.2), len(odd))
    for answer, kind in enumerate(("ring", "lens", "disturbed", "irregular", "other", "merger", "dust_lane")):
        chances[odd == kind, answer] += 3.0
    return chances / chances.sum(axis=1, keepdims=True)


def _arm_numbers(shapes: Columns, rng: np.random.Generator) -> np.ndarray:
    """Return (n, 6) probabilities of 1, 2, 3, 4, more arms and the answer "can't tell"."""
    chances = np.full((len(shapes["arms"]), 6), 0.05)
    chances[np.arange(len(chances)), shapes["arms"] - 1] += 1.2 * shapes["arm_contrast"]
    chances[:, 5] += 0.9 * shapes["flocculence"] + rng.uniform(0, 0.3, len(chances))
    return chances / chances.sum(axis=1, keepdims=True)


def _walk_tree(opinions: Columns, volunteers: np.ndarray, rng: np.random.Generator) -> Columns:
    """Return question -> counts of answers (n, answers), each asked of the volunteers whose answers lead to it."""
    counts: Columns = {}

    def ask(question: str, voters: np.ndarray) -> np.ndarray:
        """Draw the answers of `voters` (n,) volunteers; return counts (n, answers)."""
        counts[question] = rng.multinomial(voters, opinions[question])
        return counts[question]

    first = ask("t01_smooth_or_features", volunteers)
    edge = ask("t02_edgeon", first[:, 1])
    ask("t03_bar", edge[:, 1])
    spiral = ask("t04_spiral", edge[:, 1])
    ask("t05_bulge_prominence", edge[:, 1])
    odd = ask("t06_odd", first[:, 0] + first[:, 1])
    ask("t07_rounded", first[:, 0])
    ask("t08_odd_feature", odd[:, 0])
    ask("t09_bulge_shape", edge[:, 0])
    ask("t10_arms_winding", spiral[:, 0])
    ask("t11_arms_number", spiral[:, 0])
    return {question: counts[question] for question in QUESTIONS}


def _share(count: np.ndarray) -> np.ndarray:
    """Return the fractions of a question's answers; 0 without voters, as in the real tables."""
    return count / np.maximum(count.sum(axis=1, keepdims=True), 1)


def _clean_path(question: str, fractions: Columns) -> np.ndarray:
    clean = np.ones(len(next(iter(fractions.values()))), bool)
    for earlier, answer, least in _FLAG_PATHS.get(question, ()):
        clean &= fractions[earlier][:, answer] >= least
    return clean


def _measures(
    question: str, count: np.ndarray, redshift: np.ndarray, clean_path: np.ndarray, rng: np.random.Generator
) -> Columns:
    """Return the six published measures of each answer of one question."""
    weight = count * rng.uniform(0.93, 1.0, count.shape)
    fraction = _share(count)
    weighted = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    debiased = _debiased(question, weighted, redshift).round(3)
    flag = clean_path[:, None] & (debiased >= _FLAG_DEBIASED)
    if question in _DEBIASED_GAPS:
        debiased[rng.random(len(debiased)) < _GAP_SHARE, _DEBIASED_GAPS[question]] = np.nan
    columns: Columns = {}
    for number, answer in enumerate(QUESTIONS[question]):
        stem = f"{question}_{answer}"
        columns[f"{stem}_count"] = count[:, number]
        columns[f"{stem}_weight"] = weight[:, number].round(3)
        columns[f"{stem}_fraction"] = fraction[:, number].round(3)
        columns[f"{stem}_weighted_fraction"] = weighted[:, number].round(3)
        columns[f"{stem}_debiased"] = debiased[:, number]
        columns[f"{stem}_flag"] = flag[:, number].astype(np.int64)
    return columns


def _debiased(question: str, fraction: np.ndarray, redshift: np.ndarray) -> np.ndarray:
    """Return the fractions with the odds that they would have at low redshift, corrected for the mean fading."""
    if question not in _FADING:
        return fraction.copy()
    fade = _FADE_PER_Z * np.maximum(redshift - _FADE_FROM_Z, 0)
    gain = np.exp(-fade[:, None] * np.array(_FADING[question]))
    return fraction * gain / (1 + fraction * (gain - 1))

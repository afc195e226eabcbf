"""Pairs of an injected and a scene source that are alike in all that the two kinds need not share."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.ensemble import RandomForestClassifier

from realbogus.audits.giveaway_features import measure_reference, reference_light
from realbogus.audits.source_sample import INJECTED, SCENE, SourceSample

FOLDS = 5
CALIPER = 2.5
"""Largest distance of a pair, in steps: each is a 15 % of S/N, about a third of the noise in the host's light."""
_SNR_DEX, _LIGHT, _RADII, _LOGIT = 0.06, 0.35, 0.5, 0.15  # a step of distance between two sources
_TREES, _LEAF = 100, 15
_MOST_RADII = 20


@dataclass(frozen=True)
class MatchedPairs:
    """Sources of two kinds matched one to one: arrays of 2 n rows, the scene's first.

    Attributes
    ----------
    found : SourceSample
    injected : ndarray of bool
    fold : ndarray of int
        A sky cell lies in one fold.
    """

    found: SourceSample
    injected: np.ndarray
    fold: np.ndarray

    def __len__(self) -> int:
        return len(self.found) // 2


def match_sources(found: SourceSample, kind: str = INJECTED, seed: int = 0, caliper: float = CALIPER) -> MatchedPairs:
    """Match injected sources one to one with the scene's, within each fold of sky cells.

    How bright sources are and in what light of a galaxy they lie are laws of the two populations, and neither is a
    give-away. So the pairs are alike in S/N, in the light of the reference under them, in the distance to a galaxy, and
    in the propensity of all that the reference shows (Rosenbaum and Rubin 1983, Biometrika 70, 41), which holds no
    trace of either source. Stamps that hold a second planted source, or a pixel without data, are left out.

    Parameters
    ----------
    found : SourceSample
    kind : str
        What is compared with the scene's.
    seed : int
    caliper : float
        Largest distance of a pair; a larger one gives a small sample more pairs, less alike.

    Raises
    ------
    ValueError
        Nothing can be matched.
    """
    found = found.take(found.alone & (found.scalars["finite_fraction"] == 1) & np.isin(found.kind, [SCENE, kind]))
    fold = np.searchsorted(np.unique(found.field), found.field) % FOLDS
    injected = found.kind == kind
    cells = len(np.unique(found.field))
    if cells < FOLDS or injected.all() or not injected.any():
        raise ValueError(
            f"{injected.sum()} {kind} and {(~injected).sum()} scene sources on {cells} sky cells: both kinds on at "
            f"least {FOLDS} cells are needed, ask for more visits"
        )
    places = _place(found, injected, fold, seed)
    first, second = [], []
    for number in range(FOLDS):
        scene, other = (np.flatnonzero((injected == which) & (fold == number)) for which in (False, True))
        rows, columns = _assign(places[scene], places[other], caliper)
        first += scene[rows].tolist()
        second += other[columns].tolist()
    if not first:
        raise ValueError(f"no {kind} source is like one of the scene: ask for more visits")
    rows = np.array(first + second)
    return MatchedPairs(found.take(rows), injected[rows], fold[rows])


def _place(found: SourceSample, injected: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    """Return coordinates in which alike sources are near, (n, 4)."""
    snr, away = np.log10(found.scalars["snr"]), np.minimum(found.scalars["galaxy_separation_re"], _MOST_RADII)
    light = np.arcsinh(reference_light(found) / 2)
    away = np.log(0.3 + np.nan_to_num(away, nan=_MOST_RADII))
    shown = np.column_stack([snr, away, light, *measure_reference(found).values()])
    logit = _propensity(shown, injected, fold, seed)
    return np.column_stack([snr / _SNR_DEX, light / _LIGHT, away / _RADII, logit / _LOGIT])


def _propensity(shown: np.ndarray, injected: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    """Return the logit of the chance to be injected, from a forest that has not seen the fold."""
    chance = np.full(len(shown), injected.mean())
    for number in np.unique(fold):
        judged = fold == number
        if 0 < injected[~judged].mean() < 1:
            forest = RandomForestClassifier(_TREES, min_samples_leaf=_LEAF, max_features=0.5, random_state=seed)
            chance[judged] = forest.fit(shown[~judged], injected[~judged]).predict_proba(shown[judged])[:, 1]
    chance = np.clip(chance, 0.02, 0.98)
    return np.asarray(np.log(chance / (1 - chance)))


def _assign(first: np.ndarray, second: np.ndarray, caliper: float) -> tuple[np.ndarray, np.ndarray]:
    """Match places one to one at the least sum of distances, none farther apart than `caliper`."""
    away = np.sqrt(np.square(first[:, None] - second).sum(axis=2))
    far = away > caliper
    rows, columns = linear_sum_assignment(np.where(far, 1e3, away))
    near = ~far[rows, columns]
    return rows[near], columns[near]

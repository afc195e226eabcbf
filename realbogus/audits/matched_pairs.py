"""Pairs of an injected and a scene source, matched in the properties in which the two populations may differ."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.ensemble import RandomForestClassifier

from realbogus.audits.giveaway_features import measure_reference, reference_light
from realbogus.audits.source_sample import INJECTED, SCENE, SourceSample

FOLDS = 5
CALIPER = 2.5
"""Largest distance of a pair in the steps below; one step is 15 % in S/N."""
_SNR_DEX, _LIGHT, _RADII, _LOGIT = 0.06, 0.35, 0.5, 0.15  # unit of distance in each coordinate
_TREES, _LEAF = 100, 15
_MOST_RADII = 20


@dataclass(frozen=True)
class MatchedPairs:
    """Sources of two kinds matched one to one, the scene's n sources first.

    Attributes
    ----------
    sample : SourceSample
    injected : (2 n,) bool
    fold : (2 n,) int
        Each sky cell is in one fold.
    """

    sample: SourceSample
    injected: np.ndarray
    fold: np.ndarray

    def __len__(self) -> int:
        return len(self.sample) // 2


def match_sources(sample: SourceSample, kind: str = INJECTED, seed: int = 0, caliper: float = CALIPER) -> MatchedPairs:
    """Match injected sources one to one with the scene's, within each fold of sky cells.

    The populations may differ in brightness and in the light of their hosts; neither is a give-away. So pairs are
    matched in S/N, in the reference's light at the source, in the distance to a galaxy, and in the propensity score of
    the reference's features (Rosenbaum and Rubin 1983, Biometrika 70, 41), which contain neither source. Stamps with a
    second source or with a pixel without data are left out.

    Parameters
    ----------
    sample : SourceSample
    kind : str
        Kind of the injected sources.
    seed : int
    caliper : float
        Largest distance of a pair; a larger one gives more pairs that match less closely.

    Raises
    ------
    ValueError
        A kind is absent, there are too few sky cells, or no sources match.
    """
    sample = sample.take(sample.alone & (sample.scalars["finite_fraction"] == 1) & np.isin(sample.kind, [SCENE, kind]))
    fold = np.searchsorted(np.unique(sample.field), sample.field) % FOLDS
    injected = sample.kind == kind
    cells = len(np.unique(sample.field))
    if cells < FOLDS or injected.all() or not injected.any():
        raise ValueError(
            f"{injected.sum()} {kind} and {(~injected).sum()} scene sources on {cells} sky cells: both kinds on at "
            f"least {FOLDS} cells are needed, ask for more visits"
        )
    coordinates = _measure_coordinates(sample, injected, fold, seed)
    scene_rows, injected_rows = [], []
    for number in range(FOLDS):
        scene_of_fold, injected_of_fold = (
            np.flatnonzero((injected == flag) & (fold == number)) for flag in (False, True)
        )
        first, second = assign_pairs(coordinates[scene_of_fold], coordinates[injected_of_fold], caliper)
        scene_rows += scene_of_fold[first].tolist()
        injected_rows += injected_of_fold[second].tolist()
    if not scene_rows:
        raise ValueError(f"no {kind} source matches one of the scene: ask for more visits")
    rows = np.array(scene_rows + injected_rows)
    return MatchedPairs(sample.take(rows), injected[rows], fold[rows])


def _measure_coordinates(sample: SourceSample, injected: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    """Return the coordinates (n, 4) in whose distance sources are matched; flags and folds are (n,)."""
    snr, separation = np.log10(sample.scalars["snr"]), np.minimum(sample.scalars["galaxy_separation_re"], _MOST_RADII)
    light = np.arcsinh(reference_light(sample) / 2)
    separation = np.log(0.3 + np.nan_to_num(separation, nan=_MOST_RADII))
    features = np.column_stack([snr, separation, light, *measure_reference(sample).values()])
    logit = _estimate_propensity(features, injected, fold, seed)
    return np.column_stack([snr / _SNR_DEX, light / _LIGHT, separation / _RADII, logit / _LOGIT])


def _estimate_propensity(features: np.ndarray, injected: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    """Return the out-of-fold logit (n,) of being injected by random forests on features (n, columns)."""
    probability = np.full(len(features), injected.mean())
    for number in np.unique(fold):
        held_out = fold == number
        if 0 < injected[~held_out].mean() < 1:
            forest = RandomForestClassifier(_TREES, min_samples_leaf=_LEAF, max_features=0.5, random_state=seed)
            forest.fit(features[~held_out], injected[~held_out])
            probability[held_out] = forest.predict_proba(features[held_out])[:, 1]
    probability = np.clip(probability, 0.02, 0.98)
    return np.asarray(np.log(probability / (1 - probability)))


def assign_pairs(first: np.ndarray, second: np.ndarray, caliper: float) -> tuple[np.ndarray, np.ndarray]:
    """Match points (n, k) and (m, k) one to one with the least sum of distances, none above the caliper.

    Returns
    -------
    first_rows, second_rows : (p,) int
        Of each pair.
    """
    distance = np.sqrt(np.square(first[:, None] - second).sum(axis=2))
    is_far = distance > caliper
    rows, columns = linear_sum_assignment(np.where(is_far, 1e3, distance))
    is_near = ~is_far[rows, columns]
    return rows[is_near], columns[is_near]

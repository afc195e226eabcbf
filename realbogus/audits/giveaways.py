"""Checks that injections are statistically indistinguishable from the scene's own transients.

Each check is about one give-away. Sources are compared in pairs matched in S/N and surroundings, and classifiers are
evaluated on sky cells not used to fit them. If the sample is too small to resolve a limit, it is widened to three
standard errors and the check's remark says so.
"""

from dataclasses import replace

import numpy as np
from scipy import stats

from realbogus.audits.checks import (
    Check,
    Estimate,
    Question,
    area_under_curve,
    check_near,
    check_p_value,
    check_within,
    estimate_by_group,
    estimate_with_error,
    score_by_forest,
)
from realbogus.audits.giveaway_features import central_pixels, measure_border, measure_reference, measure_stamps
from realbogus.audits.injection_positions import InjectionPositions
from realbogus.audits.matched_pairs import CALIPER, MatchedPairs, match_sources
from realbogus.audits.residuals import LEAST_P_VALUE, check_residuals, check_stars
from realbogus.audits.source_sample import INJECTED, SourceSample

AUC_TOLERANCE = 0.03
TEXTURE_TOLERANCE = 0.02
FLUX_TOLERANCE = 1e-3
IDENTITY_TOLERANCE = 1e-3
PHASE_CELLS = 10
MANY_PAIRS = 500
"""With at least this number of pairs a forest must not be worse than chance either."""
_DISTANCES = ("mask", "bright pixel", "edge")


def check_giveaways(
    sample: SourceSample,
    stars: SourceSample,
    positions: InjectionPositions,
    seed: int,
    kind: str = INJECTED,
    caliper: float = CALIPER,
) -> tuple[list[Check], int]:
    """Return all checks of injected against scene sources, and the number of pairs.

    Parameters
    ----------
    sample : SourceSample
        Detections of all visits.
    stars : SourceSample
        From `gather_stars`.
    positions : InjectionPositions
    seed : int
    kind : str
        The injections to check: `INJECTED`, or the name of a flaw.
    caliper : float
        As in `match_sources`.

    Raises
    ------
    ValueError
        There are too few sources or sky cells.
    """
    pairs = match_sources(sample, kind, seed, caliper)
    checks = [*check_classifiers(pairs, seed), *check_distributions(pairs, seed), *check_residuals(sample, kind, seed)]
    checks.append(check_stars(stars, sample.take(sample.kind == kind)))
    return [*checks, *check_positions(positions)], len(pairs)


def check_classifiers(pairs: MatchedPairs, seed: int) -> list[Check]:
    """Check that random forests cannot separate injected from scene sources by any set of features."""
    sample = pairs.sample
    pixels = Question("pixels", "AUC of a forest on the central pixels")
    border = Question("border", "AUC of a forest on the stamp without its central 15 x 15 pixels")
    reference = Question("reference", "AUC of a forest on the reference alone, in which pairs were matched")
    return [
        check_headline(pairs, seed),
        _check_forest(pixels, central_pixels(sample), pairs, seed),
        _check_forest(border, _stack(measure_border(sample)), pairs, seed),
        _check_forest(reference, _stack(measure_reference(sample)), pairs, seed),
    ]


def check_headline(pairs: MatchedPairs, seed: int) -> Check:
    """Check that a random forest on all features of a stamp cannot separate injected from scene sources."""
    question = Question("all numbers", "AUC of a forest on all features of a stamp, injected against scene")
    return _check_forest(question, _stack(measure_stamps(pairs.sample)), pairs, seed)


def _check_forest(question: Question, numbers: np.ndarray, pairs: MatchedPairs, seed: int) -> Check:
    """Check the AUC of a forest on features (n, columns) of the pairs."""
    scores = score_by_forest(numbers, pairs.injected, pairs.fold, seed)
    check = _check_auc(question, scores, pairs, seed)
    # With few pairs, matched as they are, a forest is worse than chance on held-out cells.
    return check if len(pairs) >= MANY_PAIRS else replace(check, least=None)


def _stack(numbers: dict[str, np.ndarray]) -> np.ndarray:
    """Return columns (n,) as a table (n, columns)."""
    return np.column_stack(list(numbers.values()))


def check_distributions(pairs: MatchedPairs, seed: int) -> list[Check]:
    """Check that single features of injected and scene sources have the same distribution."""
    sample, injected = pairs.sample, pairs.injected
    numbers = measure_stamps(sample)
    quantisation = Question("quantisation", "AUC of the pixels' distances from whole counts")
    centring = Question("centring", "Is the offset from the centre of the stamp distributed equally?")
    saturation = Question("saturation", "Is the brightest pixel distributed equally?")
    return [
        _check_auc(quantisation, numbers["off_grid"], pairs, seed),
        check_identity(sample.take(injected)),
        check_equal(centring, numbers["off_claim"], injected),
        check_equal(saturation, np.nanmax(sample.stamps[..., 0], axis=(1, 2)), injected),
        check_clipped(sample, injected),
        _check_texture(numbers["neighbour"], pairs, seed),
    ]


def check_positions(positions: InjectionPositions) -> list[Check]:
    """Check the positions of all injections, recovered or not."""
    cells = np.clip(((positions.phase + 0.5) * PHASE_CELLS).astype(int), 0, PHASE_CELLS - 1)
    counts = np.bincount(cells[:, 0] * PHASE_CELLS + cells[:, 1], minlength=PHASE_CELLS**2)
    largest = float(np.max(np.abs(positions.flux_error), initial=0.0))
    phase = Question("sub-pixel phase", "Are positions uniform within the pixel?")
    flux = Question("flux at any phase", "Relative difference between the flux drawn in a frame and drawn alone")
    checks = [
        check_p_value(phase, stats.chisquare(counts).pvalue, LEAST_P_VALUE, len(cells)),
        check_within(flux, Estimate(largest, np.nan, np.nan), None, FLUX_TOLERANCE, len(positions.flux_error)),
    ]
    for column, name in enumerate(_DISTANCES):
        question = Question(f"distance to {name}", "Are random injections distributed as uniform points are?")
        p_value = stats.ks_2samp(positions.random[:, column], positions.even[:, column]).pvalue
        checks.append(check_p_value(question, p_value, LEAST_P_VALUE, len(positions.random)))
    return checks


def _check_auc(question: Question, scores: np.ndarray, pairs: MatchedPairs, seed: int) -> Check:
    """Check that the AUC of scores (n,) for being injected is 0.5."""
    estimate = estimate_by_group(
        lambda rows: area_under_curve(scores[rows], pairs.injected[rows]),
        pairs.sample.field,
        np.random.default_rng(seed),
    )
    # A bootstrap over few sky cells underestimates the error, which is at least that for equal distributions.
    error = max(estimate.error, 1 / np.sqrt(6 * len(pairs)))
    return check_near(question, estimate_with_error(estimate.value, error), 0.5, AUC_TOLERANCE, len(pairs))


def check_equal(question: Question, values: np.ndarray, injected: np.ndarray) -> Check:
    """Check that values (n,) of injected and scene sources, flagged by (n,) bool, have the same distribution."""
    p_value = stats.ks_2samp(values[injected], values[~injected]).pvalue
    remark = f"medians {np.median(values[injected]):.3g} and {np.median(values[~injected]):.3g}"
    return check_p_value(replace(question, remark=remark), p_value, LEAST_P_VALUE, int(injected.sum()))


def check_clipped(sample: SourceSample, injected: np.ndarray) -> Check:
    """Check that injected and scene sources, flagged by (n,) bool, are next to a saturated pixel equally often."""
    clipped = sample.scalars["saturated"] > 0
    table = [[int((clipped & kind).sum()), int((~clipped & kind).sum())] for kind in (injected, ~injected)]
    remark = f"{table[0][0]} and {table[1][0]} of {injected.sum()}"
    question = Question("clipped share", "Is the share next to a saturated pixel equal?", remark)
    return check_p_value(question, stats.fisher_exact(table).pvalue, LEAST_P_VALUE, int(injected.sum()))


def check_identity(injected: SourceSample) -> Check:
    """Check that the stored difference is made of the stored new and reference."""
    largest = float(injected.scalars["identity"].max())
    text = "Deviation of new - K * reference - background from the difference, in units of the sky's noise"
    question = Question("pasted difference", text, "largest error")
    return check_within(question, Estimate(largest, np.nan, np.nan), None, IDENTITY_TOLERANCE, len(injected))


def _check_texture(neighbour: np.ndarray, pairs: MatchedPairs, seed: int) -> Check:
    """Check that neighbouring pixels of the residuals are equally correlated; correlations (n,)."""
    injected = pairs.injected
    estimate = estimate_by_group(
        lambda rows: float(neighbour[rows][injected[rows]].mean() - neighbour[rows][~injected[rows]].mean()),
        pairs.sample.field,
        np.random.default_rng(seed),
    )
    remark = f"mean {neighbour[injected].mean():.3f} and {neighbour[~injected].mean():.3f};"
    question = Question("noise texture", "Difference of the correlation of neighbouring pixels of the residual", remark)
    return check_near(question, estimate, 0.0, TEXTURE_TOLERANCE, len(pairs))

"""Checks that an injected transient cannot be told from one of the scene, but by what both truly are.

Each check asks about one give-away. Sources are compared in pairs that are alike in S/N and surroundings; classifiers
are judged on sky cells that they have not seen. A limit holds at the size of sample that resolves it: with fewer rows
it is widened to three standard errors, and the check says so.
"""

from dataclasses import replace

import numpy as np
from scipy import stats

from realbogus.audits.checks import Check, area_under_curve, check_chance, check_near, measure_by_group, score_by_forest
from realbogus.audits.giveaway_features import central_pixels, measure_border, measure_reference, measure_stamps
from realbogus.audits.matched_pairs import CALIPER, MatchedPairs, match_sources
from realbogus.audits.injection_positions import InjectionPositions
from realbogus.audits.source_sample import INJECTED, SourceSample
from realbogus.audits.residuals import LEAST_CHANCE, check_stars, check_residuals

AUC_TOLERANCE = 0.03
TEXTURE_TOLERANCE = 0.02
FLUX_TOLERANCE = 1e-3
IDENTITY_TOLERANCE = 1e-3
PHASE_CELLS = 10
MANY_PAIRS = 500
"""From so many on a forest must not be worse than chance either."""
_AWAY = ("mask", "bright pixel", "edge")


def check_giveaways(
    found: SourceSample,
    stars: SourceSample,
    placement: InjectionPositions,
    seed: int,
    kind: str = INJECTED,
    caliper: float = CALIPER,
) -> tuple[list[Check], int]:
    """Return all checks of injected against scene sources, and how many pairs they had.

    Parameters
    ----------
    found : SourceSample
        Of all visits.
    stars : SourceSample
        As `gather_stars` gives them.
    placement : InjectionPositions
    seed : int
    kind : str
        What is judged: injections, or those spoiled in one way.
    caliper : float
        As of `match_sources`.

    Raises
    ------
    ValueError
        Too few sources or sky cells.
    """
    pairs = match_sources(found, kind, seed, caliper)
    checks = [*check_classifiers(pairs, seed), *check_distributions(pairs, seed), *check_residuals(found, kind, seed)]
    checks.append(check_stars(stars, found.take(found.kind == kind)))
    return [*checks, *check_positions(placement)], len(pairs)


def check_classifiers(pairs: MatchedPairs, seed: int) -> list[Check]:
    """Return the checks that let a forest try to tell injected from scene sources."""
    found = pairs.found
    tries = [
        ("pixels", "Do the central pixels?", central_pixels(found)),
        ("border", "Does the stamp without its central 15 x 15?", _table(measure_border(found))),
        ("reference", "Does the reference alone, that pairs were made alike in?", _table(measure_reference(found))),
    ]
    others = [_check_forest(name, question, numbers, pairs, seed) for name, question, numbers in tries]
    return [check_headline(pairs, seed), *others]


def check_headline(pairs: MatchedPairs, seed: int) -> Check:
    """Ask whether a forest on the numbers of a stamp can tell injected from scene sources."""
    numbers = _table(measure_stamps(pairs.found))
    return _check_forest("all numbers", "Do the numbers of a stamp tell injected from scene?", numbers, pairs, seed)


def _check_forest(name: str, question: str, numbers: np.ndarray, pairs: MatchedPairs, seed: int) -> Check:
    scores = score_by_forest(numbers, pairs.injected, pairs.fold, seed)
    check = _check_auc(name, question, scores, pairs, seed)
    # on few pairs, alike as they are, a forest does worse than chance on cells that it has not seen
    return check if len(pairs) >= MANY_PAIRS else replace(check, least=None)


def _table(numbers: dict[str, np.ndarray]) -> np.ndarray:
    return np.column_stack(list(numbers.values()))


def check_distributions(pairs: MatchedPairs, seed: int) -> list[Check]:
    """Return the checks that compare one number of injected and scene sources."""
    found, injected = pairs.found, pairs.injected
    numbers = measure_stamps(found)
    return [
        _check_auc("quantisation", "Do fractions of counts tell?", numbers["off_grid"], pairs, seed),
        _check_identity(found.take(injected)),
        _check_same(
            "centring",
            "Does a source lie as far from where its stamp claims?",
            numbers["off_claim"],
            injected,
        ),
        _check_same(
            "saturation", "Is the brightest pixel as bright?", np.nanmax(found.stamps[..., 0], axis=(1, 2)), injected
        ),
        _check_clipped(found, injected),
        _check_texture(numbers["neighbour"], pairs, seed),
    ]


def check_positions(placement: InjectionPositions) -> list[Check]:
    """Return the checks of where injections lie, whether they are found or not."""
    cells = np.clip(((placement.phase + 0.5) * PHASE_CELLS).astype(int), 0, PHASE_CELLS - 1)
    filled = np.bincount(cells[:, 0] * PHASE_CELLS + cells[:, 1], minlength=PHASE_CELLS**2)
    worst = float(np.max(np.abs(placement.flux_error), initial=0.0))
    checks = [
        check_chance(
            "sub-pixel phase",
            "Do positions fill the pixel evenly?",
            stats.chisquare(filled).pvalue,
            LEAST_CHANCE,
            len(cells),
        ),
        Check(
            "flux at any phase",
            "Is the flux drawn as when drawn alone?",
            worst,
            np.nan,
            np.nan,
            None,
            FLUX_TOLERANCE,
            len(placement.flux_error),
        ),
    ]
    for axis, name in enumerate(_AWAY):
        checks.append(
            check_chance(
                f"distance to {name}",
                "Do random injections lie where even points do?",
                stats.ks_2samp(placement.random[:, axis], placement.even[:, axis]).pvalue,
                LEAST_CHANCE,
                len(placement.random),
            )
        )
    return checks


def _check_auc(name: str, question: str, scores: np.ndarray, pairs: MatchedPairs, seed: int) -> Check:
    measured = measure_by_group(
        lambda rows: area_under_curve(scores[rows], pairs.injected[rows]),
        pairs.found.field,
        np.random.default_rng(seed),
    )
    # a few sky cells drawn again understate the error, which is at least that of equal laws
    error = max(measured.error, 1 / np.sqrt(6 * len(pairs)))
    return check_near(name, question, measured.widened(error), 0.5, AUC_TOLERANCE, len(pairs))


def _check_same(name: str, question: str, values: np.ndarray, injected: np.ndarray) -> Check:
    chance = stats.ks_2samp(values[injected], values[~injected]).pvalue
    remark = f"medians {np.median(values[injected]):.3g} and {np.median(values[~injected]):.3g}"
    return check_chance(name, question, chance, LEAST_CHANCE, int(injected.sum()), remark)


def _check_clipped(found: SourceSample, injected: np.ndarray) -> Check:
    clipped = found.scalars["saturated"] > 0
    table = [[int((clipped & which).sum()), int((~clipped & which).sum())] for which in (injected, ~injected)]
    remark = f"{table[0][0]} and {table[1][0]} of {injected.sum()}"
    question = "Is as large a share beside a saturated pixel?"
    return check_chance(
        "clipped share", question, stats.fisher_exact(table).pvalue, LEAST_CHANCE, int(injected.sum()), remark
    )


def _check_identity(injected: SourceSample) -> Check:
    """Ask that stored planes are the difference's own parts."""
    worst = float(injected.scalars["identity"].max())
    question = "Is new - K * reference - background = difference, in units of the sky's noise?"
    return Check(
        "pasted difference", question, worst, np.nan, np.nan, None, IDENTITY_TOLERANCE, len(injected), "largest error"
    )


def _check_texture(neighbour: np.ndarray, pairs: MatchedPairs, seed: int) -> Check:
    injected = pairs.injected

    def measure(rows: np.ndarray) -> float:
        return float(neighbour[rows][injected[rows]].mean() - neighbour[rows][~injected[rows]].mean())

    measured = measure_by_group(measure, pairs.found.field, np.random.default_rng(seed))
    question = "Are neighbouring pixels of the residual as alike?"
    remark = f"mean {neighbour[injected].mean():.3f} and {neighbour[~injected].mean():.3f};"
    return check_near("noise texture", question, measured, 0.0, TEXTURE_TOLERANCE, len(pairs), remark)

"""Checks that a simulated survey is hard enough to compare classifiers on, and that its ledger gives no label away.

They ask the tables of a dataset alone. What is real is the hidden truth where the survey has one, else the label;
blends stay out.
"""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from realbogus.audits.checks import (
    Check,
    Estimate,
    area_under_curve,
    check_near,
    false_rate,
    measure_by_group,
    score_by_forest,
)
from realbogus.audits.origin_labels import NOISE
from realbogus.records import BOGUS, REAL

SCALARS = (
    "snr",
    "flux_counts",
    "fwhm_px",
    "axis_ratio",
    "edge_distance_px",
    "masked_fraction",
    "saturated",
    "galaxy_separation_re",
    "mean",
    "std",
)
"""What a catalogue holds of a candidate."""
DIFFERENCE_SCALARS = ("snr", "fwhm_px", "axis_ratio")
"""Three numbers of the difference."""
METADATA = ("detector", "x_px", "y_px", "seeing_fwhm_arcsec", "night", "visit", "order", "finite_fraction")
"""What is known of a candidate without its pixels."""

MOST_SNR_AUC = 0.85
LEAST_FOREST_RATE = 0.03
MOST_NOISE = 0.10
LEAST_NEAR_GALAXY = 0.05
NEAR_RADII = 2.0
LEAST_ORIGINS, ORIGIN_SHARE = 4, 0.02
METADATA_TOLERANCE = 0.05  # of the area under the curve, about one half
MOST_SECOND = 0.01
FOLDS = 5
FEW_EVENTS = 10
_OWN_PX = 4.0  # an injection so near is the candidate's own, if displaced by what it lies on


def check_difficulty(candidates: pa.Table, stamp_px: int, seed: int) -> list[Check]:
    """Return the checks of a survey's difficulty and of its ledger.

    Parameters
    ----------
    candidates : Table
        All rows of the ledger with ``label``, and ``truth`` and ``origin`` where these are known; what has a reason
        was not stored.
    stamp_px : int
    seed : int

    Raises
    ------
    ValueError
        Fewer than five sky cells, or one class alone.
    """
    return [
        *check_separability(candidates, seed),
        *check_origins(candidates),
        check_metadata(candidates, seed),
        *check_second_injections(candidates, stamp_px),
    ]


def _labelled(candidates: pa.Table) -> pa.Table:
    """Return the stored candidates that have a label, numbered in the order of their batch."""
    numbered = candidates.append_column("order", pa.array(_number_in_batch(candidates)))
    return numbered.filter(pc.and_(pc.is_null(candidates["reason"]), pc.is_valid(candidates["label"])))


def _judged(candidates: pa.Table) -> pa.Table:
    """Return the candidates that are real or bogus, as ``is_real``: by the hidden truth where there is one."""
    labelled = _labelled(candidates)
    truth = pc.if_else(pc.is_valid(labelled["truth"]), labelled["truth"], labelled["label"])
    known = pc.is_in(truth, pa.array([REAL, BOGUS]))
    return labelled.append_column("is_real", pc.equal(truth, REAL)).filter(known)


def check_separability(candidates: pa.Table, seed: int) -> list[Check]:
    """Return the checks of how well few numbers tell real from bogus."""
    judged = _judged(candidates)
    return [
        check_brightness(candidates, seed),
        _check_forest(
            "catalogue",
            "What share of bogus does a forest on ten scalars let pass at 90 % of the reals?",
            judged,
            SCALARS,
            seed,
        ),
        _check_forest(
            "tidy artefacts",
            "What share does one on three numbers of the difference?",
            judged,
            DIFFERENCE_SCALARS,
            seed,
        ),
    ]


def check_brightness(candidates: pa.Table, seed: int) -> Check:
    """Ask how well S/N alone tells real from bogus, whichever is the brighter."""
    judged = _judged(candidates)
    real, snr = _column(judged, "is_real").astype(bool), _column(judged, "snr")
    area = measure_by_group(
        lambda rows: area_under_curve(snr[rows], real[rows]), _codes(judged, "group"), np.random.default_rng(seed)
    )
    area = area if area.value >= 0.5 else Estimate(1 - area.value, 1 - area.high, 1 - area.low)
    question = "How well does S/N alone tell real from bogus?"
    return _bounded("brightness", question, area, None, MOST_SNR_AUC, len(real))


def _check_forest(name: str, question: str, judged: pa.Table, columns: tuple[str, ...], seed: int) -> Check:
    real, groups = _column(judged, "is_real").astype(bool), _codes(judged, "group")
    scores = score_by_forest(_matrix(judged, columns), real, _fold(groups, real), seed)
    passed = measure_by_group(lambda rows: false_rate(scores[rows], real[rows]), groups, np.random.default_rng(seed))
    bogus = int((~real).sum())
    events = round(passed.value * bogus)
    remark = f"{events} of {bogus} bogus" + (", not resolved" if events < FEW_EVENTS else "")
    return _bounded(name, question, passed, LEAST_FOREST_RATE, None, len(real), remark)


def check_origins(candidates: pa.Table) -> list[Check]:
    """Return the checks of what those are that are labelled bogus and truly are; none without the truth."""
    bogus = _labelled(candidates)
    bogus = bogus.filter(pc.and_kleene(pc.equal(bogus["label"], BOGUS), pc.equal(bogus["truth"], BOGUS)))
    if bogus.num_rows == 0:
        return []
    origins, groups = bogus["origin"].to_pylist(), _codes(bogus, "group")
    counts = Counter(origins)
    held = [name for name, number in counts.most_common() if number >= ORIGIN_SHARE * len(origins)]
    shares = ", ".join(f"{name} {number / len(origins):.1%}" for name, number in counts.most_common())
    near = _column(bogus, "galaxy_separation_re") <= NEAR_RADII
    noise = np.array([origin == NOISE for origin in origins])
    return [
        Check(
            "origins",
            "How many origins hold at least 2 % of the bogus?",
            len(held),
            np.nan,
            np.nan,
            LEAST_ORIGINS,
            None,
            len(origins),
            shares,
        ),
        _bounded(
            "pure noise",
            "What share of the bogus is a peak of noise?",
            _share(noise, groups),
            None,
            MOST_NOISE,
            len(noise),
        ),
        _bounded(
            "near galaxies",
            "What share of the bogus lies within two effective radii of a galaxy?",
            _share(near, groups),
            LEAST_NEAR_GALAXY,
            None,
            len(near),
        ),
    ]


def check_metadata(candidates: pa.Table, seed: int) -> Check:
    """Ask whether what is known of a candidate without its pixels tells its label."""
    labelled = _labelled(candidates)
    real, groups = np.array(labelled["label"].to_pylist()) == REAL, _codes(labelled, "group")
    scores = score_by_forest(_matrix(labelled, METADATA), real, _fold(groups, real), seed)
    measured = measure_by_group(
        lambda rows: area_under_curve(scores[rows], real[rows]), groups, np.random.default_rng(seed)
    )
    question = "Do detector, place, seeing, time and order tell real from bogus?"
    return check_near("metadata", question, measured, 0.5, METADATA_TOLERANCE, len(real))


def check_second_injections(candidates: pa.Table, stamp_px: int) -> list[Check]:
    """Return the shares of stamps, by label, that hold an injection that is not their own."""
    labelled = _labelled(candidates)
    batches = _codes(candidates, "batch")
    laid = np.column_stack([_column(candidates, name) for name in ("injected_x_px", "injected_y_px")])
    own = dict(zip(candidates["batch"].to_pylist(), batches.tolist(), strict=True))
    at = np.column_stack([_column(labelled, name) for name in ("x_px", "y_px")])
    number = np.array([own[batch] for batch in labelled["batch"].to_pylist()])
    holds = np.zeros(len(at), bool)
    for batch in np.unique(number):
        mine = number == batch
        others = laid[(batches == batch) & np.isfinite(laid[:, 0])]
        away = np.abs(at[mine][:, None] - others)
        inside, near = away.max(axis=2, initial=0) < stamp_px / 2, np.hypot(*np.moveaxis(away, 2, 0)) < _OWN_PX
        holds[mine] = (inside & ~near).any(axis=1)
    real = np.array(labelled["label"].to_pylist()) == REAL
    groups = _codes(labelled, "group")
    return [
        _bounded(
            f"second injection, {name}",
            f"What share of {name} stamps holds another injection?",
            _share(holds[which], groups[which]),
            None,
            MOST_SECOND,
            int(which.sum()),
            f"{int(holds[which].sum())} stamps",
        )
        for name, which in ((REAL, real), (BOGUS, ~real))
    ]


def _share(flags: np.ndarray, groups: np.ndarray) -> Estimate:
    return measure_by_group(
        lambda rows: float(flags[rows].mean()) if len(rows) else float("nan"), groups, np.random.default_rng(0)
    )


def _bounded(
    name: str, question: str, measured: Estimate, least: float | None, most: float | None, count: int, remark: str = ""
) -> Check:
    return Check(name, question, measured.value, measured.low, measured.high, least, most, count, remark)


def _fold(groups: np.ndarray, real: np.ndarray) -> np.ndarray:
    cells, reals = len(np.unique(groups)), int(real.sum())
    if cells < FOLDS or reals in (0, len(real)):
        raise ValueError(
            f"{reals} real and {len(real) - reals} bogus on {cells} sky cells: both classes on at least {FOLDS} cells "
            "are needed, ask for more visits"
        )
    return np.asarray(groups % FOLDS)


def _codes(table: pa.Table, name: str) -> np.ndarray:
    return np.unique(np.array(table[name].to_pylist(), str), return_inverse=True)[1]


def _matrix(table: pa.Table, columns: tuple[str, ...]) -> np.ndarray:
    return np.column_stack([_column(table, name) for name in columns])


def _column(table: pa.Table, name: str) -> np.ndarray:
    """Return a column as numbers, (n,) float64, NaN for null; text by the order of its values."""
    column = table[name]
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _codes(table, name).astype(float)
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), float)


def _number_in_batch(table: pa.Table) -> np.ndarray:
    """Return how many rows of its batch stand before each row, (n,) float64."""
    seen: Counter[str] = Counter()
    numbers = []
    for batch in table["batch"].to_pylist():
        numbers.append(float(seen[batch]))
        seen[batch] += 1
    return np.array(numbers)

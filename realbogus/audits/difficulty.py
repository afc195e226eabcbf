"""Checks that a simulated survey is hard enough to compare classifiers on, and that its ledger gives no label away.

They use the tables of a dataset, not its pixels. The class of a candidate is its hidden truth if present, otherwise its
label; blends are left out.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from realbogus.audits.checks import (
    Check,
    Estimate,
    Question,
    area_under_curve,
    check_near,
    check_within,
    estimate_by_group,
    false_positive_rate,
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
"""Columns of a candidate's catalogue entry."""
DIFFERENCE_SCALARS = ("snr", "fwhm_px", "axis_ratio")
"""Columns measured on the difference."""
METADATA = ("detector", "x_px", "y_px", "seeing_fwhm_arcsec", "night", "visit", "order", "finite_fraction")
"""Columns that do not depend on the candidate's pixels."""

MOST_SNR_AUC = 0.85
LEAST_FOREST_RATE = 0.03
MOST_NOISE = 0.10
LEAST_NEAR_GALAXY = 0.05
NEAR_RADII = 2.0
LEAST_ORIGINS, ORIGIN_SHARE = 4, 0.02
METADATA_TOLERANCE = 0.05  # of the AUC, about 0.5
MOST_SECOND = 0.01
FOLDS = 5
FEW_EVENTS = 10
_OWN_PX = 4.0  # an injection within this distance is the candidate's own


def check_difficulty(candidates: pa.Table, stamp_px: int, seed: int) -> list[Check]:
    """Return all checks of a survey's difficulty and of its ledger.

    Parameters
    ----------
    candidates : Table
        All rows of the ledger, with columns ``label, truth, origin``, the latter two null if unknown. Rows with a
        ``reason`` are not stored.
    stamp_px : int
        Width of the stamps.
    seed : int

    Raises
    ------
    ValueError
        There are fewer than five sky cells, or candidates of one class only.
    """
    return [
        *check_separability(candidates, seed),
        *check_origins(candidates),
        check_metadata(candidates, seed),
        *check_second_injections(candidates, stamp_px),
    ]


def _labelled(candidates: pa.Table) -> pa.Table:
    """Return the stored candidates with a label; column ``order`` is their position within the batch."""
    numbered = candidates.append_column("order", pa.array(_number_in_batch(candidates)))
    return numbered.filter(pc.and_(pc.is_null(candidates["reason"]), pc.is_valid(candidates["label"])))


def _classified(candidates: pa.Table) -> pa.Table:
    """Return the candidates of known class, real or bogus, with column ``is_real``."""
    labelled = _labelled(candidates)
    truth = pc.if_else(pc.is_valid(labelled["truth"]), labelled["truth"], labelled["label"])
    has_class = pc.is_in(truth, pa.array([REAL, BOGUS]))
    return labelled.append_column("is_real", pc.equal(truth, REAL)).filter(has_class)


def check_separability(candidates: pa.Table, seed: int) -> list[Check]:
    """Check that few scalars do not separate real from bogus; `candidates` as in `check_difficulty`."""
    classified = _classified(candidates)
    catalogue = Question(
        "catalogue", "False positive rate of a forest on ten catalogue scalars at a true positive rate of 90 %"
    )
    difference = Question("tidy artefacts", "The same of a forest on three scalars of the difference")
    return [
        check_brightness(candidates, seed),
        _check_forest(catalogue, classified, SCALARS, seed),
        _check_forest(difference, classified, DIFFERENCE_SCALARS, seed),
    ]


def check_brightness(candidates: pa.Table, seed: int) -> Check:
    """Check that S/N alone, with the better sign, does not separate real from bogus."""
    classified = _classified(candidates)
    real, snr = _column(classified, "is_real").astype(bool), _column(classified, "snr")
    auc = estimate_by_group(
        lambda rows: area_under_curve(snr[rows], real[rows]), _codes(classified, "group"), np.random.default_rng(seed)
    )
    if auc.value < 0.5:
        auc = Estimate(1 - auc.value, 1 - auc.high, 1 - auc.low)
    question = Question("brightness", "AUC of S/N alone, real against bogus")
    return check_within(question, auc, None, MOST_SNR_AUC, len(real))


def _check_forest(question: Question, classified: pa.Table, columns: tuple[str, ...], seed: int) -> Check:
    """Check the false positive rate of a forest on columns at a true positive rate of 90 %."""
    real, groups = _column(classified, "is_real").astype(bool), _codes(classified, "group")
    scores = score_by_forest(_matrix(classified, columns), real, _fold(groups, real), seed)
    rate = estimate_by_group(
        lambda rows: false_positive_rate(scores[rows], real[rows]), groups, np.random.default_rng(seed)
    )
    bogus = int((~real).sum())
    events = round(rate.value * bogus)
    remark = f"{events} of {bogus} bogus" + (", not resolved" if events < FEW_EVENTS else "")
    return check_within(replace(question, remark=remark), rate, LEAST_FOREST_RATE, None, len(real))


def check_origins(candidates: pa.Table) -> list[Check]:
    """Check the origins of candidates that are labelled bogus and are bogus; empty without hidden truth."""
    bogus = _labelled(candidates)
    bogus = bogus.filter(pc.and_kleene(pc.equal(bogus["label"], BOGUS), pc.equal(bogus["truth"], BOGUS)))
    count = bogus.num_rows
    if count == 0:
        return []
    origin, groups = np.array(bogus["origin"].to_pylist(), object), _codes(bogus, "group")
    counts = Counter(origin.tolist()).most_common()
    frequent = sum(number >= ORIGIN_SHARE * count for _, number in counts)
    shares = ", ".join(f"{name} {number / count:.1%}" for name, number in counts)
    near_galaxy = _column(bogus, "galaxy_separation_re") <= NEAR_RADII
    origins = Question("origins", "Number of origins with at least 2 % of the bogus", shares)
    noise = Question("pure noise", "Fraction of the bogus that are peaks of noise")
    near = Question("near galaxies", "Fraction of the bogus within two effective radii of a galaxy")
    return [
        check_within(origins, Estimate(frequent, np.nan, np.nan), LEAST_ORIGINS, None, count),
        check_within(noise, _estimate_share(origin == NOISE, groups), None, MOST_NOISE, count),
        check_within(near, _estimate_share(near_galaxy, groups), LEAST_NEAR_GALAXY, None, count),
    ]


def check_metadata(candidates: pa.Table, seed: int) -> Check:
    """Check that the columns `METADATA` do not predict the label; `candidates` as in `check_difficulty`."""
    labelled = _labelled(candidates)
    real, groups = np.array(labelled["label"].to_pylist()) == REAL, _codes(labelled, "group")
    scores = score_by_forest(_matrix(labelled, METADATA), real, _fold(groups, real), seed)
    auc = estimate_by_group(
        lambda rows: area_under_curve(scores[rows], real[rows]), groups, np.random.default_rng(seed)
    )
    question = Question("metadata", "AUC of a forest on detector, position, seeing, time and order, real against bogus")
    return check_near(question, auc, 0.5, METADATA_TOLERANCE, len(real))


def check_second_injections(candidates: pa.Table, stamp_px: int) -> list[Check]:
    """Check the fraction of stamps, by label, that contain an injection other than their own.

    Injections of different rounds are not in one frame; a column ``injection_round``, if present, tells them apart.
    """
    labelled = _labelled(candidates)
    contains = _contain_second_injection(candidates, labelled, stamp_px)
    label, groups = np.array(labelled["label"].to_pylist()), _codes(labelled, "group")
    checks = []
    for name in (REAL, BOGUS):
        rows = (label == REAL) == (name == REAL)
        remark = f"{int(contains[rows].sum())} stamps"
        question = Question(
            f"second injection, {name}", f"Fraction of {name} stamps that contain another injection", remark
        )
        share = _estimate_share(contains[rows], groups[rows])
        checks.append(check_within(question, share, None, MOST_SECOND, int(rows.sum())))
    return checks


def _contain_second_injection(candidates: pa.Table, labelled: pa.Table, stamp_px: int) -> np.ndarray:
    """Return whether each labelled candidate's stamp contains an injection of its frame not its own, (n,) bool."""
    frames, frame_of_row = _frames(candidates), _frames(labelled)
    injected = np.column_stack([_column(candidates, name) for name in ("injected_x_px", "injected_y_px")])
    positions = np.column_stack([_column(labelled, name) for name in ("x_px", "y_px")])
    contains = np.zeros(len(positions), bool)
    for frame in np.unique(frame_of_row):
        rows = frame_of_row == frame
        injections = injected[(frames == frame) & np.isfinite(injected[:, 0])]
        offsets = np.abs(positions[rows][:, None] - injections)
        inside = offsets.max(axis=2, initial=0) < stamp_px / 2
        is_own = np.hypot(*np.moveaxis(offsets, 2, 0)) < _OWN_PX
        contains[rows] = (inside & ~is_own).any(axis=1)
    return contains


def _frames(table: pa.Table) -> np.ndarray:
    """Return the batch of each row with its round of injections, (n,) str."""
    rounds = table["injection_round"].to_pylist() if "injection_round" in table.column_names else [1] * table.num_rows
    return np.array([f"{batch} {number}" for batch, number in zip(table["batch"].to_pylist(), rounds, strict=True)])


def _estimate_share(flags: np.ndarray, groups: np.ndarray) -> Estimate:
    """Return the fraction of flags (n,) bool that are set, with an interval over groups (n,); NaN without rows."""
    return estimate_by_group(
        lambda rows: float(flags[rows].mean()) if len(rows) else float("nan"), groups, np.random.default_rng(0)
    )


def _fold(groups: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return the fold of each row, (n,) from 0, by its group's code (n,); `real` is (n,) bool."""
    cells, reals = len(np.unique(groups)), int(real.sum())
    if cells < FOLDS or reals in (0, len(real)):
        raise ValueError(
            f"{reals} real and {len(real) - reals} bogus on {cells} sky cells: both classes on at least {FOLDS} cells "
            "are needed, ask for more visits"
        )
    return np.asarray(groups % FOLDS)


def _codes(table: pa.Table, name: str) -> np.ndarray:
    """Return a column of text as ranks of its values, (n,) int."""
    return np.unique(np.array(table[name].to_pylist(), str), return_inverse=True)[1]


def _matrix(table: pa.Table, columns: tuple[str, ...]) -> np.ndarray:
    """Return columns as (n, columns) float64."""
    return np.column_stack([_column(table, name) for name in columns])


def _column(table: pa.Table, name: str) -> np.ndarray:
    """Return a column as (n,) float64: NaN for null, text by the rank of its value."""
    column = table[name]
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _codes(table, name).astype(float)
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), float)


def _number_in_batch(table: pa.Table) -> np.ndarray:
    """Return the position of each row within its batch, (n,) float64 from 0."""
    rows_so_far: Counter[str] = Counter()
    numbers = []
    for batch in table["batch"].to_pylist():
        numbers.append(float(rows_so_far[batch]))
        rows_so_far[batch] += 1
    return np.array(numbers)

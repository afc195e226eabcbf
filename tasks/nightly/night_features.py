"""The features of a night by which drift is checked, from its ledger rows and the champion's scores."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from realbogus.records import DETECTION
from tasks.candidates.building.staged_rows import FAULTY_VISIT
from tasks.learning.drift.label_shift import estimate_share, move_share
from tasks.learning.drift.night_features import NightFeatures
from tasks.store.columns import align_column, to_float
from tasks.store.schema import STORED

SEEING = "seeing_fwhm_arcsec"
"""Compared once a chip-visit: a value of every detection would weigh visits by their number of bogus."""
LOGARITHMIC = (SEEING, "snr", "fwhm_px", "std")
"""Columns whose logarithm is compared, as ``log10_NAME``, since their scatter is relative; missing if not positive."""
OF_CANDIDATES = (SEEING, "snr", "mag", "fwhm_px", "axis_ratio", "std")
"""Columns of the ledger that are compared of candidates, beside the logit; not where they lie, since fields differ in
their galaxies."""
CANDIDATE_COLUMNS = ("id", "status", "kind", "detector", "batch", *OF_CANDIDATES)
"""Columns that `candidate_features` reads of the ledger."""
OF_GALAXIES = ("r_mag", "petro_r90_arcsec", "redshift")
"""Columns of the ledger that are compared of galaxies, beside the model's confidence."""
GALAXY_COLUMNS = ("id", "status", *OF_GALAXIES)
"""Columns that `galaxy_features` reads of the ledger."""
UNKNOWN_DETECTOR = "unknown"


def candidate_features(
    night: str, ledger: pa.Table, scores: pa.Table, threshold: float, training_share: float
) -> NightFeatures:
    """Return the features of a night's candidates by detector.

    A night with more reals is no fault. So only detections that the champion calls bogus are compared, without
    injections and known objects, and each with the probability that it is bogus, at the share of reals that this
    night's probabilities tell.

    Parameters
    ----------
    night : str
    ledger : Table
        The night's rows: `CANDIDATE_COLUMNS`.
    scores : Table
        The champion's: id, logit, and probability at the training mix; null where not scored.
    threshold : float
        The champion's, in logits.
    training_share : float
        Share of reals that `probability` holds at.
    """
    kinds = pc.fill_null(ledger["kind"], "")
    stored = pc.and_(pc.equal(ledger["status"], STORED), pc.equal(kinds, DETECTION))
    rows = ledger.filter(stored)
    logit, probability = (to_float(align_column(scores, name, rows["id"])) for name in ("logit", "probability"))
    scored = np.isfinite(logit) & np.isfinite(probability)
    share = estimate_share(probability[scored], training_share)
    is_compared = scored & (logit < threshold)
    compared = rows.filter(pa.array(is_compared))
    columns = {name: _read(compared, name) for name in OF_CANDIDATES if name in compared.column_names}
    if SEEING in columns:
        columns[SEEING] = _once_a_visit(compared["batch"].to_pylist(), columns[SEEING])
    values = {f"log10_{name}" if name in LOGARITHMIC else name: column for name, column in columns.items()}
    return NightFeatures(
        night=night,
        strata=_detectors(compared),
        values={**values, "logit": logit[is_compared]},
        weights=1 - move_share(probability[is_compared], training_share, share),
        visits=_count_visits(ledger.filter(pc.not_equal(kinds, FAULTY_VISIT))),
    )


def galaxy_features(night: str, ledger: pa.Table, predictions: pa.Table) -> NightFeatures:
    """Return the features of new galaxies by predicted class, so that other shares of the classes are no drift.

    Parameters
    ----------
    night : str
    ledger : Table
        Rows of the new galaxies: `GALAXY_COLUMNS`.
    predictions : Table
        The champion's: id, class, confidence; null where not scored.
    """
    stored = ledger.filter(pc.equal(ledger["status"], STORED))
    classes = align_column(predictions, "class", stored["id"])
    rows = stored.filter(pc.is_valid(classes))
    values = {name: _read(rows, name) for name in OF_GALAXIES if name in rows.column_names}
    confidence = to_float(align_column(predictions, "confidence", rows["id"]))
    strata = np.array(classes.drop_null().to_pylist(), str)
    return NightFeatures(night, strata, {**values, "confidence": confidence})


def _read(rows: pa.Table, name: str) -> NDArray:
    """Return a feature (n,), NaN where it is missing."""
    values = to_float(rows[name])
    if name not in LOGARITHMIC:
        return values
    return np.log10(values, out=np.full(len(values), np.nan), where=values > 0)


def _once_a_visit(batches: list[str], values: NDArray) -> NDArray:
    """Return values (n,) with all but the first of each batch missing."""
    first = np.full(len(values), np.nan)
    places = list({name: place for place, name in reversed(list(enumerate(batches)))}.values())
    first[places] = values[places]
    return first


def _detectors(rows: pa.Table) -> NDArray:
    return np.array(pc.fill_null(rows["detector"], UNKNOWN_DETECTOR).to_pylist(), str)


def _count_visits(rows: pa.Table) -> dict[str, int]:
    """Return how many chip-visits each detector has among rows; none without batches that are visits."""
    visits = pa.table({"detector": pa.array(_detectors(rows).tolist(), pa.string()), "batch": rows["batch"]})
    counted = visits.group_by("detector").aggregate([("batch", "count_distinct")])
    return dict(zip(counted["detector"].to_pylist(), counted["batch_count_distinct"].to_pylist(), strict=True))

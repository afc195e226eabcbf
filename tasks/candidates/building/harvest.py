"""The harvest of a real/bogus build: its ledger rows, labels, hidden truth, manifest entries and account."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from expectations.split_shares import PARTS
from realbogus.injection.balance import InjectionCounts, missing_injections
from realbogus.injection.completeness import fit_completeness
from realbogus.readings import Reading, merge_readings
from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION, VARIABLE_INJECTION, find_places
from tasks.building.harvest import Harvest, part_counts
from tasks.building.validate import validate_candidates
from tasks.candidates.building.build_request import CandidateBuildRequest
from tasks.candidates.building.collect import ReadyTriplets, read_reading
from tasks.candidates.building.known_objects import KNOWN_GROUP
from tasks.candidates.building.plan import CandidatePlan
from tasks.candidates.building.repetitions import drop_repeated
from tasks.candidates.building.staged_rows import LEDGER_COLUMNS, PADDED, STAGED_COLUMNS, padded_fractions, visit_faults
from tasks.records.repetitions import log_repeated
from tasks.runtime.run_log import run_logger
from tasks.store import merging
from tasks.store.columns import align_column, to_bool, to_float
from tasks.store.errors import StoreError
from tasks.store.schema import REALBOGUS, STORED
from tasks.store.versions import stored_rows, value_counts

MAX_FAULTS_LOGGED = 10
PIXELS = {"simulated": "simulated", "zenodo": "real+injected", "alerts": "real", "triplets": "real"}
LABEL_KINDS = {"simulated": "injection", "frames": "injection", "zenodo": "injection", "alerts": "weak"}
VALIDATED = (
    *("id", "group", "status", "kind", "snr", "finite_fraction", "axis_ratio", "masked_fraction", "x_px", "y_px"),
    *("injected_x_px", "injected_y_px", "injected_snr", "found", "host_separation_arcsec", "host_separation_re"),
)
"""Columns that the expectations on candidates read."""
ACCOUNTED = (
    *("id", "group", "status", "reason", "kind", "found", "injected_mag"),
    *("snr", "detector", "visit", "batch"),
)
"""Columns that the account reads."""
INJECTED = {"galaxy": GALAXY_INJECTION, "random": RANDOM_INJECTION, "variable": VARIABLE_INJECTION}


class NoVisitError(StoreError):
    """Every chip-visit of a build was rejected; `reasons` counts them by reason."""

    def __init__(self, message: str, reasons: Mapping[str, int]):
        super().__init__(message)
        self.reasons = dict(reasons)


def gather_candidates(plan: CandidatePlan) -> Harvest:
    """Gather the candidates that the plan's batches left in staging.

    Raises
    ------
    NoVisitError
        All chip-visits were rejected; the message names the first error.
    SourceError
        Two candidates of one id have different pixels.
    """
    request = plan.request
    gathered = merging.gather(plan.staging, (batch.number for batch in plan.batches), STAGED_COLUMNS)
    staged, repeated_ids = drop_repeated(gathered, partial(_places_of, plan))
    repeated_ids = [*plan.repeated_ids, *repeated_ids]
    log_repeated(repeated_ids, "count once")
    reading = gather_reading(plan)
    for note in reading.notes:
        run_logger().warning("%s", note)
    faults = visit_faults(staged)
    log_faults(faults)
    if staged.num_rows == len(faults) and faults and not plan.published_ids:
        reasons = Counter(fault.split(":")[0] for fault in faults)
        raise NoVisitError(f"none of {len(faults)} chip-visits could be worked on; the first: {faults[0]}", reasons)
    ids = pa.concat_arrays([pa.array(plan.published_ids, pa.string()), staged["id"].combine_chunks()])
    truth = staged.select(["id", "truth", "origin"]).filter(pc.is_valid(staged["truth"]))
    return Harvest(
        plan=plan,
        ids=ids,
        ledger=staged.select([*LEDGER_COLUMNS.names, *merging.PLACE.names]),
        labels=staged.select(["id", "label"]),
        sample_shape=(request.stamp_px, request.stamp_px, 3),
        dtype="float32",
        linked=False,
        raw_kept=False,
        truth=truth if truth.num_rows else None,
        manifest=_manifest(plan),
        accounted=ACCOUNTED,
        account=partial(
            account_of,
            request,
            repeated=len(repeated_ids),
            reading=reading,
            padded=padded_fractions(staged) if request.source == "frames" else None,
        ),
        least_finite_fraction=0.0,
        test_only=KNOWN_GROUP,
        enough_groups=enough_groups(request),
        validations=validate_candidates(
            staged.select(VALIDATED), staged.select(["id", "label"]), request.model_dump(mode="json")
        ),
    )


def enough_groups(request: CandidateBuildRequest) -> str:
    """Return the smallest request, from this one up, whose groups can fill every part of the split.

    A group is a chip at a pointing, which `revisits` visits share; of more chips and more visits, the fewer chip-visits
    are named.
    """
    if request.source == "frames":
        return f"{len(PARTS)} pairs of frames of different chips or pointings"
    if request.source != "simulated":
        return f"{len(PARTS)} different objects (groups) among the records"
    pointings = -(-request.visits // request.revisits)
    more_chips = max(request.chips, -(-len(PARTS) // pointings)), request.visits
    more_visits = request.chips, max(request.visits, (-(-len(PARTS) // request.chips) - 1) * request.revisits + 1)
    chips, visits = min(more_chips, more_visits, key=lambda asked: asked[0] * asked[1])
    return f"chips={chips} visits={visits}"


def _manifest(plan: CandidatePlan) -> dict[str, Any]:
    """Return the manifest's entries of a real/bogus dataset."""
    request = plan.request
    return {
        "problem": REALBOGUS,
        "pixels": pixels_of(request),
        "label_kind": label_kind(plan),
        "source": plan.source,
        "release": None,
        "field": None,
        "request_px": None,
        "size_px": request.stamp_px,
        "crop_fraction": None,
        "survey": _survey(plan),
        "conditions": plan.facts["conditions"],
        "parameters": request.model_dump(mode="json"),
    }


def pixels_of(request: CandidateBuildRequest) -> str:
    """Return the origin of the pixels, a word of the manifest."""
    if request.source == "frames":
        return "real+injected" if request.injections_per_visit else "real"
    return PIXELS[request.source]


def label_kind(plan: CandidatePlan) -> str:
    """Return where the labels come from, a word of the manifest."""
    source = plan.source
    if source != "triplets":
        return LABEL_KINDS[source]
    collector = plan.collector
    column = getattr(collector.source, "label_column", None) if isinstance(collector, ReadyTriplets) else None
    return "weak" if column == "weak_label" else "human"


def _survey(plan: CandidatePlan) -> dict[str, Any] | None:
    """Return the settings of the simulated survey, which record its difficulty; None for other sources."""
    survey = getattr(plan.collector, "survey", None)
    return None if survey is None else json.loads(survey.model_dump_json())


def account_of(
    request: CandidateBuildRequest,
    ledger: pa.Table,
    labels: pa.Table | None,
    split: pa.Table | None,
    *,
    repeated: int = 0,
    reading: Reading | None = None,
    padded: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Return the account of a request's candidates.

    Parameters
    ----------
    request : CandidateBuildRequest
    ledger : Table
        Columns `ACCOUNTED`, the request's rows.
    labels : Table or None
        Columns id, label.
    split : Table or None
        Columns id, part.
    repeated : int
        Number of candidates beyond the first of their id.
    reading : Reading, optional
        What was understood of the request's inputs.
    padded : dict, optional
        Fraction of the new and the reference frames that is padding, for source=frames.
    """
    stored = stored_rows(ledger)
    no_labels = pa.nulls(stored.num_rows, pa.string())
    label = no_labels if labels is None else align_column(labels, "label", stored["id"])
    counts = value_counts(pc.fill_null(label, "unlabelled"))
    completeness_50_mag = half_completeness_mag(ledger)
    return {
        "asked": ledger.num_rows,
        "stored": stored.num_rows,
        "rejected": dict(value_counts(ledger["reason"].drop_null()).most_common()),
        "repeated": repeated,
        "labels": {name: counts[name] for name in ("real", "bogus", "unlabelled")},
        "injected": {name: count_injections(ledger, kind) for name, kind in INJECTED.items()},
        "found": {name: count_injections(ledger, kind, found=True) for name, kind in INJECTED.items()},
        "galaxy_share": galaxy_share(request, ledger),
        "kinds": dict(value_counts(stored["kind"]).most_common()),
        "detectors": pc.count_distinct(stored["detector"]).as_py(),
        "cells": pc.count_distinct(stored["group"]).as_py(),
        "split": part_counts(split, stored["id"]),
        "completeness_50_mag": completeness_50_mag and round(completeness_50_mag, 2),
        "detections_per_chip": detections_per_visit(ledger),
        "pixels": pixels_of(request),
        **(reading or Reading()).to_summary(),
        **({} if padded is None else {PADDED: padded}),
    }


def gather_reading(plan: CandidatePlan) -> Reading:
    """Return what was understood of the frames or rows of a plan's batches, and of its known objects."""
    staging, known = plan.staging, getattr(plan.collector, "known", None)
    of_batches = (read_reading(staging, batch.number) for batch in plan.batches)
    return merge_readings([*of_batches, *([] if known is None else [known.reading()])])


def _places_of(plan: CandidatePlan, sample_id: str, numbers: Sequence[int]) -> list[str]:
    """Return where two candidates of one id stand, by the numbers of their batches."""
    keys = [cast(Any, batch.key) for number in numbers for batch in plan.batches if batch.number == number]
    if not isinstance(plan.collector, ReadyTriplets):
        return [str(key) for key in keys]
    return find_places(plan.collector.source, keys, sample_id)


def count_injections(ledger: pa.Table, kind: str, *, found: bool = False) -> int:
    """Count the injections of a kind; with `found` those matched to a detection, stored or not.

    Where ``found`` is null, as for ready triplets, a stored injection counts as found.
    """
    rows = ledger.select(["status", "found"]).filter(pc.equal(ledger["kind"], kind))
    if not found:
        return int(rows.num_rows)
    detected = pc.if_else(pc.is_valid(rows["found"]), rows["found"], pc.equal(rows["status"], STORED))
    return int(to_bool(detected).sum())


def galaxy_share(request: CandidateBuildRequest, ledger: pa.Table) -> dict[str, float | int | None]:
    """Return the share near galaxies of all injections and of those stored, and how many are missing to meet it.

    Injections on variable sources are not counted.

    Parameters
    ----------
    request : CandidateBuildRequest
    ledger : Table
        Columns kind, status, batch.

    Returns
    -------
    dict
        ``asked``, ``stored``: shares, None without an injection; ``missing``: injections that the chip-visits lack to
        have the share among the stored ones, None unless ``balance=stored``.
    """
    rows = ledger.filter(pc.is_in(ledger["kind"], pa.array([GALAXY_INJECTION, RANDOM_INJECTION])))
    stored = stored_rows(rows, ["kind", "batch"])
    shares = {name: _fraction_hosted(table["kind"]) for name, table in (("asked", rows), ("stored", stored))}
    if request.balance == "asked":
        return {**shares, "missing": None}
    kinds = Counter(zip(stored["batch"].to_pylist(), stored["kind"].to_pylist(), strict=True))
    counts = (
        InjectionCounts(kinds[batch, GALAXY_INJECTION], kinds[batch, RANDOM_INJECTION])
        for batch in stored["batch"].unique().to_pylist()
    )
    return {**shares, "missing": sum(missing_injections(count, request.galaxy_fraction)[1] for count in counts)}


def _fraction_hosted(kinds: pa.ChunkedArray) -> float | None:
    return round(pc.sum(pc.equal(kinds, GALAXY_INJECTION)).as_py() / len(kinds), 4) if len(kinds) else None


def half_completeness_mag(ledger: pa.Table) -> float | None:
    """Return the magnitude at which half of the injections are found; None if it cannot be fitted.

    Parameters
    ----------
    ledger : Table
        Columns injected_mag, found (null: no injection).
    """
    rows = ledger.select(["injected_mag", "found"]).filter(pc.is_valid(ledger["found"]))
    fitted = fit_completeness(to_float(rows["injected_mag"]), to_bool(rows["found"]))
    return None if fitted is None else fitted[0]


def detections_per_visit(ledger: pa.Table) -> float | None:
    """Return the mean number of detections per chip-visit, to one decimal; None for ready triplets.

    Parameters
    ----------
    ledger : Table
        Columns snr (null: not detected), batch, visit (null: no chip-visit).
    """
    visits = ledger.select(["snr", "batch"]).filter(pc.is_valid(ledger["visit"]))
    if visits.num_rows == 0:
        return None
    detected = pc.sum(pc.is_valid(visits["snr"])).as_py()
    return round(float(detected) / pc.count_distinct(visits["batch"]).as_py(), 1)


def log_faults(faults: Sequence[str]) -> None:
    """Log the first `MAX_FAULTS_LOGGED` errors for which chip-visits were rejected."""
    for fault in faults[:MAX_FAULTS_LOGGED]:
        run_logger().warning("a chip-visit was left out: %s", fault)
    if len(faults) > MAX_FAULTS_LOGGED:
        run_logger().warning("and %d more", len(faults) - MAX_FAULTS_LOGGED)

"""What a real/bogus build brings to be published: its ledger rows, labels, hidden truth, manifest entries, account."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from realbogus.injection.completeness import fit_completeness
from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION
from tasks.building.publish import Harvest, part_counts
from tasks.building.validate import judge_candidates
from tasks.candidates.collect import KNOWN_GROUP, LEDGER_COLUMNS, STAGED_COLUMNS, ReadyTriplets, faults_of
from tasks.candidates.plan import PROBLEM, CandidatePlan
from tasks.runtime.run_log import run_logger
from tasks.store import merging
from tasks.store.columns import align_column, to_bool, to_float
from tasks.store.errors import StoreError
from tasks.store.sampling import hash_order
from tasks.store.schema import STORED
from tasks.store.versions import stored_rows, value_counts

MOST_FAULTS_LOGGED = 10
PIXELS = {"simulated": "simulated", "zenodo": "real+injected", "alerts": "real", "triplets": "real"}
LABEL_KINDS = {"simulated": "injection", "frames": "injection", "zenodo": "injection", "alerts": "weak"}
JUDGED = (
    *("id", "group", "status", "kind", "snr", "finite_fraction", "axis_ratio", "masked_fraction", "x_px", "y_px"),
    *("injected_x_px", "injected_y_px", "injected_snr", "found", "host_separation_arcsec", "host_separation_re"),
)
ACCOUNTED = (
    *("id", "group", "status", "reason", "kind", "found", "injected_mag"),
    *("snr", "detector", "visit", "batch"),
)
OVER_BALANCE = "over_balance"
INJECTED = {"galaxy": GALAXY_INJECTION, "random": RANDOM_INJECTION}


def gather_candidates(plan: CandidatePlan) -> Harvest:
    """Gather what the plan's batches left in staging.

    Raises
    ------
    StoreError
        Nothing was found, and why.
    """
    staged = merging.gather(plan.staging, (batch.number for batch in plan.batches), STAGED_COLUMNS)
    faults = faults_of(staged)
    log_faults(faults)
    if staged.num_rows == len(faults) and faults and not plan.before:
        raise StoreError(f"none of {len(faults)} chip-visits could be worked on; the first: {faults[0]}")
    if plan.request["balance"] == "stored":
        staged = merging.reject(staged, dict.fromkeys(_surplus(staged, plan.request), OVER_BALANCE))
    ids = pa.concat_arrays([pa.array(plan.before, pa.string()), staged["id"].combine_chunks()])
    truth = staged.select(["id", "truth", "origin"]).filter(pc.is_valid(staged["truth"]))
    stamp_px = int(plan.request["stamp_px"])
    return Harvest(
        plan=plan,
        ids=ids,
        ledger=staged.select([*LEDGER_COLUMNS.names, *merging.PLACE.names]),
        labels=staged.select(["id", "label"]),
        sample_shape=(stamp_px, stamp_px, 3),
        dtype="float32",
        linked=False,
        raw_kept=False,
        truth=truth if truth.num_rows else None,
        manifest=_manifest(plan),
        accounted=ACCOUNTED,
        account=lambda mine, labels, split: _account(plan, mine, labels, split),
        least_finite_fraction=0.0,
        test_only=KNOWN_GROUP,
        judged=judge_candidates(staged.select(JUDGED), staged.select(["id", "label"]), plan.request),
    )


def _surplus(staged: pa.Table, request: dict[str, Any]) -> list[str]:
    """Return the found injections of the kind that is found too often, so many that the rest meets the share.

    Near galaxies fewer are found, so the surplus is of the others as a rule; a hash of the id chooses.
    """
    share, seed = float(request["galaxy_fraction"]), int(request["seed"])
    stored = stored_rows(staged, ["id", "kind"])
    ids = {kind: stored.filter(pc.equal(stored["kind"], kind))["id"].to_pylist() for kind in INJECTED.values()}
    hosted, alone = len(ids[GALAXY_INJECTION]), len(ids[RANDOM_INJECTION])
    kept = {
        GALAXY_INJECTION: hosted if share in (0, 1) else min(hosted, round(alone * share / (1 - share))),
        RANDOM_INJECTION: alone if share in (0, 1) else min(alone, round(hosted * (1 - share) / share)),
    }
    return [names[position] for kind, names in ids.items() for position in hash_order(names, seed)[kept[kind] :]]


def _manifest(plan: CandidatePlan) -> dict[str, Any]:
    """Return the manifest's entries of a real/bogus dataset."""
    request = plan.request
    return {
        "problem": PROBLEM,
        "pixels": pixels_of(request),
        "label_kind": _label_kind(plan),
        "source": plan.source,
        "release": None,
        "field": None,
        "request_px": None,
        "size_px": request["stamp_px"],
        "crop_fraction": None,
        "survey": _survey(plan),
        "parameters": request,
    }


def pixels_of(request: dict[str, Any]) -> str:
    """Return where the pixels come from, in the words of the manifest."""
    if request["source"] == "frames":
        return "real+injected" if request["injections_per_visit"] else "real"
    return PIXELS[request["source"]]


def _label_kind(plan: CandidatePlan) -> str:
    source = plan.source
    if source != "triplets":
        return LABEL_KINDS[source]
    observer = plan.observer
    column = getattr(observer.source, "label_column", None) if isinstance(observer, ReadyTriplets) else None
    return "weak" if column == "weak_label" else "human"


def _survey(plan: CandidatePlan) -> dict[str, Any] | None:
    """Return the simulated survey's settings, so that its difficulty is on record."""
    survey = getattr(plan.observer, "survey", None)
    return None if survey is None else json.loads(survey.model_dump_json())


def _account(plan: CandidatePlan, mine: pa.Table, labels: pa.Table | None, split: pa.Table | None) -> dict[str, Any]:
    """Return the account of the request's candidates."""
    stored = stored_rows(mine)
    unlabelled = pa.nulls(stored.num_rows, pa.string())
    given = unlabelled if labels is None else align_column(labels, "label", stored["id"])
    labelled = value_counts(pc.fill_null(given, "unlabelled"))
    injected = {name: _count(mine, kind) for name, kind in INJECTED.items()}
    middle = _completeness(mine)
    return {
        "asked": mine.num_rows,
        "stored": stored.num_rows,
        "rejected": dict(value_counts(mine["reason"].drop_null()).most_common()),
        "labels": {name: labelled[name] for name in ("real", "bogus", "unlabelled")},
        "injected": injected,
        "found": {name: _count(mine, kind, found=True) for name, kind in INJECTED.items()},
        "kinds": dict(value_counts(stored["kind"]).most_common()),
        "detectors": pc.count_distinct(stored["detector"]).as_py(),
        "cells": pc.count_distinct(stored["group"]).as_py(),
        "split": part_counts(split, stored["id"].combine_chunks()),
        "completeness_50_mag": middle and round(middle, 2),
        "detections_per_chip": _detections_a_chip(mine),
        "pixels": pixels_of(plan.request),
    }


def _count(ledger: pa.Table, kind: str, *, found: bool = False) -> int:
    """Count the injections of a kind: all, or those that a detection was matched to (stored or not)."""
    rows = ledger.select(["status", "found"]).filter(pc.equal(ledger["kind"], kind))
    if not found:
        return int(rows.num_rows)
    detected = pc.if_else(pc.is_valid(rows["found"]), rows["found"], pc.equal(rows["status"], STORED))
    return int(pc.sum(detected).as_py() or 0)


def _completeness(ledger: pa.Table) -> float | None:
    rows = ledger.select(["injected_mag", "found"]).filter(pc.is_valid(ledger["found"]))
    fitted = fit_completeness(to_float(rows["injected_mag"]), to_bool(rows["found"]))
    return None if fitted is None else fitted[0]


def _detections_a_chip(ledger: pa.Table) -> float | None:
    """Return the mean number of detections in a chip-visit; None for ready triplets."""
    visits = ledger.select(["snr", "batch"]).filter(pc.is_valid(ledger["visit"]))
    if visits.num_rows == 0:
        return None
    detected = pc.sum(pc.is_valid(visits["snr"])).as_py()
    return round(float(detected) / pc.count_distinct(visits["batch"]).as_py(), 1)


def log_faults(faults: Sequence[str]) -> None:
    """Log the first `MOST_FAULTS_LOGGED` of what kept chip-visits from being worked on."""
    for fault in faults[:MOST_FAULTS_LOGGED]:
        run_logger().warning("a chip-visit was left out: %s", fault)
    if len(faults) > MOST_FAULTS_LOGGED:
        run_logger().warning("and %d more", len(faults) - MOST_FAULTS_LOGGED)

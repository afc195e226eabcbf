"""What the labelling page shows of a candidate, and which candidates have a known right answer."""

import json
from collections.abc import Mapping
from typing import Any

from realbogus.records import BOGUS, INJECTIONS, REAL
from realbogus.sources.object_kinds import KNOWN_KINDS
from tasks.store.dataset import Dataset
from tasks.store.versions import stored_rows

PLANES = ("New", "Reference", "Difference")
SAME_PLACE_ARCSEC = 2.0
"""Detections within this radius are one source's light history."""
FACTS = {
    "ra_deg": "RA (deg)",
    "dec_deg": "Dec (deg)",
    "mag": "Magnitude",
    "snr": "S/N",
    "fwhm_px": "FWHM (px)",
    "axis_ratio": "Axis ratio",
    "edge_distance_px": "From the edge (px)",
    "masked_fraction": "Masked",
    "finite_fraction": "Finite",
    "detector": "Detector",
    "night": "Night",
    "visit": "Visit",
    "seeing_fwhm_arcsec": "Seeing (arcsec)",
}
"""Columns of the ledger that are shown, none of which tells how the label came about."""
HISTORY = ("night", "visit", "mag", "snr")
"""Columns of a light history."""


def gold_labels(dataset: Dataset, scheme: str) -> dict[str, str]:
    """Return the right label by id: the simulation's truth, else that of injections, which are real."""
    truth = dataset.truth()
    if truth is not None:
        pairs = zip(truth["id"].to_pylist(), truth["truth"].to_pylist(), strict=True)
        return {name: word for name, word in pairs if word in (REAL, BOGUS)}
    rows = stored_rows(dataset.samples(["id", "kind", "status"]))
    pairs = zip(rows["id"].to_pylist(), rows["kind"].to_pylist(), strict=True)
    return {name: REAL for name, kind in pairs if kind in INJECTIONS}


def known_object(sample: Mapping[str, Any]) -> str | None:
    """Return name and kind of the known object that a ledger row was matched with; None without one."""
    if sample["kind"] not in KNOWN_KINDS:
        return None
    name = json.loads(sample["parameters"] or "{}").get("known_object", "unnamed")
    return f"{name} ({sample['kind'].removeprefix('known_')})"

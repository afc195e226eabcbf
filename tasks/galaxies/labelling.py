"""What the labelling page shows of a galaxy, and which galaxies have a known right answer."""

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from tasks.store.dataset import Dataset

PLANES = ("Image",)
SAME_PLACE_ARCSEC = 2.0
"""Samples within this radius are one galaxy."""
FACTS = {
    "ra_deg": "RA (deg)",
    "dec_deg": "Dec (deg)",
    "redshift": "Redshift",
    "r_mag": "r (mag)",
    "petro_r90_arcsec": "Petrosian R90 (arcsec)",
    "width_arcsec": "Width (arcsec)",
    "source": "Source",
}
"""Columns of the ledger that are shown, none of which tells the label."""
HISTORY: tuple[str, ...] = ()
SURE_FRACTION = 0.95
"""Vote fraction from which on the volunteers' label serves as a known answer."""


def gold_labels(dataset: Dataset, scheme: str) -> dict[str, str]:
    """Return the right label by id: the simulation's truth, else labels on which volunteers all but agree."""
    truth, classes = dataset.truth(), dataset.classes(scheme)
    if truth is not None:
        pairs = zip(truth["id"].to_pylist(), truth["truth"].to_pylist(), strict=True)
        return {name: word for name, word in pairs if word in classes}
    labels = dataset.labels(scheme)
    if "vote_fraction" not in labels.column_names:
        return {}
    sure = labels.filter(pc.fill_null(pc.greater_equal(labels["vote_fraction"], SURE_FRACTION), False))
    sure = sure.filter(pc.is_valid(sure["label"]))
    return dict(zip(sure["id"].to_pylist(), sure["label"].to_pylist(), strict=True))


def known_object(sample: Mapping[str, Any]) -> str | None:
    """Return None: a galaxy is the known object itself."""
    return None

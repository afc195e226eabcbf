"""A small published dataset of discs, a model that reads their brightness, and the request of a galaxy build."""

from typing import Any

import numpy as np
import pyarrow as pa

from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.store import merging, pixels, versions
from tasks.store.schema import LEDGER, SPLIT, TRUTH

SIZE, SCHEME, CLASSES = 16, "bright-2", ["faint", "bright"]
PARTS = ["train"] * 8 + ["validation", "test"]
QUICK_RELABELLING: dict[str, Any] = {
    "preset": "deck",
    "epochs": 8,
    "batch_size": 16,
    "folds": 2,
    "most_of_stratum": 1.0,
}
RELABELLED, RELABELLED_PX = 120, 32
"""Galaxies of the tests that relabel, and the width of their images."""

CATALOG = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "ra_deg": [10.0, 20.0, None, 40.0],
        "dec_deg": [1.0, 2.0, 3.0, 4.0],
        "petro_r90_arcsec": [5.0, None, 5.0, -1.0],
    }
)
"""Four objects, of which the first alone has both a position and a radius."""


def build_request(**changes: Any) -> GalaxyBuildRequest:
    """A request of four Petrosian frames of 100 px from SDSS, without labels."""
    parameters = {
        "dataset": "sky",
        "catalog": "table.parquet",
        "metadata": None,
        "source": "sdss",
        "images": None,
        "mapping": None,
        "scheme": "none",
        "size_px": 64,
        "request_px": 100,
        "crop_fraction": 1.0,
        "field": "petrosian",
        "scale_arcsec_per_px": None,
        "limit": None,
        "service_url": None,
        "release": None,
        "max_rate_per_s": 5.0,
        "max_connections": 16,
        "min_stored_fraction": 0.0,
        "allow_mixed": False,
        "retry_rejected": False,
        "seed": 0,
    }
    return GalaxyBuildRequest(**parameters | changes)


def images_of(labels, rng, size=SIZE):
    """Discs of brightness 60 or 110 on a sky of 20, with noise that makes some of them overlap."""
    y, x = np.indices((size, size)) - (size - 1) / 2
    disc = (np.hypot(y, x) < 4)[None, :, :, None]
    level = 60 + 50 * labels + rng.normal(0, 16, len(labels))
    noise = rng.normal(0, 3, (len(labels), size, size, 3))
    return np.clip(20 + disc * level[:, None, None, None] + noise, 0, 255).astype(np.uint8)


def publish_galaxies(
    workspace, name, count=200, seed=0, changed=None, truth=CLASSES, size=SIZE, wrong=None, scheme=SCHEME, facts=None
):
    """Publish a dataset; ``changed`` holds columns to replace by value, by sample number, ``facts`` more of a manifest.

    With ``wrong``, numbers of samples with the other class's label, it also holds the hidden truth.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    images = images_of(labels, rng, size)
    ids = [f"{name}-{number:04d}" for number in range(count)]
    rows = [
        dict.fromkeys(LEDGER.names)
        | {
            "id": ids[number],
            "group": ids[number],
            "status": "stored",
            "ra_deg": 100 + number / 10,
            "dec_deg": float(seed),
            "pixel_sha256": f"pixels of {ids[number]}",
            "redshift": None if number % 9 == 0 else 0.03 + 0.0003 * number,
        }
        | (changed or {}).get(number, {})
        for number in range(count)
    ]
    ids = [row["id"] for row in rows]
    table = merging.give_rows(pa.Table.from_pylist(rows, LEDGER.append(pa.field("redshift", pa.float64()))), 0)
    folder = workspace.datasets / name
    array = pixels.create(folder / "pixels.zarr", (size, size, 3), "uint8")
    pixels.grow(array, count)
    order = np.argsort([row["id"] for row in table.sort_by("row").to_pylist()])
    pixels.write_shard(array, 0, images[order])
    split = pa.table([ids, ids, [PARTS[number % 10] for number in range(count)]], schema=SPLIT)
    votes = rng.uniform(0.5, 1, count).astype(np.float32)
    hidden = pa.table([ids, [truth[label] for label in labels], ["made"] * count], schema=TRUTH)
    labels[list(wrong or ())] = 1 - labels[list(wrong or ())]
    labelled = pa.table({"id": ids, "label": [truth[label] for label in labels], "vote_fraction": votes})
    manifest = {
        "name": name,
        "problem": "galaxy",
        "pixels": "simulated",
        "label_kind": "votes",
        "schemes": {scheme: {"classes": list(truth), "digest": "scheme digest"}},
        **(facts or {}),
    }
    known = None if wrong is None else hidden
    return versions.publish(folder, versions.NewVersion(table, {scheme: labelled}, split, manifest, known), None)


class Threshold:
    """Says bright where the middle of the image is; overconfident on purpose."""

    def predict_on_batch(self, x):
        middle = x[:, 6:10, 6:10].mean(axis=(1, 2, 3))
        bright = 1 / (1 + np.exp(-(middle - 105.0) / 3))
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)


def card_of(dataset, /, **more):
    return {
        "problem": "galaxy",
        "scheme": SCHEME,
        "scheme_digest": "scheme digest",
        "classes": CLASSES,
        "input_shape": [SIZE, SIZE, 3],
        "input_dtype": "uint8",
        "preprocessing_version": 1,
        "temperature": 2.0,
        "dataset": dataset.name,
        "dataset_version": dataset.version,
        "dataset_digest": dataset.digest,
        "split_hash": dataset.manifest["split_hash"],
        "sha256": "5" * 64,
    } | more

"""A small published dataset of the eleven classes under several schemes, with hidden truth, and a model that reads it.

The class of an image stands in its colours: red says the roundness or bulge, green the bar, so that a network can learn
it in an epoch, and `ReadsColours` reads it without learning.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galaxy.labels.schemes import load_scheme
from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels, versions
from tasks.store.dataset import Dataset
from tasks.store.schema import LEDGER, SPLIT

TEXTS = ("Er", "Ei", "Ec", "Sa", "Sb", "Sc", "Sd", "SBa", "SBb", "SBc", "SBd")
"""Class texts in the order of deck-11's classes."""
TRUTH = ("E0", "E3", "E7", *TEXTS[3:])
"""Their words in a synthetic sky's truth table."""
SCHEMES = ("deck-11", "deck-3", "deck-7")
PARTS = ("train", "train", "train", "train", "train", "train", "validation", "validation", "test", "test")


def publish_schemes(
    workspace: Workspace,
    name: str,
    count: int = 220,
    seed: int = 0,
    side: int = 16,
    schemes: Sequence[str] = SCHEMES,
    wrong: float = 0.0,
) -> Dataset:
    """Publish images of every class text in turn; a share `wrong` of the labels is that of the next text."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % len(TEXTS)
    voted = np.where(rng.random(count) < wrong, (truth + 1) % len(TEXTS), truth)
    ids = [f"{name}-{number:04d}" for number in range(count)]
    rows = [
        dict.fromkeys(LEDGER.names)
        | {"id": ids[number], "group": ids[number], "status": "stored"}
        | {"ra_deg": number / 10, "dec_deg": float(seed), "pixel_sha256": f"pixels of {ids[number]}"}
        | {"redshift": 0.03 + 0.001 * (number % 50)}
        for number in range(count)
    ]
    table = merging.give_rows(pa.Table.from_pylist(rows, LEDGER.append(pa.field("redshift", pa.float64()))), 0)
    folder = workspace.datasets / name
    array = pixels.create(folder / "pixels.zarr", (side, side, 3), "uint8")
    pixels.grow(array, count)
    order = [ids.index(sample) for sample in table.sort_by("row")["id"].to_pylist()]
    pixels.write_shard(array, 0, coloured_images(truth, side, rng)[order])
    # Parts change slower than classes, so that each part has every class.
    parts = [PARTS[number // len(TEXTS) % len(PARTS)] for number in range(count)]
    labels = {}
    for scheme in map(load_scheme, schemes):
        given = [scheme.assign(TEXTS[text]).label for text in voted]
        labels[scheme.name] = pa.table({"id": ids, "label": pa.array(given, pa.string())})
    manifest = {
        "name": name,
        "problem": "galaxy",
        "pixels": "simulated",
        "label_kind": "votes",
        "schemes": {
            scheme: {"classes": list(load_scheme(scheme).classes), "digest": load_scheme(scheme).digest}
            for scheme in schemes
        },
    }
    split = pa.table([ids, ids, parts], schema=SPLIT)
    hidden = pa.table({"id": ids, "truth": [TRUTH[text] for text in truth], "origin": ["simulated"] * count})
    return versions.publish(folder, versions.NewVersion(table, labels, split, manifest, hidden), None)


def coloured_images(texts: NDArray, side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return images (n, side, side, 3) of positions (n,) in `TEXTS`."""
    red = np.array([10, 30, 50, 90, 120, 150, 180, 90, 120, 150, 180])[texts]
    green = np.where(texts < 7, 40, 160)
    flat = np.stack([red, green, np.full(len(texts), 90)], axis=1)[:, None, None]
    return np.clip(flat + rng.normal(0, 4, (len(texts), side, side, 3)), 1, 255).astype(np.uint8)


class ReadsColours:
    """Gives the probabilities of deck-11 by the distance of an image's mean colour from each class's."""

    def predict_on_batch(self, x: NDArray) -> NDArray[np.float32]:
        places = coloured_images(np.arange(len(TEXTS)), 8, np.random.default_rng(0)).mean(axis=(1, 2))
        distance = np.linalg.norm(x.mean(axis=(1, 2))[:, None] - places[None], axis=2)
        likely = np.exp(-distance / 8)
        return (likely / likely.sum(axis=1, keepdims=True)).astype(np.float32)

"""A small published dataset of candidates, for tests of what is done to its labels, folds and rows of studies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from realbogus.records import BatchKey, Records
from tasks.candidates.building.build_request import CandidateBuildRequest
from tasks.candidates.building.staged_rows import LEDGER_COLUMNS
from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels, versions
from tasks.store.dataset import Dataset
from tasks.store.schema import SPLIT, TRUTH

SIDE = 21
SCHEME = "real-bogus"
REQUEST: dict[str, Any] = {
    **{"dataset": "night", "source": "simulated", "path": None, "night": 0, "stamp_px": 29, "label_column": None},
    **{"group_column": None, "galaxy_catalog": None, "known_objects": None, "galaxy_fraction": 0.5},
    **{"balance": "asked", "injections_per_visit": 20, "chips": 2, "visits": 3, "revisits": 1},
    **{"scene_transients": 0.1, "diversity": 1.0, "seeing_arcsec": 3.4, "engine": "alard-lupton"},
    **{"threshold_sigma": 5.0, "limit": None, "seed": 3},
}


def candidate_request(**changes: Any) -> CandidateBuildRequest:
    """The request of a small simulated build, with some parameters changed."""
    return CandidateBuildRequest(**REQUEST | changes)


def draw_stamps(real: Sequence[bool], seed: int = 0) -> np.ndarray:
    """Draw triplets with noise: a star in new and difference where `real`, else an edge of light."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    star, edge = np.exp(-(x**2 + y**2) / 5), np.where(x > 0, 0.4, -0.4) * (np.abs(y) < 4) * (np.abs(x) < 6)
    stamps = rng.normal(100, 4, (len(real), SIDE, SIDE, 3))
    for stamp, shown in zip(stamps, real, strict=True):
        shape = rng.uniform(40, 200) * (star if shown else edge)
        stamp[..., 0] += shape
        stamp[..., 2] += shape - 100
    return stamps.astype(np.float32)


def publish_candidates(
    workspace: Workspace,
    name: str,
    labels: Sequence[str | None],
    cells: Sequence[str],
    parts: Sequence[str],
    *,
    real: Sequence[bool] | None = None,
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> Dataset:
    """Publish candidates ``c0000`` on with the given labels, sky cells and parts of the split.

    Stamps show what `real` says, which is the hidden truth then; by default even rows are real and nothing is told.
    `columns` of the ledger go to the samples in their order.
    """
    folder, count = workspace.datasets / name, len(labels)
    shown = [row % 2 == 0 for row in range(count)] if real is None else list(real)
    array = pixels.create(folder / "pixels.zarr", (SIDE, SIDE, 3), "float32")
    pixels.grow(array, count)
    pixels.write_shard(array, 0, draw_stamps(shown))
    ids = [f"c{row:04d}" for row in range(count)]
    told = {
        "id": ids,
        "status": ["stored"] * count,
        "group": list(cells),
        "pixel_sha256": ids,
        "source": ["triplets"] * count,
        "kind": ["detection"] * count,
        **(columns or {}),
    }
    ledger = pa.table(
        {field.name: pa.array(told.get(field.name, [None] * count), field.type) for field in LEDGER_COLUMNS}
    )
    truth = pa.table([ids, ["real" if flag else "bogus" for flag in shown], ["made"] * count], schema=TRUTH)
    manifest = {
        "problem": "realbogus",
        "pixels": "simulated",
        "label_kind": "injection",
        "schemes": {
            SCHEME: {
                "digest": "0",
                "classes": ["bogus", "real"],
                "counts": {name: list(labels).count(name) for name in ("bogus", "real")},
            }
        },
    }
    return versions.publish(
        folder,
        versions.NewVersion(
            merging.give_rows(ledger, 0),
            {SCHEME: pa.table({"id": ids, "label": pa.array(list(labels), pa.string())})},
            pa.table([pa.array(column) for column in (ids, list(cells), list(parts))], schema=SPLIT),
            manifest,
            None if real is None else truth,
        ),
        None,
    )


@dataclass(frozen=True)
class ListedRecords:
    """A source of records that are known by their ids alone."""

    names: tuple[tuple[str, ...], ...]

    def batches(self) -> Sequence[BatchKey]:
        return [BatchKey(f"b{number}", ()) for number in range(len(self.names))]

    def ids(self, batch: BatchKey) -> list[str]:
        return list(self.names[int(batch.name[1:])])

    def read(self, batch: BatchKey) -> Records:
        raise AssertionError("a plan reads no stamps")

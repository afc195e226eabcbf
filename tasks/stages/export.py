"""Exporting candidates in the published layout: ``images{ID}.npy`` and ``params{ID}.csv`` a detector."""

import csv
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from realbogus.sources.zenodo import published_word
from tasks.learning.scoring import image_blocks
from tasks.learning.split_parts import ALL, PartError
from tasks.runtime.progress import progress
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import sha256_of_file, whole_folder
from tasks.store.schema import REALBOGUS
from tasks.store.versions import stored_rows

BLOCK_ROWS = 1024
COLUMNS = ("object_type", "id", "ra_deg", "dec_deg", "mag", "x_px", "y_px", "night", "group")


@task(name="export", description="Write arrays, tables, checksums, data card and ledger", cache_policy=NO_CACHE)
def export_candidates(workspace: Workspace, name: str, part: str, path: str | None) -> dict[str, Any]:
    """Export a part of a dataset; return what was written and what the layout has no word for.

    Raises
    ------
    PartError
        The dataset is of another problem, or the part is empty.
    StoreError
        The folder exists already.
    """
    started = time.monotonic()
    dataset = Dataset.open(workspace, name)
    if dataset.manifest["problem"] != REALBOGUS:
        raise PartError(
            f"dataset {dataset.name!r} is of problem {dataset.manifest['problem']!r}; the published layout is for "
            f"{REALBOGUS} triplets"
        )
    standard = workspace.root / "exports" / f"{dataset.name}-{dataset.version:06d}-{part}"
    target = standard if path is None else Path(path).expanduser().resolve()
    if target.exists():
        raise StoreError(f"{target} exists already: remove it or give another path")
    rows, left_out = _rows_of(dataset, part)
    with whole_folder(target) as folder, progress("exporting", rows.num_rows) as advance:
        counts: dict[str, int] = {}
        for detector, mine in _by_detector(rows):
            _write_detector(folder, detector, mine, dataset)
            counts[detector] = mine.num_rows
            advance(mine.num_rows)
        _write_ledger(folder, dataset, rows)
        words = Counter(rows["object_type"].to_pylist())
        (folder / "README.md").write_text(_card(dataset, part, counts, words, left_out), encoding="utf-8")
        sums = [f"{sha256_of_file(file)}  {file.name}" for file in sorted(folder.iterdir())]
        (folder / "SHA256SUMS").write_text("\n".join([*sums, ""]), encoding="ascii")
    return {
        "dataset": f"{dataset.name}@{dataset.version}",
        "part": part,
        "path": str(target),
        "exported": rows.num_rows,
        "object_types": dict(words),
        "left_out": left_out,
        "detectors": len(counts),
        "pixels": dataset.manifest["pixels"],
        "labels": dataset.manifest["label_kind"],
        "seconds": round(time.monotonic() - started, 1),
    }


def _rows_of(dataset: Dataset, part: str) -> tuple[pa.Table, dict[str, int]]:
    """Return the stored rows of a part that the layout has a word for, by row, and a count of the others."""
    stored = stored_rows(dataset.samples())
    labels = dataset.labels(dataset.schemes[0]).select(["id", "label"])
    rows = stored.join(labels, "id", join_type="left outer")
    split = dataset.split()
    if part != ALL and split is not None:
        rows = rows.filter(pc.is_in(rows["id"], split.filter(pc.equal(split["part"], part))["id"].combine_chunks()))
    pairs = zip(rows["label"].to_pylist(), rows["kind"].to_pylist(), strict=True)
    words = [published_word(label, kind) for label, kind in pairs]
    rows = rows.append_column("object_type", pa.array(words, pa.string()))
    known = pc.is_valid(rows["object_type"])
    left_out = Counter(
        f"{label or 'unlabelled'} {kind}"
        for label, kind in zip(
            *(rows.filter(pc.invert(known))[name].to_pylist() for name in ("label", "kind")), strict=True
        )
    )
    rows = rows.filter(known).sort_by("row")
    if not rows.num_rows:
        raise PartError(
            f"part {part!r} of dataset {dataset.name!r} has nothing that the published layout has a word for; "
            f"left out: {dict(left_out)}"
        )
    return rows, dict(left_out)


def _by_detector(rows: pa.Table) -> list[tuple[str, pa.Table]]:
    """Return the rows of each detector under a name that fits into a file's."""
    names = pc.fill_null(rows["detector"], "0")
    found = []
    for name in sorted(pc.unique(names).to_pylist()):
        found.append((re.sub(r"[^A-Za-z0-9._-]+", "_", name), rows.filter(pc.equal(names, name))))
    return found


def _write_detector(folder: Path, detector: str, rows: pa.Table, dataset: Dataset) -> None:
    pixels = dataset.pixels
    images = np.lib.format.open_memmap(
        folder / f"images{detector}.npy", "w+", np.dtype("<f4"), (rows.num_rows, *pixels.shape[1:])
    )
    first = 0
    for block in image_blocks(pixels, rows["row"].to_numpy(), BLOCK_ROWS):
        images[first : first + len(block)] = block
        first += len(block)
    images.flush()
    columns = [rows[name].to_pylist() for name in COLUMNS]
    with (folder / f"params{detector}.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(zip(*columns, strict=True))


def _write_ledger(folder: Path, dataset: Dataset, rows: pa.Table) -> None:
    """Write the ledger rows of what is exported, with their part of the split."""
    split = dataset.split()
    if split is not None:
        rows = rows.join(split.select(["id", "part"]), "id", join_type="left outer").sort_by("row")
    pq.write_table(rows, folder / "ledger.parquet", compression="zstd")


def _card(dataset: Dataset, part: str, counts: dict[str, int], words: Counter[str], left_out: dict[str, int]) -> str:
    manifest = dataset.manifest
    parameters = ", ".join(f"{name}={value}" for name, value in manifest["parameters"].items() if value is not None)
    lines = [
        f"# {dataset.name}, version {dataset.version}, part {part}",
        "",
        f"{sum(counts.values())} triplets of {len(counts)} detectors; **{manifest['pixels']} pixels**, labels by "
        f"**{manifest['label_kind']}**.",
        "",
        "`images{ID}.npy` is (n, height, width, 3) float32, channels new, reference, difference (new minus reference), "
        "in the frames' raw units, NaN where there is nothing. `params{ID}.csv` goes with it row for row; "
        "`object_type` is `artifact`, `galx_artificial_real` or `rand_artificial_real`. `ledger.parquet` has all that "
        "is known of each row and its part of the split; `group` is what must not be torn apart.",
        "",
        "| what | value |",
        "|---|---|",
        *(f"| {word} | {count} |" for word, count in sorted(words.items())),
        *(f"| left out: {what} | {count} |" for what, count in sorted(left_out.items())),
        *(f"| detector {name} | {count} |" for name, count in counts.items()),
        f"| dataset digest | {dataset.digest} |",
        f"| split hash | {manifest['split_hash']} |",
        f"| source | {manifest['source']} |",
        f"| made with | {parameters} |",
        f"| code | {code_version()} |",
        "",
        "Labels are those of the survey's own rule: an injection that was found is real, every other detection is "
        "taken for an artefact, so a share of the artefacts are true objects. Whoever passes the data on states the "
        "licence of its pixels; simulated pixels carry none.",
        "",
    ]
    return "\n".join(lines)

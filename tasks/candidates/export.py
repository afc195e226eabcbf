"""Exporting candidates in the published layout: ``images{ID}.npy`` and ``params{ID}.csv`` for each detector."""

import csv
import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from realbogus.sources.zenodo import published_word
from tasks.learning.scoring import image_blocks
from tasks.learning.split_parts import ALL, PartError
from tasks.runtime.progress import progress
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import sha256_of_file, whole_folder, write_json
from tasks.store.schema import REALBOGUS
from tasks.store.versions import stored_rows

BLOCK_ROWS = 1024
SUMS, FACTS = "SHA256SUMS", "export.json"
"""Files of an export with the digests of the others, and with the dataset, its digest, the part and the counts."""
COLUMNS = ("object_type", "id", "ra_deg", "dec_deg", "mag", "x_px", "y_px", "night", "group")
"""Columns of ``params{ID}.csv``."""


def export_candidates(workspace: Workspace, name: str, part: str, path: str | None) -> dict[str, Any]:
    """Export a part of a dataset; return the summary, with counts of rows that the layout cannot express.

    A folder that holds this very export is compared with its digests, and its summary returned.

    Parameters
    ----------
    workspace : Workspace
    name : str
        NAME or NAME@3.
    part : str
        train, validation, test or all.
    path : str or None
        Folder to make; None: ``exports/NAME-VERSION-PART`` in the workspace.

    Raises
    ------
    PartError
        The dataset is of another problem, or the part is empty.
    StoreError
        The folder exists already, and is no export of that part, or a file of it has changed.
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
    asked = {"dataset": f"{dataset.name}@{dataset.version}", "dataset_digest": dataset.digest, "part": part}
    facts = _facts_of_finished(target, asked) if target.exists() else _export(target, dataset, asked)
    return {
        **{name: value for name, value in facts.items() if name != "dataset_digest"},
        "path": str(target),
        "seconds": round(time.monotonic() - started, 1),
    }


def _export(target: Path, dataset: Dataset, asked: Mapping[str, str]) -> dict[str, Any]:
    """Write the folder, whole, and return the content of `FACTS`."""
    part = asked["part"]
    rows, left_out = exportable_rows(dataset, part)
    with whole_folder(target) as folder, progress("exporting", rows.num_rows) as advance:
        counts: dict[str, int] = {}
        for detector, of_detector in by_detector(rows):
            _write_detector(folder, detector, of_detector, dataset)
            counts[detector] = of_detector.num_rows
            advance(of_detector.num_rows)
        _write_ledger(folder, dataset, rows)
        types = Counter(rows["object_type"].to_pylist())
        card = data_card(dataset, part, counts, types, left_out)
        (folder / "README.md").write_text(card, encoding="utf-8")
        facts = {
            **asked,
            "exported": rows.num_rows,
            "object_types": dict(types),
            "left_out": left_out,
            "detectors": len(counts),
            "pixels": dataset.manifest["pixels"],
            "labels": dataset.manifest["label_kind"],
        }
        write_json(folder / FACTS, facts)
        sums = [f"{sha256_of_file(file)}  {file.name}" for file in sorted(folder.iterdir())]
        (folder / SUMS).write_text("\n".join([*sums, ""]), encoding="ascii")
    return facts


def _facts_of_finished(target: Path, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of `FACTS` of a folder that is the export asked for, every byte of every file compared."""
    what = f"part {asked['part']!r} of {asked['dataset']}"
    try:
        facts: dict[str, Any] = json.loads((target / FACTS).read_bytes())
        lines = [line.split("  ", 1) for line in (target / SUMS).read_text(encoding="ascii").splitlines()]
        sums = {name: digest for digest, name in lines}
        is_same = asked.items() <= facts.items()
        changed = sorted(sums.keys() ^ {file.name for file in target.iterdir() if file.name != SUMS})
        if is_same and not changed:
            changed = [name for name, digest in sums.items() if sha256_of_file(target / name) != digest]
    except (FileNotFoundError, NotADirectoryError, ValueError, AttributeError):
        is_same, changed = False, []
    if not is_same:
        raise StoreError(f"{target} exists already, and is no whole export of {what}: remove it or give another path")
    if changed:
        raise StoreError(
            f"{target} exists already, and its file {changed[0]} is not as {what} was exported: remove the folder or "
            "give another path"
        )
    return facts


def exportable_rows(dataset: Dataset, part: str) -> tuple[pa.Table, dict[str, int]]:
    """Return the stored rows of a part that have an object type in the layout, and counts of the others.

    Returns
    -------
    rows : Table
        Ledger columns, ``label`` and ``object_type``, sorted by ``row``.
    left_out : dict
        Number of rows without an object type, by label and kind.

    Raises
    ------
    PartError
        No row has an object type.
    """
    stored = stored_rows(dataset.samples())
    labels = dataset.labels(dataset.schemes[0]).select(["id", "label"])
    rows = stored.join(labels, "id", join_type="left outer")
    split = dataset.split()
    if part != ALL and split is not None:
        rows = rows.filter(pc.is_in(rows["id"], split.filter(pc.equal(split["part"], part))["id"].combine_chunks()))
    pairs = list(zip(rows["label"].to_pylist(), rows["kind"].to_pylist(), strict=True))
    types = [published_word(label, kind) for label, kind in pairs]
    rows = rows.append_column("object_type", pa.array(types, pa.string()))
    left_out = Counter(
        f"{label or 'unlabelled'} {kind}" for (label, kind), word in zip(pairs, types, strict=True) if word is None
    )
    rows = rows.filter(pc.is_valid(rows["object_type"])).sort_by("row")
    if not rows.num_rows:
        raise PartError(
            f"part {part!r} of dataset {dataset.name!r} has nothing that the published layout has a word for; "
            f"left out: {dict(left_out)}"
        )
    return rows, dict(left_out)


def by_detector(rows: pa.Table) -> list[tuple[str, pa.Table]]:
    """Return the rows of each detector under a name fit for a file, sorted by name; ``0`` stands for no detector."""
    names = pc.fill_null(rows["detector"], "0")
    return [
        (re.sub(r"[^A-Za-z0-9._-]+", "_", name), rows.filter(pc.equal(names, name)))
        for name in sorted(pc.unique(names).to_pylist())
    ]


def _write_detector(folder: Path, detector: str, rows: pa.Table, dataset: Dataset) -> None:
    """Write a detector's array and table, in the order of its rows."""
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
    """Write the ledger of the exported rows, with their part of the split."""
    split = dataset.split()
    if split is not None:
        rows = rows.join(split.select(["id", "part"]), "id", join_type="left outer").sort_by("row")
    pq.write_table(rows, folder / "ledger.parquet", compression="zstd")


def data_card(
    dataset: Dataset, part: str, counts: Mapping[str, int], types: Mapping[str, int], left_out: Mapping[str, int]
) -> str:
    """Return the export's README.md: layout, counts by object type and detector, provenance, and what labels mean."""
    manifest = dataset.manifest
    parameters = ", ".join(f"{name}={value}" for name, value in manifest["parameters"].items() if value is not None)
    lines = [
        f"# {dataset.name}, version {dataset.version}, part {part}",
        "",
        f"{sum(counts.values())} triplets of {len(counts)} detectors; **{manifest['pixels']} pixels**, labels by "
        f"**{manifest['label_kind']}**.",
        "",
        "`images{ID}.npy` is (n, height, width, 3) float32, channels new, reference, difference (new minus reference), "
        "in the frames' raw units, NaN where there is no data. `params{ID}.csv` has the same rows in the same order; "
        "`object_type` is `artifact`, `galx_artificial_real` or `rand_artificial_real`. `ledger.parquet` has all "
        "columns of each row and its part of the split; a `group` must not be divided between parts.",
        "",
        "| property | value |",
        "|---|---|",
        *(f"| {word} | {count} |" for word, count in sorted(types.items())),
        *(f"| left out: {pair} | {count} |" for pair, count in sorted(left_out.items())),
        *(f"| detector {name} | {count} |" for name, count in counts.items()),
        f"| dataset digest | {dataset.digest} |",
        f"| split hash | {manifest['split_hash']} |",
        f"| source | {manifest['source']} |",
        f"| built with | {parameters} |",
        f"| code | {code_version()} |",
        "",
        "Labels follow the survey's own rule: a recovered injection is real, every other detection is assumed to be an "
        "artefact, so a share of the artefacts are true objects. Whoever redistributes the data states the licence of "
        "its pixels; simulated pixels carry none.",
        "",
    ]
    return "\n".join(lines)

"""A small workspace with something of every kind that a housekeeping may find, made without a network or a server."""

import hashlib
import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.reports.page import Link, Text, page
from tasks.runtime.workspace import Workspace
from tasks.store.raw import RawStore
from tasks.tracking.database import open_client
from tasks.tracking.mlflow_runs import open_run
from tests.small_backfills import archive_request, build, write_archive

MODEL = "galaxy-four"
LATER = time.time() + 100 * 86_400
"""A time at which all that these functions make is old."""
NIGHTS = ("2026-01-01", "2026-01-02", "2026-01-03")


def make_workspace(workspace: Workspace, archives: Path) -> dict[str, str]:
    """Fill a workspace; return the ids of the runs by what they are.

    Dataset ``four`` has four versions. Of four registered models the first is champion, the fourth challenger; the
    first three are of the dataset version of their number. The ledger names the second model and the second night, a
    holdout the third dataset version, a page the run ``named``.
    """
    for number in range(1, 5):
        table = Path(write_archive(archives / str(number), 8 + 4 * number))
        build(workspace, archive_request(table, "gz1-majority-2class", min_stored_fraction=0.0))
    RawStore(workspace.raw).put(b"an answer that no ledger names")
    runs = {name: register(workspace, archives, number) for number, name in enumerate(("1", "2", "3", "4"), start=1)}
    for name in ("named", "unnamed"):
        with open_run(workspace, problem="galaxy", run_name=name, params={}, tags={}, dataset=None) as run:
            run.log_text("kept with the run", "notes.txt")
            runs[name] = run.id
    open_client(workspace).set_registered_model_alias(MODEL, "champion", "1")
    for night in NIGHTS:
        write(workspace.root / "nights" / f"{night}.zarr" / "c" / "0", b"pixels")
        write(workspace.scores / f"{night}.parquet", b"scores")
    write(workspace.root / "training" / "abc" / "fit" / "state.npz", b"weights")
    for number in range(1, 5):
        write(workspace.root / "onnx" / f"{sha256_of_model(number)}.onnx", b"converted")
    write(workspace.reports / "named.html", page("A study", [Text(f"Run {runs['named']}.")]).encode())
    write(workspace.reports / "index.html", page("All", [Link("a study", "named.html")]).encode())
    decide(workspace, {"champion_before": f"models:/{MODEL}/2", "night": NIGHTS[1], "digests": "{}"})
    write(workspace.root / "decisions" / "holdouts" / "h.json", json.dumps({"dataset": "four@3"}).encode())
    return runs


def register(workspace: Workspace, folder: Path, number: int) -> str:
    """Register a model whose card names the dataset version of its number; return its run."""
    saved = folder / f"model-{number}"
    saved.mkdir(parents=True)
    (saved / "model.keras").write_bytes(f"model {number}".encode())
    card = {"dataset": "four", "dataset_version": number, "sha256": sha256_of_model(number)}
    (saved / "model.json").write_text(json.dumps(card))
    with open_run(workspace, problem="galaxy", run_name="a fit", params={}, tags={}, dataset=None) as run:
        run.log_model(SimpleNamespace(output_shape=(None, 2)), saved, MODEL, np.zeros((1, 8, 8, 3), np.uint8))  # type: ignore[arg-type]
    return run.id


def sha256_of_model(number: int) -> str:
    return hashlib.sha256(f"model {number}".encode()).hexdigest()


def decide(workspace: Workspace, row: dict[str, str]) -> Path:
    """Append a part to the decision ledger."""
    folder = workspace.root / "decisions" / "ledger.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{len(list(folder.iterdir())):06d}.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path)
    return path


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)

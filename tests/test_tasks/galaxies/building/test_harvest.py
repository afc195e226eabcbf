"""The harvest of a galaxy build: every requested object is a row, with its label, and the account adds up."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.galaxies.building.collect import ArchiveSource, collect_batch, unfinished_batches
from tasks.galaxies.building.harvest import conversion_counts, gather_harvest
from tasks.galaxies.building.plan import GalaxyPlan, plan_galaxies
from tasks.ingest.catalogs import ingest_into_workspace
from tasks.runtime.workspace import Workspace
from tasks.store.errors import StoreError
from tasks.store.schema import STORED
from tests.small_galaxies import build_request

CLASSES = {"a": "elliptical", "b": "edge_on", "c": "clockwise", "d": "dont_know", "e": "elliptical"}


@pytest.fixture
def plan(workspace: Workspace, tmp_path: Path) -> GalaxyPlan:
    """Five objects of an archive that lacks the image of e; the scheme leaves d out."""
    images = tmp_path / "images"
    images.mkdir()
    for number, name in enumerate("abcd"):
        pixels = np.random.default_rng(number).integers(1, 255, (40, 40, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        (images / f"{name}.png").write_bytes(buffer.getvalue())
    table = tmp_path / "labels.csv"
    table.write_text("id,gz1_majority\n" + "".join(f"{name},{text}\n" for name, text in CLASSES.items()))
    catalog = Path(ingest_into_workspace(workspace, "five", [str(table)], None)["path"])
    request = build_request(
        catalog="five", source="archive", images=str(images), scheme="gz1-majority-2class", size_px=16
    )
    return plan_galaxies(workspace, request, catalog)


def collect(plan: GalaxyPlan, workspace: Workspace) -> None:
    folder = Path(str(plan.request.images))
    source = ArchiveSource(folder, {name: f"{name}.png" for name in "abcd"}, workspace.raw)
    for batch in unfinished_batches(plan, source, 1):
        collect_batch(batch)


def test_every_object_is_a_row_and_the_labels_are_the_schemes(plan: GalaxyPlan, workspace: Workspace) -> None:
    collect(plan, workspace)
    harvest = gather_harvest(workspace, plan, None)
    assert harvest.ids.to_pylist() == list(CLASSES)
    rows = {row["id"]: row for row in harvest.ledger.to_pylist()}
    assert {name: (row["status"], row["reason"]) for name, row in rows.items()} == {
        "a": ("stored", None),
        "b": ("stored", None),
        "c": ("stored", None),
        "d": ("rejected", "scheme:dont_know"),
        "e": ("rejected", "no_image"),
    }
    assert rows["d"]["attempts"] == 0
    assert rows["d"]["parameters"] == "{}"
    assert harvest.labels is not None
    labels = dict(zip(*(harvest.labels[name].to_pylist() for name in ("id", "label")), strict=True))
    assert labels == {"a": "elliptical", "b": "spiral", "c": "spiral", "d": None, "e": "elliptical"}
    assert (harvest.sample_shape, harvest.dtype, harvest.linked, harvest.raw_kept) == ((16, 16, 3), "uint8", True, True)
    assert harvest.truth is None
    assert harvest.least_stored_fraction == 0.0


def test_the_manifest_says_what_an_archive_cannot_know(plan: GalaxyPlan, workspace: Workspace) -> None:
    collect(plan, workspace)
    manifest = gather_harvest(workspace, plan, None).manifest
    expected = {"problem": "galaxy", "pixels": "real", "label_kind": "votes", "source": "archive", "size_px": 16}
    expected |= {"release": None, "field": None, "request_px": None, "crop_fraction": 1.0}
    assert {name: manifest[name] for name in expected} == expected
    assert manifest["parameters"]["catalog"] == "five.parquet"


def test_the_account_balances_and_a_left_out_object_is_rejected_even_if_stored(
    plan: GalaxyPlan, workspace: Workspace
) -> None:
    collect(plan, workspace)
    harvest = gather_harvest(workspace, plan, None)
    assert list(harvest.accounted) == ["id", "status", "reason", "parameters"]
    ledger = harvest.ledger.select(harvest.accounted).sort_by("id")
    stored_before = pa.table(
        {
            "id": list(CLASSES),
            "status": ["stored"] * 4 + ["rejected"],
            "reason": pa.array([None] * 4 + ["no_image"], pa.string()),
            "parameters": [json.dumps({"bit_depth": 16, "file": name}) for name in CLASSES],
        }
    )
    split = pa.table({"id": ["a", "b", "c"], "group": ["a", "b", "c"], "part": ["train", "train", "test"]})
    for published in (ledger, stored_before):
        account = harvest.account(published, harvest.labels, split)
        assert account["objects"] == 5 == account["stored"] + sum(account["rejected"].values())
        assert account["rejected"] == {"scheme:dont_know": 1, "no_image": 1}
        assert account["split"] == {"train": 2, "validation": 0, "test": 1}
        assert account["scheme"] == "gz1-majority-2class"
        assert account["images"] == ({} if published is ledger else {"bit_depth_16": 3})  # d is left out
    assert harvest.account(ledger, harvest.labels, split)["classes"] == {"elliptical": 1, "spiral": 2}


def test_conversions_are_counted_by_name() -> None:
    parameters = [
        {"file": "a, b.png"},
        {"file": "c.png", "bit_depth": 16, "transparency": "black"},
        {"file": "d.tif", "bit_depth": 16, "orientation": 3},
        {"file": "e.gif", "frames": 4},
    ]
    counts = conversion_counts(pa.table({"parameters": [json.dumps(item) for item in parameters]}))
    assert counts == {"bit_depth_16": 2, "transparency": 1, "orientation": 1, "frames": 1}
    assert conversion_counts(pa.table({"id": ["a"]})) == {}


def test_a_batch_that_is_missing_is_an_error(plan: GalaxyPlan, workspace: Workspace) -> None:
    collect(plan, workspace)
    rows, samples = plan.staging.ledger(0).slice(0, 3), np.array(plan.staging.pixels(0))
    shutil.rmtree(plan.staging.batch(0))
    plan.staging.write(0, rows, samples[: rows["status"].to_pylist().count(STORED)])
    with pytest.raises(StoreError, match="4 objects were requested and 3 were collected; run the same build again"):
        gather_harvest(workspace, plan, None)


def test_the_truth_of_a_simulated_sky_has_its_origin(plan: GalaxyPlan, workspace: Workspace, tmp_path: Path) -> None:
    collect(plan, workspace)
    pq.write_table(pa.table({"id": ["a"], "truth": ["E0"], "odd": ["none"]}), tmp_path / "truth.parquet")
    truth = gather_harvest(workspace, plan, tmp_path / "truth.parquet").truth
    assert truth is not None
    assert truth.to_pylist() == [{"id": "a", "truth": "E0", "origin": "simulated"}]

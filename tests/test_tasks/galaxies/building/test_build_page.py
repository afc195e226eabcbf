"""What the page of a galaxy build shows: a line of samples a class, and how the counts compare with the deck's."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tasks.galaxies.building.build_page import (
    SAMPLES_PER_CLASS,
    class_sheet,
    compare_with_deck,
    preview_received,
    report_build,
)
from tasks.reports.contact_sheet import CAPTION_PX, GAP_PX
from tasks.reports.page import Heading, Table
from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels, versions
from tasks.store.dataset import Dataset
from tasks.store.raw import RawStore
from tasks.store.schema import LEDGER, SPLIT
from tests.image_bytes import encoded

SIDE = 8
SCHEME = {"name": "deck-3", "deck_images": 100}


def publish(workspace: Workspace, labels: list[str], *, scheme: bool = True) -> Dataset:
    """Publish a dataset of grey images, labelled E or S."""
    folder, count = workspace.datasets / "tiny", len(labels)
    array = pixels.create(folder / "pixels.zarr", (SIDE, SIDE, 3), "uint8")
    pixels.grow(array, count)
    pixels.write_shard(array, 0, np.full((count, SIDE, SIDE, 3), 90, np.uint8))
    ids = [f"g{row:03d}" for row in range(count)]
    rows = [dict.fromkeys(LEDGER.names) | {"id": name, "status": "stored", "pixel_sha256": name} for name in ids]
    table = merging.give_rows(pa.Table.from_pylist(rows, LEDGER), 0)
    manifest: dict[str, Any] = {"problem": "galaxy", "schemes": {}}
    if scheme:
        manifest["schemes"] = {"two": {"digest": "0", "classes": ["E", "S"]}}
    split = pa.table([ids, ids, ["train"] * count], schema=SPLIT)
    tables = {"two": pa.table({"id": ids, "label": labels})} if scheme else {}
    return versions.publish(folder, versions.NewVersion(table, tables, split, manifest), None)


def size(jpeg: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(jpeg)).size


def test_each_class_has_at_most_one_line_of_samples(workspace: Workspace) -> None:
    wide, high = size(class_sheet(publish(workspace, ["E"] * 11 + ["S"] * 8)))
    assert wide == SAMPLES_PER_CLASS * (SIDE + GAP_PX) + GAP_PX
    assert high == 2 * (SIDE + GAP_PX + CAPTION_PX) + GAP_PX


def test_without_a_scheme_the_first_samples_are_shown_without_captions(workspace: Workspace) -> None:
    _, high = size(class_sheet(publish(workspace, ["E"] * 40, scheme=False)))
    assert high == 4 * (SIDE + GAP_PX) + GAP_PX


def test_a_build_shows_its_funnel_and_the_counts_by_class(workspace: Workspace) -> None:
    dataset = publish(workspace, ["E", "S", "S"])
    summary = {"pixels": "real", "objects": 5, "stored": 3, "rejected": {"blank": 2}, "classes": {"E": 1, "S": 2}}
    report = report_build(dataset, summary, workspace.raw)
    assert report.funnel == [("requested objects", 5), ("rejected: blank", -2), ("stored", 3)]
    assert report.sheet.caption == "Samples of each class (real pixels)"
    [table] = report.blocks
    assert isinstance(table, Table)
    assert list(table.rows) == [("E", 1), ("S", 2)]
    assert report_build(dataset, summary | {"images": {}}, workspace.raw).blocks == [table]
    *_, converted = report_build(
        dataset, summary | {"images": {"bit_depth_16": 2, "orientation": 1}}, workspace.raw
    ).blocks
    assert isinstance(converted, Table)
    assert list(converted.rows) == [("bit_depth_16", 2), ("orientation", 1)]


def test_a_rejected_image_is_shown_from_its_bytes_or_the_page_says_why_not(workspace: Workspace) -> None:
    store = RawStore(workspace.raw)
    blank = np.full((6, 6, 3), 7, np.uint8)
    stored, damaged = store.put(encoded(blank)), store.put(b"\xff\xd8 no picture")
    np.testing.assert_array_equal(preview_received(workspace.raw, {"raw_sha256": stored}), blank)
    assert preview_received(workspace.raw, {"raw_sha256": damaged}) == "not decoded: damaged, or too large"
    assert preview_received(workspace.raw, {"raw_sha256": None}) == "no image was received"
    store.path(stored).unlink()
    assert preview_received(workspace.raw, {"raw_sha256": stored}) == "its bytes were removed"


def test_a_build_shows_what_was_understood_of_the_columns_and_what_was_not(workspace: Workspace) -> None:
    account = {
        "understood": {"id": "objID", "ra": "RAJ2000", "p_el": "P_EL"},
        "kept": ["my_class", "bar"],
        "why_ignored": {"id is read from objid": ["id"]},
        "missing": {"redshift": 7, "galactic_latitude_deg": 2, "id": 0, "ra": 1, "petro_r90": 0},
    }
    summary = {"pixels": "real", "objects": 1, "stored": 1, "rejected": {}, "classes": {"E": 1}, **account}
    _, heading, understood, others = report_build(publish(workspace, ["E"]), summary, workspace.raw).blocks
    assert isinstance(heading, Heading)
    assert isinstance(understood, Table)
    assert list(understood.rows) == [
        ("id", "objID", 0),
        ("ra", "RAJ2000", 1),
        ("p_el", "P_EL", "not counted"),
        ("redshift", "nothing", 7),
        ("petro_r90", "nothing", 0),
    ]
    assert isinstance(others, Table)
    assert list(others.rows) == [("kept as text", "my_class, bar"), ("ignored: id is read from objid", "id")]


@pytest.mark.parametrize(
    ("scheme", "pixels_are", "objects", "compared"),
    [
        (SCHEME, "real", 100, True),
        (SCHEME, "real", 99, False),
        (SCHEME, "simulated", 100, False),
        ({"name": "own", "deck_images": None}, "real", 100, False),
        (None, "real", 100, False),
    ],
)
def test_only_a_whole_build_of_real_images_is_compared_with_the_deck(
    scheme: dict[str, Any] | None, pixels_are: str, objects: int, compared: bool
) -> None:
    text = compare_with_deck(scheme, {"pixels": pixels_are, "objects": objects, "stored": 97})
    expected = "deck-3: 97 images stored, 100 in the deck, difference -3"
    assert text == (expected if compared else None)

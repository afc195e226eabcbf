"""A holdout stays as it was frozen, keeps half of itself sealed, and refuses models that have seen its rows."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.decisions.holdouts import (
    Holdout,
    HoldoutError,
    check_overlap,
    freeze_holdout,
    holdout_file,
    open_holdout,
    open_sealed,
)
from tasks.learning.training_overlap import read_training_samples
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import DatasetNameError, DatasetNotFoundError
from tests.small_candidates import SCHEME, publish_candidates

COUNT = 60
OPENING = {"champion": "models:/realbogus/3", "before": "models:/realbogus/1"}


def publish(workspace: Workspace, name: str = "night") -> Dataset:
    """Two neighbours have a cell; every third cell is held out."""
    cells = [f"cell {row // 2}" for row in range(COUNT)]
    parts = [("test", "train", "validation")[row // 2 % 3] for row in range(COUNT)]
    labels = ["real" if row % 2 else "bogus" for row in range(COUNT)]
    places = {"ra_deg": 10 + np.arange(COUNT) / 10, "dec_deg": np.zeros(COUNT)}
    real = [row % 2 == 1 for row in range(COUNT)]
    return publish_candidates(workspace, name, labels, cells, parts, real=real, columns=places)


@pytest.fixture
def held(workspace: Workspace) -> Holdout:
    publish(workspace)
    return freeze_holdout(workspace, "first", "night", SCHEME)


def test_the_halves_are_whole_groups_of_the_part_as_many_in_each(held: Holdout) -> None:
    groups = dict(zip(*(held.dataset.split()[name].to_pylist() for name in ("id", "group")), strict=True))
    cells = {half: {groups[name] for name in ids} for half, ids in held.halves.items()}
    assert not cells["open"] & cells["sealed"]
    assert {half: len(names) for half, names in cells.items()} == {"open": 5, "sealed": 5}
    test = [f"c{row:04d}" for row in range(COUNT) if row // 2 % 3 == 0]
    assert sorted(held.halves["open"] + held.halves["sealed"]) == test
    assert len({held.digest, *held.digests.values()}) == 3


def test_another_seed_seals_other_groups(held: Holdout, workspace: Workspace) -> None:
    other = freeze_holdout(workspace, "second", "night", SCHEME, seed=1)
    assert other.digest == held.digest
    assert other.halves["open"] != held.halves["open"]


def test_freezing_again_changes_nothing_and_another_content_is_refused(held: Holdout, workspace: Workspace) -> None:
    before = held.path.read_bytes()
    assert freeze_holdout(workspace, "first", "night@1", SCHEME) == held
    assert held.path.read_bytes() == before
    with pytest.raises(HoldoutError, match="holdout 'first' is frozen with part 'test', not 'train'"):
        freeze_holdout(workspace, "first", "night", SCHEME, part="train")


def test_the_whole_dataset_may_be_held_out(held: Holdout, workspace: Workspace) -> None:
    everything = freeze_holdout(workspace, "all", "night", SCHEME, part="all")
    assert sum(len(ids) for ids in everything.halves.values()) == COUNT


def test_a_holdout_is_opened_by_its_name(held: Holdout, workspace: Workspace) -> None:
    assert open_holdout(workspace, "first") == held
    with pytest.raises(HoldoutError, match=r"there is no holdout 'secnod' in .*; there are: first"):
        open_holdout(workspace, "secnod")


def test_rows_that_changed_are_noticed(held: Holdout, workspace: Workspace) -> None:
    labels = held.dataset.path / "labels" / f"{SCHEME}.parquet"
    table = held.dataset.labels(SCHEME)
    ids = table["id"].to_pylist()
    at = ids.index(held.halves["sealed"][0])
    changed = table["label"].to_pylist()
    changed[at] = {"real": "bogus", "bogus": "real"}[changed[at]]
    pa.parquet.write_table(pa.table({"id": ids, "label": changed}), labels)
    with pytest.raises(HoldoutError, match=r"the rows of holdout 'first' in night@1 have the digest .* frozen was"):
        open_holdout(workspace, "first")


def test_a_later_version_does_not_change_a_holdout(held: Holdout, workspace: Workspace) -> None:
    shutil.copytree(held.dataset.path, held.dataset.path.with_name("000002"), symlinks=True)
    manifest = held.dataset.path.with_name("000002") / "manifest.json"
    manifest.write_text(json.dumps(held.dataset.manifest | {"version": 2}))
    (workspace.datasets / "night" / "CURRENT").write_text("2\n")
    assert Dataset.open(workspace, "night").version == 2
    assert open_holdout(workspace, "first").digest == held.digest


def test_a_version_that_is_gone_is_named(held: Holdout, workspace: Workspace) -> None:
    held.dataset.path.rename(held.dataset.path.with_name("elsewhere"))
    with pytest.raises(DatasetNotFoundError, match="000001"):
        open_holdout(workspace, "first")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is no JSON"),
        ('{"name": "first"}', "lacks format_version, dataset"),
        (None, "is of format 9, this program"),
    ],
)
def test_a_damaged_file_is_named(held: Holdout, workspace: Workspace, content: str | None, says: str) -> None:
    written = content or json.dumps(json.loads(held.path.read_text()) | {"format_version": 9})
    held.path.write_text(written)
    with pytest.raises(HoldoutError, match=f"first.json {says}"):
        open_holdout(workspace, "first")


def test_a_part_of_one_group_has_no_halves(workspace: Workspace) -> None:
    publish_candidates(workspace, "tiny", ["real", "bogus"], ["one", "one"], ["test", "test"])
    with pytest.raises(HoldoutError, match="part 'test' of dataset 'tiny' version 1 has 1 groups"):
        freeze_holdout(workspace, "tiny", "tiny", SCHEME)


def test_a_name_is_no_path(workspace: Workspace) -> None:
    with pytest.raises(DatasetNameError):
        holdout_file(workspace, "../first")


def test_the_sealed_half_is_opened_once_a_month(held: Holdout, workspace: Workspace) -> None:
    assert open_sealed(held, "2026-05-03", OPENING) == held.halves["sealed"]
    assert open_sealed(held, "2026-05-03", OPENING) == held.halves["sealed"], "a run that goes on opens nothing anew"
    with pytest.raises(HoldoutError, match="was opened in 2026-05 already, on the night of 2026-05-03"):
        open_sealed(held, "2026-05-31", OPENING)
    with pytest.raises(HoldoutError, match="once a calendar month"):
        open_sealed(held, "2026-05-03", OPENING | {"champion": "models:/realbogus/4"})
    open_sealed(held, "2026-06-01", OPENING)
    opened = open_holdout(workspace, "first").opened
    assert [opening["month"] for opening in opened] == ["2026-05", "2026-06"]


def test_training_samples_of_the_same_dataset_are_apart_from_its_test_part(held: Holdout) -> None:
    check_overlap(held, read_training_samples(held.dataset), "the model")


def samples(held: Holdout, name: str, **changed: object) -> pa.Table:
    row = held.dataset.samples(["id", "pixel_sha256", "ra_deg", "dec_deg"]).to_pylist()
    (found,) = [each for each in row if each["id"] == name]
    return pa.Table.from_pylist([found | changed])


@pytest.mark.parametrize("half", ["open", "sealed"])
def test_seen_rows_are_refused_by_id_pixels_or_place(held: Holdout, half: str) -> None:
    name = held.halves[half][0]  # type: ignore[index]
    elsewhere = {"ra_deg": 300.0}
    for seen in (
        samples(held, name, pixel_sha256="other", **elsewhere),
        samples(held, name, id="other", **elsewhere),
        samples(held, name, id="other", pixel_sha256="other", dec_deg=1.5 / 3600),
    ):
        with pytest.raises(HoldoutError, match=rf"the night holds 1 of the 20 rows of holdout 'first' \({name}\)"):
            check_overlap(held, seen, "the night")
    check_overlap(held, samples(held, name, id="other", pixel_sha256="other", dec_deg=2.5 / 3600), "the night")


def test_many_overlapping_rows_are_counted_and_some_named(held: Holdout) -> None:
    seen = held.dataset.samples(["id", "pixel_sha256", "ra_deg", "dec_deg"])
    with pytest.raises(HoldoutError, match=r"holds 20 of the 20 rows .* and 15 more\)"):
        check_overlap(held, seen, "the model")


def test_files_lie_in_the_workspace(held: Holdout, workspace: Workspace) -> None:
    assert held.path == Path(workspace.root, "decisions", "holdouts", "first.json")

"""Opening published versions: the named ones, the others refused."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.runtime.workspace import Workspace
from tasks.store import pixels
from tasks.store.dataset import Dataset, current_version
from tasks.store.errors import (
    DamagedTableError,
    DatasetNameError,
    DatasetNotFoundError,
    FormatVersionError,
    StoreError,
)
from tests.small_galaxies import publish_galaxies
from tests.small_ledgers import publish_ids


def test_what_is_not_there_is_named(workspace: Workspace) -> None:
    publish_ids(workspace, None, ["a"])
    with pytest.raises(DatasetNotFoundError, match="there are: tiny"):
        Dataset.open(workspace, "other")
    with pytest.raises(DatasetNotFoundError):
        Dataset.open(workspace, "tiny@7")
    with pytest.raises(DatasetNameError, match=r"\.\./x"):
        Dataset.open(workspace, "../x")


def test_another_format_is_refused(workspace: Workspace) -> None:
    dataset = publish_ids(workspace, None, ["a"])
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    (dataset.path / "manifest.json").write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(FormatVersionError, match="format 99"):
        Dataset.open(workspace, "tiny")


def test_a_table_or_manifest_that_cannot_be_read_is_named(workspace: Workspace) -> None:
    dataset = publish_ids(workspace, None, ["a", "b"])
    for name, read in (("samples.parquet", dataset.samples), ("split.parquet", dataset.split)):
        table, content = dataset.path / name, (dataset.path / name).read_bytes()
        page = content.index(b"train" if name.startswith("split") else b"pa")
        table.write_bytes(content[:page] + bytes([content[page] ^ 1]) + content[page + 1 :])
        with pytest.raises(DamagedTableError, match=rf"{name} cannot be read \(.*restore it from a backup"):
            read()
        table.write_bytes(b"")
        with pytest.raises(DamagedTableError, match=rf"{name} cannot be read \("):
            read()
    (dataset.path / "samples.parquet").unlink()
    with pytest.raises(DamagedTableError, match=r"samples\.parquet cannot be read"):
        dataset.samples()
    (dataset.path / "manifest.json").write_bytes(b'{"format_version": \xff')
    with pytest.raises(DamagedTableError, match=r"manifest\.json cannot be read"):
        Dataset.open(workspace, "tiny")
    (workspace.datasets / "tiny" / "CURRENT").write_bytes(b"\xb1\n")
    with pytest.raises(DamagedTableError, match=r"CURRENT holds b'.*one of 000001 into it"):
        Dataset.open(workspace, "tiny")


def test_a_dataset_keeps_the_format_in_which_it_was_begun(workspace: Workspace) -> None:
    first = publish_ids(workspace, None, ["a"])
    assert first.manifest["format_version"] == 2
    path = first.path / "manifest.json"
    path.write_text(json.dumps(first.manifest | {"format_version": 1}))
    second = publish_ids(workspace, Dataset.open(workspace, "tiny"), ["b"])
    assert Dataset.open(workspace, "tiny").manifest["format_version"] == second.manifest["format_version"] == 1


def test_a_version_is_opened_by_number_and_knows_its_parent(workspace: Workspace) -> None:
    assert current_version(workspace.datasets / "tiny") is None
    first = publish_ids(workspace, None, ["a"])
    second = publish_ids(workspace, first, ["b"])
    assert current_version(workspace.datasets / "tiny") == 2
    assert (second.name, second.version) == ("tiny", 2)
    opened = Dataset.open(workspace, "tiny@1")
    assert (opened.version, opened.digest) == (1, first.digest)
    assert opened.parent() is None
    parent = second.parent()
    assert parent is not None
    assert (parent.version, parent.path) == (1, first.path)
    for reference in ("tiny@", "tiny@x", "tiny@-1", "tiny@latest"):
        if reference == "tiny@":
            assert Dataset.open(workspace, reference).version == 2
        else:
            with pytest.raises(DatasetNotFoundError, match=f"no dataset '{reference}'"):
                Dataset.open(workspace, reference)
    with pytest.raises(DatasetNotFoundError, match="there are: tiny"):
        Dataset.open(workspace, "tin")


def test_without_datasets_none_are_listed(workspace: Workspace) -> None:
    with pytest.raises(DatasetNotFoundError, match="there are: none"):
        Dataset.open(workspace, "tiny")


def test_tables_are_read_or_absent(workspace: Workspace) -> None:
    dataset = publish_ids(workspace, None, ["a", "b"])
    assert dataset.samples(["id", "row"]).to_pydict() == {"id": ["a", "b"], "row": [0, 1]}
    split = dataset.split()
    assert split is not None
    assert split["part"].to_pylist() == ["train", "train"]
    assert dataset.split_by_time() is None
    assert dataset.truth() is None
    for name, read in (("truth", dataset.truth), ("split_by_time", dataset.split_by_time)):
        pq.write_table(pa.table({"id": ["a"]}), dataset.path / f"{name}.parquet")
        table = read()
        assert table is not None
        assert table["id"].to_pylist() == ["a"]
    (dataset.path / "split.parquet").unlink()
    assert dataset.split() is None
    assert dataset.pixels.shape == (pixels.SHARD_ROWS, 4, 4, 3)
    with pytest.raises(ValueError, match="read-only"):
        dataset.pixels[0] = 1


def test_labels_are_the_originals_or_a_relabelling_by_its_name(workspace: Workspace) -> None:
    dataset = publish_ids(workspace, None, ["a"])
    pq.write_table(pa.table({"id": ["a"], "label": ["S"]}), dataset.path / "labels" / "scheme.round1.parquet")
    assert dataset.labels("scheme")["label"].to_pylist() == ["E"]
    assert dataset.labels("scheme", "round1")["label"].to_pylist() == ["S"]
    assert list(dataset.every_label_table()) == ["scheme", "scheme.round1"]
    assert (dataset.schemes, dataset.classes("scheme")) == (["scheme"], ["E"])
    with pytest.raises(StoreError, match="has no relabelling 'other' of 'scheme'"):
        dataset.labels("scheme", "other")
    with pytest.raises(StoreError, match="is not labelled by scheme 'arms'; it has: scheme"):
        dataset.labels("arms")
    with pytest.raises(DatasetNameError):
        dataset.labels("scheme", "../x")


def test_images_are_those_of_the_ids(workspace: Workspace) -> None:
    dataset = publish_galaxies(workspace, "sky", count=8)
    row_of = dict(zip(*(dataset.samples([name])[name].to_pylist() for name in ("id", "row")), strict=True))
    wanted = ["sky-0005", "sky-0001", "sky-0005"]
    images = dataset.images(wanted)
    assert images.dtype == "uint8"
    for name, image in zip(wanted, images, strict=True):
        assert (image == dataset.pixels[row_of[name] : row_of[name] + 1][0]).all()
    assert dataset.images([]).shape == (0, *images.shape[1:])


def test_images_of_unknown_and_rejected_ids_are_refused(workspace: Workspace) -> None:
    rejected = {2: {"status": "rejected", "reason": "blank"}}
    dataset = publish_galaxies(workspace, "sky", count=8, changed=rejected)
    with pytest.raises(StoreError, match="no pixels of 2 ids, such as sky-0002, M31: they are unknown, or rejected"):
        dataset.images(["sky-0001", "sky-0002", "M31"])

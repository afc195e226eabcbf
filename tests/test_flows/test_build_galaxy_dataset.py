"""Building a dataset end to end: the account, growing, a second scheme, and what bad input says."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray
from PIL import Image

from expectations.split_shares import PART_SHARES
from flows.build_galaxy_dataset import build_galaxy_dataset
from galaxy.catalogue.errors import CatalogueError
from galaxy.images.cutouts import decode, pixel_sha256, to_sample
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tests.image_bytes import encoded

Archive = Callable[..., tuple[Path, Path]]
SMALL = {"dataset": "tiny", "source": "archive", "scheme": "gz1-majority-2class", "size_px": 32}


def test_an_archive_becomes_a_dataset_whose_account_balances(flows_here: Workspace, archive: Archive) -> None:
    images, table = archive(80, missing=30)
    summary = build_galaxy_dataset(catalog=str(table), images=str(images), **SMALL)
    assert summary["objects"] == 80 == summary["stored"] + sum(summary["rejected"].values())
    assert summary["rejected"] == {"no_image": 30}
    assert summary["classes"] == {"elliptical": 25, "spiral": 25}
    assert sum(summary["split"].values()) == 50
    assert summary["pixels"] == "real"
    dataset = Dataset.open(flows_here, "tiny")
    opened = xarray.open_zarr(Path(summary["path"]) / "pixels.zarr", consolidated=False)["pixels"]
    samples = pq.read_table(Path(summary["path"]) / "samples.parquet").to_pylist()
    for row in [row for row in samples if row["status"] == "stored"][:5]:
        expected, _ = to_sample(decode((images / f"{row['id']}.jpeg").read_bytes()), 32)
        assert np.array_equal(opened[row["row"]].to_numpy(), expected)
        assert pixel_sha256(expected) == row["pixel_sha256"]
        assert (flows_here.raw / row["raw_sha256"][:2] / row["raw_sha256"]).read_bytes() == (
            images / f"{row['id']}.jpeg"
        ).read_bytes()
    assert (dataset.path / "validation" / "index.html").exists()
    assert not (flows_here.datasets / "tiny" / "staging").exists() or not list(
        (flows_here.datasets / "tiny" / "staging").iterdir()
    )


def test_the_same_request_does_nothing_and_a_larger_limit_only_adds(flows_here: Workspace, archive: Archive) -> None:
    images, table = archive(80)
    first = build_galaxy_dataset(catalog=str(table), images=str(images), limit=40, **SMALL)
    assert build_galaxy_dataset(catalog=str(table), images=str(images), limit=40, **SMALL) == first
    before = Dataset.open(flows_here, "tiny")
    grown = build_galaxy_dataset(catalog=str(table), images=str(images), **SMALL)
    after = Dataset.open(flows_here, "tiny")
    assert (first["version"], grown["version"]) == (1, 2)
    assert grown["stored"] == 80
    kept = {row["id"]: row for row in before.samples().to_pylist()}
    assert {row["id"]: row for row in after.samples().to_pylist() if row["id"] in kept} == kept
    parts = dict(zip(*(after.split()[name].to_pylist() for name in ("id", "part")), strict=True))  # type: ignore[index]
    old = dict(zip(*(before.split()[name].to_pylist() for name in ("id", "part")), strict=True))  # type: ignore[index]
    assert {sample_id: parts[sample_id] for sample_id in old} == old


def test_labels_in_a_column_of_one_s_own_beside_published_ones(
    flows_here: Workspace, archive: Archive, tmp_path: Path
) -> None:
    images, table = archive(40)
    kinds = {"elliptical": "smooth", "clockwise": "disc"}
    ids = [line.split(",") for line in table.read_text().splitlines()[1:]]
    lines = [f"{n},{name},{n}.5,0,0.05,8,{kinds.get(kind, 'disc')}" for n, (name, kind, *_) in enumerate(ids)]
    own = tmp_path / "own.csv"
    own.write_text("\n".join(["Unnamed: 0,Galaxy,RAJ2000,DEJ2000,redshift,petroR90_r,Look", *lines, ""]))
    scheme = tmp_path / "look.toml"
    scheme.write_text(
        'name = "look"\ndescription = ""\ncolumns = ["look"]\ngrammar = "text"\nclasses = ["smooth", "disc"]\n'
        'rules = [{label = "smooth", when = {text = "smooth"}}, {label = "disc", when = {text = "disc"}}]\n'
    )
    request = SMALL | {"scheme": str(scheme), "columns": {"id": "Galaxy"}}
    summary = build_galaxy_dataset(catalog=str(own), images=str(images), **request)
    assert summary["stored"] == 40 == sum(summary["classes"].values())
    assert summary["understood"] == {
        **{"id": "Galaxy", "ra": "RAJ2000", "dec": "DEJ2000", "redshift": "redshift", "petro_r90": "petroR90_r"}
    }
    assert (summary["kept"], summary["ignored"]) == (["Look"], ["Unnamed: 0"])
    assert summary["missing"] == {"id": 0, "ra": 0, "dec": 0, "redshift": 0, "petro_r90": 0}
    assert build_galaxy_dataset(catalog=str(own), images=str(images), **request) == summary | {"requests": 0}
    page = (flows_here.reports / "tiny-000001.html").read_text()
    assert "RAJ2000" in page
    with pytest.raises(CatalogueError, match=r"place on the sky needs column 'ra_deg'.*columns="):
        build_galaxy_dataset(catalog=str(table), **(SMALL | {"dataset": "more", "source": "sdss"}))


def test_a_small_build_and_then_the_whole_catalogue_spread_the_newcomers(
    flows_here: Workspace, archive: Archive
) -> None:
    images, table = archive(400)
    first = build_galaxy_dataset(catalog=str(table), images=str(images), limit=200, **SMALL)
    assert first["split"] == {"train": 160, "validation": 20, "test": 20}
    grown = build_galaxy_dataset(catalog=str(table), images=str(images), **SMALL)
    assert (grown["version"], grown["stored"]) == (2, 400)
    for part, share in PART_SHARES.items():
        newcomers = grown["split"][part] - first["split"][part]
        assert abs(newcomers - 200 * share) < 5 * (200 * share * (1 - share)) ** 0.5


def test_images_that_come_later_are_taken_up(flows_here: Workspace, archive: Archive) -> None:
    images, table = archive(40, missing=20)
    assert build_galaxy_dataset(catalog=str(table), images=str(images), **SMALL)["stored"] == 20
    archive(40)
    complete = build_galaxy_dataset(catalog=str(table), images=str(images), **SMALL)
    assert (complete["stored"], complete["rejected"]) == (40, {})


def test_equal_images_of_two_objects_keep_the_first(flows_here: Workspace, archive: Archive) -> None:
    images, table = archive(30)
    first, second, *_ = sorted(images.iterdir())
    second.write_bytes(first.read_bytes())
    summary = build_galaxy_dataset(catalog=str(table), images=str(images), **SMALL)
    assert summary["rejected"] == {"duplicate_pixels": 1}
    rows = {row["id"]: row["reason"] for row in Dataset.open(flows_here, "tiny").samples().to_pylist()}
    assert (rows[first.stem], rows[second.stem]) == (None, "duplicate_pixels")


def test_a_zip_gives_the_same_dataset_as_the_folder(flows_here: Workspace, archive: Archive, tmp_path: Path) -> None:
    images, table = archive(30)
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as packed:
        for path in images.iterdir():
            packed.write(path, f"images/{path.name}")
    build_galaxy_dataset(catalog=str(table), images=str(images), **SMALL)
    build_galaxy_dataset(catalog=str(table), images=str(tmp_path / "images.zip"), **(SMALL | {"dataset": "zipped"}))
    assert Dataset.open(flows_here, "tiny").digest == Dataset.open(flows_here, "zipped").digest


def test_without_a_scheme_there_is_no_split_until_one_comes(flows_here: Workspace, archive: Archive) -> None:
    images, table = archive(40)
    pixels_only = build_galaxy_dataset(catalog=str(table), images=str(images), **(SMALL | {"scheme": "none"}))
    assert (pixels_only["classes"], pixels_only["split"], pixels_only["stored"]) == ({}, None, 40)
    labelled = build_galaxy_dataset(catalog=str(table), images=str(images), **SMALL)
    assert labelled["stored"] == sum(labelled["split"].values()) == 40
    assert labelled["version"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": "nowhere"}, "images=nowhere does not exist"),
        ({"scheme": "deck-4"}, "deck-3"),
        ({"catalog": "nowhere.csv"}, "nowhere.csv"),
        ({"images": None}, "source=archive needs images"),
        ({"dataset": "Bad/Name"}, "is not a name"),
        ({"size_px": 8}, "size_px"),
        ({"field": "fixed", "source": "sdss"}, "scale_arcsec_per_px"),
    ],
)
def test_bad_requests_name_the_thing(
    flows_here: Workspace, archive: Archive, changes: dict[str, object], message: str
) -> None:
    images, table = archive(4)
    request = {"catalog": str(table), "images": str(images)} | SMALL | changes
    with pytest.raises(Exception, match=message):
        build_galaxy_dataset(**request)
    assert not list(flows_here.datasets.glob("*/CURRENT"))


def test_each_file_of_a_mixed_zip_is_stored_or_one_row_with_a_reason(
    flows_here: Workspace, archive: Archive, tmp_path: Path
) -> None:
    images, table = archive(48)
    first, *others = sorted(images.iterdir())
    deep = np.asarray(Image.open(first).convert("L")).astype(np.uint16) * 257
    half = np.asarray(Image.open(others[0]).convert("RGBA")).copy()
    half[:50, :, 3] = 128
    content = {path.name: path.read_bytes() for path in images.iterdir()}
    for path, body, suffix in [
        (first, encoded(deep), "PNG"),
        (others[0], encoded(half), "png"),
        (others[1], encoded(np.float32(deep), "TIFF"), "tif"),
        (others[2], content[others[2].name][:900], "jpg"),
        (others[3], b"", "gif"),
    ]:
        del content[path.name]
        content[f"{path.stem}.{suffix}"] = body
    content[f"copy of/{others[4].name}"] = content[others[4].name]
    packed = tmp_path / "mixed.zip"
    with zipfile.ZipFile(packed, "w") as archived:
        for name, body in content.items():
            archived.writestr(name, body)
    data = bytearray(packed.read_bytes())
    entry = data.rindex(others[5].name.encode()) - 46
    data[entry + 8] |= 1  # encrypted
    packed.write_bytes(data)
    summary = build_galaxy_dataset(catalog=str(table), images=str(packed), **SMALL)
    reasons = ("float_pixels", "truncated", "empty", "ambiguous_image", "encrypted")
    assert summary["rejected"] == dict.fromkeys(reasons, 1)
    assert summary["stored"] == 48 - len(reasons)
    assert summary["images"] == {"bit_depth_16": 1, "transparency": 1}
    page = next(flows_here.reports.glob("tiny-000001.html")).read_text()
    assert "Images converted on reading" in page
    assert "bit_depth_16" in page


def test_bad_archives_name_the_thing(flows_here: Workspace, archive: Archive, tmp_path: Path) -> None:
    _, table = archive(4)
    torn, escaping, empty = tmp_path / "torn.zip", tmp_path / "escaping.zip", tmp_path / "empty"
    torn.write_bytes(b"PK\x03\x04 torn")
    with zipfile.ZipFile(escaping, "w") as packed:
        packed.writestr("../../outside.jpg", b"")
    empty.mkdir()
    for images, message in [
        (torn, "neither a folder nor a readable zip"),
        (escaping, "outside.jpg"),
        (empty, "holds no"),
    ]:
        with pytest.raises(ValueError, match=message):
            build_galaxy_dataset(catalog=str(table), images=str(images), **SMALL)
    (empty / "1.jpeg").write_bytes(b"no image")
    with pytest.raises(StoreError, match=r"0 of 4 samples are left.*no_image 4"):
        build_galaxy_dataset(catalog=str(table), images=str(empty), **SMALL)


def test_another_size_or_source_needs_a_dataset_of_its_own(flows_here: Workspace, archive: Archive) -> None:
    images, table = archive(20)
    build_galaxy_dataset(catalog=str(table), images=str(images), **SMALL)
    with pytest.raises(StoreError, match="32-px samples"):
        build_galaxy_dataset(catalog=str(table), images=str(images), **(SMALL | {"size_px": 48}))
    with pytest.raises(StoreError, match="crop_fraction"):
        build_galaxy_dataset(catalog=str(table), images=str(images), crop_fraction=0.5, **SMALL)

"""The published layout: a made set read back, and every way in which a set can be wrong."""

import csv
import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest

from realbogus.records import SourceError, file_sha256
from realbogus.sources.zenodo import MADE_DTYPES, ZenodoSource, read_zenodo, write_published_layout
from realbogus.stamps import stamp_reasons

MEANINGS = {
    "artifact": ("bogus", "detection"),
    "galx_artificial_real": ("real", "galaxy_injection"),
    "rand_artificial_real": ("real", "random_injection"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_published_layout(folder, detectors=5, rows=700, rng=np.random.default_rng(3))
    return folder


@pytest.fixture
def small(tmp_path) -> Path:
    _write_detector(tmp_path, "7", np.zeros((3, 29, 29, 3), np.float32), ["artifact"] * 3)
    return tmp_path


def _write_detector(folder: Path, name: str, images: np.ndarray, words: list[str]) -> None:
    np.save(folder / f"images{name}.npy", images)
    (folder / f"params{name}.csv").write_text("\n".join(["object_type", *words]) + "\n")


def test_every_row_comes_back_with_its_pixels_and_meaning(made):
    records = list(read_zenodo(made))
    pixels = np.concatenate([part.pixels for part in records])
    rows = list(itertools.chain.from_iterable(part.table.to_pylist() for part in records))
    assert [row["detector"] for row in rows] == [name for name in "12345" for _ in range(700)]
    for detector in range(1, 6):
        own = slice((detector - 1) * 700, detector * 700)
        stored = np.load(made / f"images{detector}.npy")
        assert stored.dtype == np.dtype(MADE_DTYPES[(detector - 1) % 4])
        np.testing.assert_array_equal(pixels[own], stored.astype(np.float32))
        digest = file_sha256(made / f"images{detector}.npy")
        assert [row["id"] for row in rows[own]] == [f"{digest[:32]}-{row:07d}" for row in range(700)]
        with (made / f"params{detector}.csv").open(newline="") as stream:
            words = [line["object_type"] for line in csv.DictReader(stream)]
        assert [(row["label"], row["kind"]) for row in rows[own]] == [MEANINGS[word] for word in words]
    assert [row["reason"] for row in rows] == stamp_reasons(pixels)
    assert all(row["group"] == row["id"] for row in rows)


def test_the_made_set_has_the_quirks_it_promises(made):
    images = [np.load(made / f"images{detector}.npy").astype(np.float32) for detector in range(1, 6)]
    pixels = np.concatenate(images)
    assert (np.ptp(pixels[..., 1], axis=(1, 2)) == 0).any(), "a constant reference"
    assert np.isnan(pixels).any()
    assert set(stamp_reasons(pixels)) == {None, "nan_plane"}
    headers = {(made / f"params{detector}.csv").read_text().splitlines()[0] for detector in range(1, 6)}
    assert len(headers) == 5
    assert all("" in header.split(",") and "mag" in header for header in headers)
    finite = np.isfinite(images[0]).all(axis=(1, 2, 3))
    new, reference, difference = np.moveaxis(images[0][finite], -1, 0)
    np.testing.assert_allclose(new - reference, difference, atol=1e-3)


def test_batches_do_not_change_what_is_read(made):
    whole, parts = (ZenodoSource(made, batch_rows=rows) for rows in (4096, 256))
    assert [batch.parts[0].count for batch in parts.batches()] == [256, 256, 188] * 5
    joined = [parts.read(batch) for batch in parts.batches()]
    straight = [whole.read(batch) for batch in whole.batches()]
    rows = [list(itertools.chain.from_iterable(r.table.to_pylist() for r in records)) for records in (joined, straight)]
    assert rows[0] == rows[1]
    assert len({row["id"] for row in rows[0]}) == 3500
    np.testing.assert_array_equal(*(np.concatenate([r.pixels for r in records]) for records in (joined, straight)))


def test_a_batch_is_read_the_same_out_of_order_and_in_another_process(made):
    source = ZenodoSource(made, batch_rows=300)
    batches = source.batches()
    alone = pickle.loads(pickle.dumps(source)).read(pickle.loads(pickle.dumps(batches[7])))
    assert alone.table.equals(source.read(batches[7]).table)
    assert source.ids(batches[7]) == alone.table["id"].to_pylist()
    assert len({batch.name for batch in batches}) == len(batches)


def test_other_columns_are_kept_and_position_and_group_found(tmp_path):
    np.save(tmp_path / "images12.npy", np.zeros((2, 29, 29, 3), np.float32))
    (tmp_path / "params12.csv").write_text(
        "ra,dec,field,object_type,n\n10.5,-3,F1,artifact,900719925474099301\n11,,F2,rand_artificial_real,\n"
    )
    (records,) = read_zenodo(tmp_path, group_column="field")
    first, second = records.table.to_pylist()
    assert (first["ra_deg"], first["dec_deg"], first["group"]) == (10.5, -3.0, "F1")
    assert (second["dec_deg"], second["group"]) == (None, "F2")
    expected = '{"dec":-3,"field":"F1","n":"900719925474099301","object_type":"artifact","ra":10.5}'
    assert first["parameters"] == expected


def test_stamps_of_another_size_are_fitted(tmp_path):
    images = np.random.default_rng(0).normal(size=(2, 31, 31, 3))
    _write_detector(tmp_path, "1", images, ["artifact"] * 2)
    (records,) = read_zenodo(tmp_path)
    np.testing.assert_array_equal(records.pixels, images[:, 1:30, 1:30].astype(np.float32))


def test_an_unknown_type_is_refused_by_name_and_row(small):
    (small / "params7.csv").write_text("object_type\nartifact\nghost\nartifact\n")
    with pytest.raises(SourceError, match=r"params7\.csv: row 1 .*'ghost'.*known are artifact"):
        ZenodoSource(small).batches()


def test_different_lengths_are_refused_naming_both(small):
    (small / "params7.csv").write_text("object_type\nartifact\nartifact\n")
    with pytest.raises(SourceError, match=r"images7\.npy has 3 rows, .*params7\.csv has 2"):
        ZenodoSource(small).batches()


class _Trap:
    def __reduce__(self):
        return Path.touch, (Path("/tmp/starloom-unpickled"),)


def test_objects_are_refused_and_never_unpickled(small):
    np.save(small / "images7.npy", np.array([_Trap()] * 3), allow_pickle=True)
    with pytest.raises(SourceError, match="Python objects"):
        ZenodoSource(small).batches()
    assert not Path("/tmp/starloom-unpickled").exists()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 3, 29, 29), np.float32), "expected .n, height, width, 3."),
        (np.zeros((3, 29, 29), np.float32), "expected .n, height, width, 3."),
        (np.zeros((3, 29, 29, 3), np.complex64), "complex64"),
        (np.zeros((3, 29, 29, 3), "S3"), "S3"),
    ],
)
def test_other_arrays_are_refused_by_shape_and_type(small, images, message):
    np.save(small / "images7.npy", images)
    with pytest.raises(SourceError, match=message):
        ZenodoSource(small).batches()


def test_a_truncated_or_boasting_array_is_refused(small):
    file = small / "images7.npy"
    body = file.read_bytes()
    file.write_bytes(body[:-1])
    with pytest.raises(SourceError, match=r"declares 30,276 bytes .* holds 30,275"):
        ZenodoSource(small).batches()
    file.write_bytes(body + b"x")
    with pytest.raises(SourceError, match="holds 30,277"):
        ZenodoSource(small).batches()
    file.write_bytes(body.replace(b"(3, 29,", b"(9, 29,"))
    with pytest.raises(SourceError, match="declares 90,828 bytes"):
        ZenodoSource(small).batches()
    file.write_bytes(b"no array")
    with pytest.raises(SourceError, match=r"images7\.npy is not a NumPy array"):
        ZenodoSource(small).batches()


def test_halves_of_a_detector_that_are_missing_are_named(small):
    (small / "params8.csv").write_text("object_type\n")
    with pytest.raises(SourceError, match=r"lacks images8\.npy"):
        ZenodoSource(small)
    (small / "params8.csv").unlink()
    (small / "params7.csv").unlink()
    with pytest.raises(SourceError, match=r"lacks params7\.csv"):
        ZenodoSource(small)
    (small / "images7.npy").unlink()
    with pytest.raises(SourceError, match=r"no images\*\.npy"):
        ZenodoSource(small)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("kind\nartifact\nartifact\nartifact\n", "no column 'object_type'"),
        ("object_type,object_type\na,b\n", "several columns named object_type"),
        ("object_type,mag\nartifact,1\nartifact\nartifact,2\n", "cannot be read"),
    ],
)
def test_broken_tables_are_refused_by_name(small, text, message):
    (small / "params7.csv").write_text(text)
    with pytest.raises(SourceError, match=rf"params7\.csv.*{message}"):
        ZenodoSource(small).batches()

"""Alert packets written here with fastavro and astropy, in the fields of ZTF and Rubin, read back as records."""

import bz2
import gzip
import io
import itertools
import json
import lzma
import pickle
import tarfile
import zlib
from pathlib import Path

import fastavro
import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits

from realbogus.records import SourceError, file_sha256
from realbogus.sources import alert_packets, avro_files
from realbogus.sources.alert_packets import StampFaultError, decode_stamp
from realbogus.sources.alerts import AlertSource, read_alerts

CUTOUT = {
    "type": "record",
    "name": "cutout",
    "fields": [{"name": "fileName", "type": "string"}, {"name": "stampData", "type": "bytes"}],
}
CANDIDATE = {
    "type": "record",
    "name": "candidate",
    "fields": [
        *({"name": name, "type": "double"} for name in ("jd", "ra", "dec")),
        *({"name": name, "type": ["null", "float"], "default": None} for name in ("xpos", "ypos", "drb")),
        {"name": "rcid", "type": "int"},
        {"name": "isdiffpos", "type": "string"},
    ],
}
ZTF = {
    "type": "record",
    "name": "alert",
    "fields": [
        {"name": "objectId", "type": "string"},
        {"name": "candid", "type": "long"},
        {"name": "candidate", "type": CANDIDATE},
        {"name": "cutoutScience", "type": ["null", CUTOUT], "default": None},
        {"name": "cutoutTemplate", "type": ["null", "cutout"], "default": None},
        {"name": "cutoutDifference", "type": ["null", "cutout"], "default": None},
    ],
}
SOURCE = {
    "type": "record",
    "name": "diaSource",
    "fields": [
        {"name": "diaSourceId", "type": "long"},
        *({"name": name, "type": ["null", "long"], "default": None} for name in ("diaObjectId", "ssObjectId")),
        *({"name": name, "type": "double"} for name in ("midpointMjdTai", "ra", "dec")),
        {"name": "detector", "type": "int"},
        {"name": "isNegative", "type": ["null", "boolean"], "default": None},
        {"name": "reliability", "type": ["null", "float"], "default": None},
    ],
}
RUBIN = {
    "type": "record",
    "name": "alert",
    "fields": [
        {"name": "diaSourceId", "type": "long"},
        {"name": "diaSource", "type": SOURCE},
        *({"name": name, "type": ["null", "bytes"], "default": None} for name in alert_packets.PLANES),
    ],
}
RNG = np.random.default_rng(11)
PLANES = RNG.normal(200, 20, (3, 63, 63)).astype(np.float32)
CANDID = 1786556144015010006


def _fits(image: np.ndarray, **cards: float) -> bytes:
    body = io.BytesIO()
    hdu = fits.PrimaryHDU(image)
    hdu.header.update(cards)
    hdu.writeto(body)
    return body.getvalue()


def _ztf(number: int = 0, planes=PLANES, **fields) -> dict:
    names = zip(alert_packets.PLANES, planes, strict=True)
    stamps = {name: {"fileName": "x", "stampData": gzip.compress(_fits(plane), 1)} for name, plane in names}
    candidate = {"jd": 2459541.55614, "ra": 51.5, "dec": -3.25, "rcid": 40, "isdiffpos": "t", "drb": 0.75} | fields
    return {"objectId": f"ZTF{number // 2}", "candid": CANDID + number, "candidate": candidate} | stamps


def _rubin(number: int = 0, planes=PLANES[:, :30, :30], cards=None, **fields) -> dict:
    stamps = {name: _fits(plane, **(cards or {})) for name, plane in zip(alert_packets.PLANES, planes, strict=True)}
    source = {"diaSourceId": 170_000_000_000_000_000 + number, "midpointMjdTai": 60980.25, "ra": 53.0, "dec": -28.0}
    source |= {"diaObjectId": 4, "detector": 94, "isNegative": False, "reliability": 0.5} | fields
    return {"diaSourceId": source["diaSourceId"], "diaSource": source} | stamps


def _write(path: Path, packets: list[dict], schema=ZTF, codec: str = "null") -> Path:
    with path.open("wb") as stream:
        fastavro.writer(stream, schema, packets, codec)
    return path


def _read(source: AlertSource) -> tuple[list[dict], np.ndarray]:
    records = [source.read(batch) for batch in source.batches()]
    rows = list(itertools.chain.from_iterable(part.table.to_pylist() for part in records))
    return rows, np.concatenate([part.pixels for part in records])


def test_a_ztf_packet_becomes_a_record(tmp_path):
    rows, pixels = _read(AlertSource(_write(tmp_path / "a.avro", [_ztf()])))
    np.testing.assert_array_equal(pixels[0], np.moveaxis(PLANES[:, 17:46, 17:46], 0, -1))
    (row,) = rows
    parameters = json.loads(row.pop("parameters"))
    assert row == {
        "id": str(CANDID), "group": "ZTF0", "ra_deg": 51.5, "dec_deg": -3.25, "label": None, "kind": "detection",
        "detector": "40", "night": "2459541", "reason": None, "finite_fraction": 1.0,
    }  # fmt: skip
    assert (parameters["drb"], parameters["rcid"], parameters["survey"]) == (0.75, 40, "ztf")
    assert "difference_was" not in parameters


def test_a_rubin_packet_becomes_a_record_and_its_difference_stays(tmp_path):
    packets = [_rubin(), _rubin(1, isNegative=True, diaObjectId=None, ssObjectId=77), _rubin(2, diaObjectId=None)]
    rows, pixels = _read(AlertSource(_write(tmp_path / "a.avro", packets, RUBIN)))
    for triplet in pixels:
        np.testing.assert_array_equal(triplet, np.moveaxis(PLANES[:, :29, :29], 0, -1))
    assert [row["id"] for row in rows] == [str(170_000_000_000_000_000 + number) for number in range(3)]
    assert [row["group"] for row in rows] == ["4", "ss77", rows[2]["id"]]
    assert [json.loads(row["parameters"])["isNegative"] for row in rows] == [False, True, False]
    assert {row["night"] for row in rows} == {"2460980"}
    assert {row["detector"] for row in rows} == {"94"}


def test_rubins_reference_pixel_is_the_candidates_place(tmp_path):
    packets = [_rubin(0, cards={"CRPIX1": 16.6, "CRPIX2": 15.4}), _rubin(1, cards={"CRPIX1": 15.2, "CRPIX2": 15.0})]
    _, pixels = _read(AlertSource(_write(tmp_path / "a.avro", packets, RUBIN)))
    assert pixels[0, 14, 14, 0] == PLANES[0, 14, 16]  # FITS counts from 1
    assert pixels[1, 14, 14, 0] == PLANES[0, 14, 14]
    assert np.isnan(pixels[0, :, -1]).all()


def test_negative_ztf_differences_are_negated_and_flagged(tmp_path):
    packets = [_ztf(number, isdiffpos=word) for number, word in enumerate(("t", "f", "1", "0"))]
    rows, pixels = _read(AlertSource(_write(tmp_path / "a.avro", packets)))
    for triplet, sign in zip(pixels, (1, -1, 1, -1), strict=True):
        np.testing.assert_array_equal(triplet[..., 2], PLANES[2, 17:46, 17:46] * sign)
        np.testing.assert_array_equal(triplet[..., :2], np.moveaxis(PLANES[:2, 17:46, 17:46], 0, -1))
    flags = [json.loads(row["parameters"]).get("difference_was") for row in rows]
    assert flags == [None, "reference minus new"] * 2


@pytest.mark.parametrize(("x", "y"), [(11.0, 1500.0), (3063.0, 1500.0), (1500.0, 9.0), (1500.0, 3071.0), (5.0, 3.0)])
def test_a_stamp_that_the_frame_cut_short_is_laid_by_the_candidates_place(tmp_path, x, y):
    """The stamp of a 3072 x 3080 frame, FITS pixel (x, y), as the survey cuts it: what lies beyond is left off."""
    column, row = int(x) - 1, int(y) - 1
    left, right = max(0, column - 31), min(3072, column + 32)
    top, bottom = max(0, row - 31), min(3080, row + 32)
    planes = PLANES[:, : bottom - top, : right - left].copy()
    planes[:, row - top, column - left] = 9999
    rows, pixels = _read(AlertSource(_write(tmp_path / "a.avro", [_ztf(planes=planes, xpos=x, ypos=y)])))
    assert (pixels[0, 14, 14] == 9999).all()
    inside_columns = min(3072, column + 15) - max(0, column - 14)
    inside_rows = min(3080, row + 15) - max(0, row - 14)
    assert np.isfinite(pixels[0, ..., 0]).sum() == inside_columns * inside_rows
    assert rows[0]["reason"] == (None if inside_columns * inside_rows >= 29 * 29 / 2 else "edge")


def test_holes_in_the_middle_are_no_edge(tmp_path):
    planes = PLANES.copy()
    planes[1, 31, 31] = np.nan
    rows, _ = _read(AlertSource(_write(tmp_path / "a.avro", [_ztf(planes=planes)])))
    assert rows[0]["reason"] == "nan_plane"


def test_a_broken_stamp_concerns_its_own_packet_only(tmp_path):
    missing, cut, other = _ztf(1), _ztf(2), _ztf(3)
    missing["cutoutTemplate"] = None
    cut["cutoutDifference"]["stampData"] = cut["cutoutDifference"]["stampData"][:-40]
    other["cutoutDifference"]["stampData"] = gzip.compress(_fits(PLANES[0, :62]))
    rows, pixels = _read(AlertSource(_write(tmp_path / "a.avro", [_ztf(), missing, cut, other, _ztf(4)])))
    assert [row["reason"] for row in rows] == [None, "no_stamp", "corrupt", "corrupt", None]
    assert [row["id"] for row in rows] == [str(CANDID + number) for number in range(5)]
    assert np.isnan(pixels[1:4]).all()


def test_what_cannot_be_read_is_told_with_file_and_packet(tmp_path):
    missing, cut = _ztf(1), _ztf(2)
    missing["cutoutTemplate"] = None
    cut["cutoutDifference"]["stampData"] = cut["cutoutDifference"]["stampData"][:-40]
    stamps = _write(tmp_path / "a.avro", [_ztf(), missing, cut])
    (tmp_path / "b.avro").write_bytes(b"\0\0\0\0\7 of a topic")
    source = AlertSource(tmp_path)
    records = source.read(source.batches()[0])
    first, second, third = records.reading.notes
    assert first == f"{stamps}: packet {CANDID + 1}: it has no cutoutTemplate"
    assert second.startswith(f"{stamps}: packet {CANDID + 2}: cutoutDifference: its gzip ends too early")
    assert third.startswith(f"{tmp_path / 'b.avro'}: it is a Kafka message in wire format")
    parameters = [json.loads(text) for text in records.table["parameters"].to_pylist()]
    assert [entry.get("file") for entry in parameters] == [None, str(stamps), str(stamps), str(tmp_path / "b.avro")]
    assert parameters[1]["error"] == "it has no cutoutTemplate"


def test_suffixes_are_known_in_any_case(tmp_path):
    body = _write(tmp_path / "a.avro", [_ztf(1)]).rename(tmp_path / "A.AVRO").read_bytes()
    (tmp_path / "B.Avro.GZ").write_bytes(gzip.compress(body))
    rows, _ = _read(AlertSource(tmp_path))
    assert [row["id"] for row in rows] == [str(CANDID + 1)] * 2
    with tarfile.open(tmp_path / "C.TAR", "w") as archive:
        archive.add(tmp_path / "A.AVRO")
    rows, _ = _read(AlertSource(tmp_path / "C.TAR"))
    assert [row["id"] for row in rows] == [str(CANDID + 1)]


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_stamps_are_decoded_as_astropy_does(dtype):
    image = RNG.integers(0, 200, (30, 41)).astype(dtype)
    body = _fits(image, CRPIX1=3.0, CRPIX2=4.0)
    stamp = decode_stamp(body)
    np.testing.assert_array_equal(stamp.pixels, fits.getdata(io.BytesIO(body)).astype(np.float32))
    assert stamp.reference_pixel == (2.0, 3.0)


def test_blank_whole_numbers_are_missing():
    image = np.arange(12, dtype="i2").reshape(3, 4)
    assert np.argwhere(np.isnan(decode_stamp(_fits(image, BLANK=7)).pixels)).tolist() == [[1, 3]]


def test_stamps_beyond_bounds_are_refused_before_they_are_made():
    bomb = gzip.compress(bytes(alert_packets.MOST_STAMP_BYTES + 10_000))
    assert len(bomb) < 100_000
    with pytest.raises(StampFaultError, match="unpacks to more than"):
        decode_stamp(bomb)
    huge = _fits(np.zeros((5, 5), "f4")).replace(b"NAXIS1  =                    5", b"NAXIS1  =             99999999")
    with pytest.raises(StampFaultError, match="declares 99999999 x 5"):
        decode_stamp(huge)
    with pytest.raises(StampFaultError, match="end too early"):
        decode_stamp(_fits(np.zeros((60, 60), "f4"))[:-2880])
    for body, message in ((b"", "start"), (b"SIMPLE  =", "no end"), (b"\x1f\x8bxxxxxxxx", "gzip")):
        with pytest.raises(StampFaultError, match=message):
            decode_stamp(body)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Seven files of three packets each, two of them in a folder of their own."""
    place = tmp_path_factory.mktemp("alerts")
    (place / "deep").mkdir()
    for number in range(7):
        packets = [_ztf(3 * number + step) for step in range(3)]
        _write(
            (place / "deep" if number > 4 else place) / f"n{number}.avro",
            packets,
            codec=("null", "deflate")[number % 2],
        )
    (place / "README.txt").write_text("no packet")
    return place


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2", "tbz2", "tar.xz", "txz"])
def test_an_archive_reads_as_its_folder_does_in_any_order(folder, tmp_path, suffix):
    archive = tmp_path / f"night.{suffix}"
    kinds = {"gz": "w:gz", "z2": "w:bz2", "xz": "w:xz"}
    with tarfile.open(archive, kinds.get(suffix[-2:], "w")) as tar:
        tar.add(folder, "night", filter=lambda member: member)
    expected, expected_pixels = _read(AlertSource(folder))
    source = AlertSource(archive, batch_packets=2)
    rows, pixels = _read(source)
    assert {row["id"] for row in rows} == {row["id"] for row in expected} == {str(CANDID + n) for n in range(21)}
    batches = source.batches()
    assert len(batches) == 4
    again = [pickle.loads(pickle.dumps(source)).read(batch) for batch in reversed(batches)][::-1]
    np.testing.assert_array_equal(np.concatenate([part.pixels for part in again]), pixels)
    by_id = dict(zip((row["id"] for row in expected), expected_pixels, strict=True))
    for row, triplet in zip(rows, pixels, strict=True):
        np.testing.assert_array_equal(triplet, by_id[row["id"]])


def test_gzipped_files_read_as_plain_ones_do(folder, tmp_path):
    expected, expected_pixels = _read(AlertSource(folder))
    packed = tmp_path / "packed"
    packed.mkdir()
    for file in folder.rglob("*.avro"):
        (packed / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    archive = tmp_path / "night.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(packed, "night")
    for place in (packed, archive):
        source = pickle.loads(pickle.dumps(AlertSource(place)))
        rows, pixels = _read(source)
        assert {row["id"] for row in rows} == {row["id"] for row in expected}
        by_id = dict(zip((row["id"] for row in expected), expected_pixels, strict=True))
        for row, triplet in zip(rows, pixels, strict=True):
            np.testing.assert_array_equal(triplet, by_id[row["id"]])


def test_a_large_gzipped_file_is_read_by_stretches_and_a_cut_one_keeps_what_came_before(tmp_path):
    body = _write(tmp_path / "many.avro", [_ztf(number) for number in range(60)]).read_bytes()
    (tmp_path / "many.avro.gz").write_bytes(gzip.compress(body))
    source = AlertSource(tmp_path / "many.avro.gz", batch_packets=16)
    assert [len(source.read(batch)) for batch in source.batches()] == [16, 16, 16, 12]
    packed = gzip.compress(body)
    (tmp_path / "cut.avro.gz").write_bytes(packed[: len(packed) // 2])
    rows, _ = _read(AlertSource(tmp_path / "cut.avro.gz"))
    assert 20 < len(rows) < 50
    assert [row["reason"] for row in rows if row["reason"]] == ["corrupt"]


def test_the_places_of_packets_are_their_files(folder):
    source = AlertSource(folder)
    for batch in source.batches():
        places = source.places(batch)
        assert len(places) == len(source.ids(batch))
        assert all(Path(place).is_file() for place in places)


def test_epochs_are_utc_and_the_fields_are_told(tmp_path):
    (tmp_path / "night").mkdir()
    _write(tmp_path / "night" / "a.avro", [_ztf(), _ztf(1, jd=0.0)])
    _write(tmp_path / "night" / "b.avro", [_rubin(midpointMjdTai=60980.25 + 37 / 86400)], RUBIN)
    source = AlertSource(tmp_path / "night")
    (records,) = (source.read(batch) for batch in source.batches())
    np.testing.assert_allclose(records.epochs_mjd, [59541.05614, np.nan, 60980.25], atol=1e-6)
    assert records.table["night"].to_pylist()[1] is None
    understood = records.reading.understood
    assert (understood["id"], understood["time"]) == ("candid, diaSourceId", "jd, midpointMjdTai")
    assert understood["sign"] == "isdiffpos"
    assert records.reading.missing == {"ra": 0, "dec": 0, "time": 1, "detector": 0, "label": 3}


def test_a_large_file_is_read_by_stretches_of_blocks(tmp_path):
    packets = [_ztf(number) for number in range(60)]
    file = _write(tmp_path / "many.avro", packets)
    assert file.stat().st_size > 1 << 20
    source = AlertSource(file, batch_packets=16)
    batches = source.batches()
    assert [len(source.read(batch)) for batch in batches] == [16, 16, 16, 12]
    ids = list(itertools.chain.from_iterable(source.ids(batch) for batch in reversed(batches)))
    assert sorted(ids) == [str(CANDID + number) for number in range(60)]
    (whole,) = read_alerts(file)
    assert whole.table["id"].to_pylist() == [str(CANDID + number) for number in range(60)]


@pytest.mark.parametrize("count", [5, 60])
def test_packets_before_a_break_are_kept_and_the_file_is_named(tmp_path, count):
    """A small file is read as one part, a large one by blocks."""
    file = _write(tmp_path / "cut.avro", [_ztf(number) for number in range(count)])
    file.write_bytes(file.read_bytes()[:-9000])
    rows, pixels = _read(AlertSource(file, batch_packets=20))
    assert [row["id"] for row in rows[:-1]] == [str(CANDID + number) for number in range(count - 1)]
    assert {row["reason"] for row in rows[:-1]} == {None}
    assert rows[-1]["reason"] == "corrupt"
    assert json.loads(rows[-1]["parameters"])["file"].endswith("cut.avro")
    assert np.isnan(pixels[-1]).all()
    if count == 5:
        assert rows[-1]["id"].startswith(file_sha256(file)[:32])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "ends too early"),
        (b"no packet at all", "does not start as an Avro file"),
        (b"PK\x03\x04", "as an Avro file does: it is a zip archive, unpack it, or give a tar archive of the packets"),
        (b"BZh91AY", "it is packed by bzip2, unpack it"),
        (b"\x00\x00\x00\x03\x92packet", "Kafka message in wire format (schema 914 of a registry)"),
        (b"Obj\x01\x02\x14avro.codec\x08lzma\x00", "codec lzma is not read"),
        (b"Obj\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "more than 64 bits"),
        (b"Obj\x01\x02\xfe\xff\xff\xff\xff\x0f", "declares a value of"),
    ],
)
def test_files_that_are_no_avro_are_one_corrupt_record(tmp_path, body, message):
    (tmp_path / "a.avro").write_bytes(body)
    _write(tmp_path / "b.avro", [_ztf()])
    rows, _ = _read(AlertSource(tmp_path))
    assert [row["reason"] for row in rows] == ["corrupt", None]
    parameters = json.loads(rows[0]["parameters"])
    assert message in parameters["error"]
    assert parameters["file"] == str(tmp_path / "a.avro")


@pytest.mark.parametrize("schema", ['"long"', '{"type": "nonsense"}', "not json"])
def test_foreign_schemas_are_corrupt(tmp_path, schema):
    key, value = b"avro.schema", schema.encode()
    body = b"Obj\x01\x02" + bytes([2 * len(key)]) + key + bytes([2 * len(value)]) + value + b"\x00" + bytes(16)
    (tmp_path / "a.avro").write_bytes(body + b"\x02\x02\x02" + bytes(16))
    rows, _ = _read(AlertSource(tmp_path))
    assert [row["reason"] for row in rows] == ["corrupt"]


@pytest.mark.parametrize(("absent", "message"), [("candid", "has no candid"), ("candidate", "is no record")])
def test_a_packet_without_an_id_leaves_those_behind_it_in_the_file(tmp_path, absent, message):
    fields = [
        {**field, "type": ["null", field["type"]]} if field["name"] == absent else field for field in ZTF["fields"]
    ]
    packets = [_ztf(), _ztf(1) | {absent: None}, _ztf(2), _ztf(3) | {absent: None}]
    source = AlertSource(_write(tmp_path / "a.avro", packets, ZTF | {"fields": fields}))
    rows, _ = _read(source)
    assert [row["reason"] for row in rows] == [None, "corrupt", None, "corrupt"]
    assert [row["id"] for row in rows][::2] == [str(CANDID), str(CANDID + 2)]
    assert len({row["id"] for row in rows}) == 4
    assert all(message in row["parameters"] for row in rows[1::2])
    (batch,) = source.batches()
    assert source.ids(batch) == [row["id"] for row in rows]


def test_packets_of_another_kind_are_named(tmp_path):
    schema = {"type": "record", "name": "x", "fields": [{"name": "flux", "type": "double"}]}
    rows, _ = _read(AlertSource(_write(tmp_path / "a.avro", [{"flux": 1.0}], schema)))
    assert "neither candidate (ZTF) nor diaSource (Rubin); its fields are ['flux']" in rows[0]["parameters"]


def test_snappy_blocks_are_read_and_their_check_sum_watched(tmp_path):
    """fastavro writes snappy only with another package, so the blocks are rewritten here."""
    header, values = _plain_block(_write(tmp_path / "plain.avro", [_ztf(), _ztf(1)]))
    packed = pa.compress(values, codec="snappy", asbytes=True)
    for name, crc in (("good", zlib.crc32(values)), ("wrong", 1)):
        _write_block(tmp_path / f"{name}.avro", header, packed + crc.to_bytes(4, "big"), 2, b"snappy")
    rows, pixels = _read(AlertSource(tmp_path / "good.avro"))
    assert [row["id"] for row in rows] == [str(CANDID), str(CANDID + 1)]
    np.testing.assert_array_equal(pixels[1], np.moveaxis(PLANES[:, 17:46, 17:46], 0, -1))
    rows, _ = _read(AlertSource(tmp_path / "wrong.avro"))
    assert "check sum" in rows[0]["parameters"]


PACKERS = {
    b"bzip2": bz2.compress,
    b"xz": lzma.compress,
    b"zstandard": lambda body: pa.compress(body, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("codec", sorted(PACKERS))
def test_the_other_codecs_of_the_format_are_read(tmp_path, codec):
    """fastavro writes some of them only with other packages, so the blocks are rewritten here."""
    header, values = _plain_block(_write(tmp_path / "plain.avro", [_ztf(), _ztf(1)]))
    packed = PACKERS[codec](values)
    faults = {"good": packed, "cut": packed[: len(packed) // 2], "foreign": b"no such bytes" * 9}
    for name, body in faults.items():
        _write_block(tmp_path / f"{name}.avro", header, body, 2, codec)
    rows, pixels = _read(AlertSource(tmp_path / "good.avro"))
    assert [row["id"] for row in rows] == [str(CANDID), str(CANDID + 1)]
    np.testing.assert_array_equal(pixels[1], np.moveaxis(PLANES[:, 17:46, 17:46], 0, -1))
    for name in ("cut", "foreign"):
        rows, _ = _read(AlertSource(tmp_path / f"{name}.avro"))
        assert [row["reason"] for row in rows][-1] == "corrupt"


@pytest.mark.parametrize("codec", [b"deflate", b"snappy", *sorted(PACKERS)])
def test_a_block_that_unpacks_beyond_bounds_is_refused(tmp_path, monkeypatch, codec):
    monkeypatch.setattr(avro_files, "MOST_BLOCK_BYTES", 1 << 20)
    header, _ = _plain_block(_write(tmp_path / "plain.avro", [_ztf()]))
    bomb = bytes(5 << 20)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = {
        b"deflate": deflate.compress(bomb) + deflate.flush(),
        b"snappy": pa.compress(bomb, codec="snappy", asbytes=True) + bytes(4),
        **{name: pack(bomb) for name, pack in PACKERS.items()},
    }
    _write_block(tmp_path / "bomb.avro", header, packed[codec], 1, codec)
    rows, _ = _read(AlertSource(tmp_path / "bomb.avro"))
    assert rows[0]["reason"] == "corrupt"
    assert "unpacks to" in rows[0]["parameters"]


def _plain_block(path: Path) -> tuple[bytes, bytes]:
    """Return the schema and the joined block values of an uncompressed file."""
    with path.open("rb") as stream:
        header = avro_files.read_header(stream)
        blocks = list(avro_files.find_blocks(stream, header))
        body = path.read_bytes()
    with path.open("rb") as stream:
        schema = fastavro.reader(stream).metadata["avro.schema"].encode()
    return schema, b"".join(body[block.offset : block.offset + block.size] for block in blocks)


def _long(number: int) -> bytes:
    number, out = number << 1, b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def _write_block(path: Path, schema: bytes, packed: bytes, count: int, codec: bytes) -> None:
    entries = ((b"avro.schema", schema), (b"avro.codec", codec))
    header = b"".join(_long(len(key)) + key + _long(len(value)) + value for key, value in entries)
    mark = bytes(range(16))
    path.write_bytes(b"Obj\x01\x04" + header + b"\x00" + mark + _long(count) + _long(len(packed)) + packed + mark)


def test_broken_archives_keep_what_came_before(folder, tmp_path):
    archive = tmp_path / "night.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(folder.glob("*.avro")):
            tar.add(file, file.name)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 2 // 3])
    rows, _ = _read(AlertSource(archive))
    reasons = [row["reason"] for row in rows]
    assert 6 <= reasons.count(None) <= 12
    assert reasons[-1] == "corrupt"
    assert "night.tar.gz" in rows[-1]["parameters"]


@pytest.mark.parametrize("suffix", ["bz2", "xz"])
def test_a_broken_archive_of_one_packed_block_is_corrupt(folder, tmp_path, suffix):
    archive = tmp_path / f"night.tar.{suffix}"
    with tarfile.open(archive, f"w:{suffix}") as tar:
        tar.add(folder, "night")
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 2 // 3])
    rows, _ = _read(AlertSource(archive))
    assert {row["reason"] for row in rows} == {"corrupt"}
    assert archive.name in rows[-1]["parameters"]


def test_paths_without_packets_are_refused(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        AlertSource(tmp_path / "nothing.avro")
    with pytest.raises(SourceError, match=r"holds no \.avro or \.avro\.gz file"):
        AlertSource(tmp_path).batches()

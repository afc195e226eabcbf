"""The parsers of foreign bytes, each with small valid files and the errors by which it refuses what it cannot read."""

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Parser:
    """A parser under test.

    Attributes
    ----------
    name : str
    samples : callable
        Given a folder to write in, returns the bytes of valid files by name; a mutated file keeps the name's suffix.
    read : callable
        Reads the file at a path in full.
    refusals : callable
        Returns the errors that name what is wrong; any other is a defect.
    """

    name: str
    samples: Callable[[Path], dict[str, bytes]]
    read: Callable[[Path], Any]
    refusals: Callable[[], tuple[type[Exception], ...]]


def _tables(folder: Path) -> dict[str, bytes]:
    from astropy.table import Table

    rows = {"id": [3, 1, 2], "ra": [1.5, 2.5, 3.5], "kind": ["a", "bb", "c"]}
    formats = {"t.csv": "ascii.csv", "t.ecsv": "ascii.ecsv", "t.mrt": "ascii.mrt", "t.ipac": "ascii.ipac"}
    formats |= {"t.fits": "fits", "t.vot": "votable", "t.parquet": "parquet"}
    for name, layout in formats.items():
        Table(rows).write(folder / name, format=layout)
    Table(rows).write(folder / "binary.vot", format="votable", tabledata_format="binary2")
    files = {name: (folder / name).read_bytes() for name in [*formats, "binary.vot"]}
    return files | {"t.csv.gz": gzip.compress(files["t.csv"]), "t.fits.gz": gzip.compress(files["t.fits"])}


def _read_table(path: Path) -> None:
    import pyarrow as pa

    from tasks.tables.table_files import open_table

    with open_table(path) as table:
        for _ in table.read(dict.fromkeys(table.columns, pa.string())):
            pass


def _table_errors() -> tuple[type[Exception], ...]:
    from tasks.tables.table_columns import TableError

    return (TableError,)


def _frames(folder: Path) -> dict[str, bytes]:
    from astropy.io import fits

    from tests.fits_files import HEADER, draw_sky, wcs_header, write_image

    write_image(folder / "f.fits", draw_sky((40, 50)), wcs=wcs_header())
    header = fits.Header([*(HEADER | {"PIXSCALE": 1.2}).items()])
    packed = fits.CompImageHDU(draw_sky((40, 50)), header, compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(folder / "packed.fits")
    files = {name: (folder / name).read_bytes() for name in ("f.fits", "packed.fits")}
    return files | {"f.fits.gz": gzip.compress(files["f.fits"])}


def _read_frame(path: Path) -> None:
    from realbogus.sources.frame_files import read_frame_file

    read_frame_file(path)


def _source_errors() -> tuple[type[Exception], ...]:
    from realbogus.records import SourceError

    return (SourceError,)


def _alerts(folder: Path) -> dict[str, bytes]:
    import fastavro

    from realbogus.sources.alert_packets import PLANES

    cutout = {"type": "record", "name": "cutout", "fields": [{"name": "stampData", "type": "bytes"}]}
    numbers = [{"name": name, "type": "double"} for name in ("jd", "ra", "dec")]
    place = [{"name": "rcid", "type": "int"}, {"name": "isdiffpos", "type": "string"}]
    candidate = {"type": "record", "name": "candidate", "fields": [*numbers, *place]}
    kinds = dict(zip(PLANES, (cutout, "cutout", "cutout"), strict=True))
    fields = [
        {"name": "objectId", "type": "string"},
        {"name": "candid", "type": "long"},
        {"name": "candidate", "type": candidate},
        *({"name": name, "type": ["null", kind], "default": None} for name, kind in kinds.items()),
    ]
    schema = {"type": "record", "name": "alert", "fields": fields}
    stamp = {"stampData": gzip.compress(_fits_bytes(np.arange(441, dtype=np.float32).reshape(21, 21)))}
    facts = {"jd": 2459541.5, "ra": 51.5, "dec": -3.25, "rcid": 40, "isdiffpos": "t"}
    packet = {"objectId": "ZTF1", "candid": 1786556144015010006, "candidate": facts, **dict.fromkeys(PLANES, stamp)}
    files = {}
    for codec in ("null", "deflate"):
        body = io.BytesIO()
        fastavro.writer(body, schema, [packet, packet | {"candid": 7}], codec)
        files[f"{codec}.avro"] = body.getvalue()
    return files | {"a.avro.gz": gzip.compress(files["null.avro"])}


def _fits_bytes(image: np.ndarray) -> bytes:
    from astropy.io import fits

    body = io.BytesIO()
    fits.PrimaryHDU(image).writeto(body)
    return body.getvalue()


def _read_alerts(path: Path) -> None:
    from realbogus.sources.alerts import read_alerts

    for _ in read_alerts(path, 21):
        pass


def _stamps(folder: Path) -> dict[str, bytes]:
    plain = _fits_bytes(np.arange(441, dtype=np.float32).reshape(21, 21))
    whole = _fits_bytes(np.arange(441, dtype=np.int16).reshape(21, 21))
    return {"s.fits": plain, "whole.fits": whole, "s.fits.gz": gzip.compress(plain)}


def _read_stamp(path: Path) -> None:
    from realbogus.sources.alert_packets import decode_stamp

    decode_stamp(path.read_bytes())


def _stamp_errors() -> tuple[type[Exception], ...]:
    from realbogus.sources.alert_packets import StampFaultError

    return (StampFaultError,)


def _triplets(folder: Path) -> dict[str, bytes]:
    values = np.arange(3 * 5 * 5 * 3, dtype=np.float32).reshape(3, 5, 5, 3)
    np.save(folder / "t.npy", values)
    np.savez(folder / "t.npz", triplets=values, candid=np.arange(3))
    np.savez_compressed(folder / "packed.npz", triplets=values, candid=np.array(["a", "b", "c"]))
    return {name: (folder / name).read_bytes() for name in ("t.npy", "t.npz", "packed.npz")}


def _read_triplets(path: Path) -> None:
    from realbogus.sources.array_files import StampArray, read_member_columns

    array = StampArray(path)
    np.asarray(array.rows(0, 2)).sum()
    read_member_columns(path, len(array))


def _images(folder: Path) -> dict[str, bytes]:
    from tests.image_bytes import encoded, noise

    values = noise((24, 24, 3))
    kinds = {"JPEG": {"quality": 90}, "PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}
    return {f"i.{kind.lower()}": encoded(values, kind, **options) for kind, options in kinds.items()}


def _read_image(path: Path) -> None:
    from galaxy.images.image_files import read_image_file

    read_image_file(path.read_bytes())


def _image_errors() -> tuple[type[Exception], ...]:
    from galaxy.images.file_formats import ImageFaultError

    return (ImageFaultError,)


def _schemes(folder: Path) -> dict[str, bytes]:
    import galaxy

    schemes = Path(next(iter(galaxy.__path__))) / "schemes"
    named = {path.name: path.read_bytes() for path in sorted(schemes.glob("*.toml"))[:3]}
    return {name: body.replace(b'name = "', b'name = "my-', 1) for name, body in named.items()}


def _read_scheme(path: Path) -> None:
    from galaxy.labels.schemes import load_scheme

    load_scheme(str(path))


def _scheme_errors() -> tuple[type[Exception], ...]:
    from galaxy.labels.schemes import SchemeError

    return (SchemeError,)


def _weights(folder: Path) -> dict[str, bytes]:
    import h5py

    from tests.weight_files import tensors, write_legacy_torch, write_safetensors, write_zipped_torch

    arrays = {"kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "bias": np.linspace(0, 1, 5)}
    write_legacy_torch(folder / "legacy.pth", tensors(arrays))
    write_zipped_torch(folder / "zipped.pth", tensors(arrays))
    write_safetensors(folder / "w.safetensors", arrays)
    np.savez(folder / "w.npz", **arrays)
    np.savez_compressed(folder / "packed.npz", **arrays)
    with h5py.File(folder / "w.h5", "w") as file:
        file.attrs["layer_names"], file["layer/kernel"] = ["layer"], arrays["kernel"]
        file["layer"].attrs["weight_names"] = ["kernel"]
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _read_weights(path: Path) -> None:
    from galaxy.models.weights.files import read_arrays

    read_arrays(path)


def _weight_errors() -> tuple[type[Exception], ...]:
    from galaxy.models.weights.errors import WeightsError

    return (WeightsError,)


def _archives(folder: Path) -> dict[str, bytes]:
    from tests.image_bytes import encoded, noise

    picture = encoded(noise((8, 8, 3)), "JPEG")
    files = {}
    for name, method in (
        ("stored", zipfile.ZIP_STORED),
        ("deflated", zipfile.ZIP_DEFLATED),
        ("lzma", zipfile.ZIP_LZMA),
    ):
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w", method) as archive:
            archive.writestr("images/1.jpg", picture)
            archive.writestr("images/2.jpg", bytes(3000))
        files[f"{name}.zip"] = body.getvalue()
    return files


def _read_archive(path: Path) -> None:
    from tasks.archives.archive_files import ArchiveFileError, open_archive
    from tasks.archives.archive_index import list_archive

    members = list_archive(path)
    with open_archive(path) as read:
        for member in members:
            try:
                read(member.path)
            except ArchiveFileError:
                continue


def _archive_errors() -> tuple[type[Exception], ...]:
    return (ValueError,)


PARSERS = {
    parser.name: parser
    for parser in (
        Parser("tables", _tables, _read_table, _table_errors),
        Parser("frames", _frames, _read_frame, _source_errors),
        Parser("alerts", _alerts, _read_alerts, _source_errors),
        Parser("stamps", _stamps, _read_stamp, _stamp_errors),
        Parser("triplets", _triplets, _read_triplets, _source_errors),
        Parser("images", _images, _read_image, _image_errors),
        Parser("schemes", _schemes, _read_scheme, _scheme_errors),
        Parser("weights", _weights, _read_weights, _weight_errors),
        Parser("archives", _archives, _read_archive, _archive_errors),
    )
}

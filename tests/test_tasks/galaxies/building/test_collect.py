"""Collection of cutouts from archives and from answers that the raw store holds."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fastapi import FastAPI, Response
from PIL import Image

from galaxy.images import cutouts
from tasks.galaxies.building.collect import (
    ArchiveSource,
    CutoutBatch,
    Received,
    ServiceSource,
    collect_batch,
)
from tasks.store.raw import RawStore
from tasks.store.staging import Staging
from tests.image_bytes import encoded
from tests.served_pages import served

PX = 32


def picture(seed: int = 0, px: int = PX) -> bytes:
    """A PNG of noise."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(1, 255, (px, px, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def read_all(source: ArchiveSource, ids: list[str]) -> list[Received]:
    with source.reader(1) as read:
        return [read({"id": name}) for name in ids]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_an_archive_gives_each_image_or_the_reason_why_not(tmp_path: Path, kind: str) -> None:
    content = {"good.png": picture(), "bad.png": b"\x89PNG no more"}
    if kind == "zip":
        path = zipped(tmp_path / "a.zip", content)
    else:
        path = tmp_path / "folder"
        path.mkdir()
        for name, body in content.items():
            (path / name).write_bytes(body)
    members = {name: f"{name}.png" for name in ("good", "bad", "gone")}
    twice = Received(reason="ambiguous_image", parameters={"file": "one/a.png, two/a.png"})
    source = ArchiveSource(path, members, tmp_path / "raw", {"twice": twice})
    good, bad, absent, gone, fault = read_all(source, ["good", "bad", "absent", "gone", "twice"])
    assert (gone.reason, gone.attempts, gone.parameters) == ("unreadable", 1, {"file": "gone.png"})
    assert fault == twice
    np.testing.assert_array_equal(good.pixels, cutouts.decode(picture()))
    assert RawStore(tmp_path / "raw").get(str(good.raw_sha256)) == picture()
    assert (good.reason, good.attempts, good.parameters) == (None, 1, {"file": "good.png"})
    assert (bad.pixels, bad.reason, bad.attempts) == (None, "undecodable", 1)
    assert RawStore(tmp_path / "raw").get(str(bad.raw_sha256)) == content["bad.png"]
    assert (absent.reason, absent.attempts) == ("no_image", 0)


def test_what_was_converted_stands_in_the_parameters(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (PX, PX), np.uint16)
    (tmp_path / "a.png").write_bytes(encoded(values))
    [received] = read_all(ArchiveSource(tmp_path, {"a": "a.png"}, tmp_path / "raw"), ["a"])
    assert received.parameters == {"file": "a.png", "bit_depth": 16}
    assert received.pixels is not None
    np.testing.assert_array_equal(received.pixels[..., 1], values >> 8)


def test_a_source_is_restricted_to_the_objects_of_a_batch(tmp_path: Path) -> None:
    source = ArchiveSource(tmp_path, {"a": "a.png", "b": "b.png"}, tmp_path / "raw")
    assert source.narrowed(["b", "c"]).members == {"b": "b.png"}
    fault = Received(reason="folder")
    narrowed = replace(source, faults={"a": fault, "c": fault}).narrowed(["b", "c"])
    assert (narrowed.members, narrowed.faults) == ({"b": "b.png"}, {"c": fault})
    service = ServiceSource("sdss", "sky", "http://127.0.0.1:1", "dr17", PX, None, tmp_path, tmp_path)
    assert service.narrowed(["a"]) is service


def plan_row(name: str, **more: Any) -> dict[str, Any]:
    frame = {"ra_deg": 10.0, "dec_deg": 2.0, "scale_arcsec_per_px": 0.4, "clipped": False}
    return {"id": name, "redshift": 0.1, "r_mag": 16.0, "petro_r90_arcsec": 5.0, "width_arcsec": 12.8, **frame, **more}


def test_a_batch_leaves_samples_and_a_ledger_row_of_every_object(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture())
    staging = Staging(tmp_path / "staging")
    source = ArchiveSource(folder, {"a": "a.png"}, tmp_path / "raw")
    rows = pa.Table.from_pylist([plan_row("a"), plan_row("b")])
    counts = collect_batch(CutoutBatch(3, rows, source, "archive", staging, 16, 0.5, 1))
    assert counts == {"objects": 2, "stored": 1, "requests": 0}
    assert staging.is_finished(3)
    ledger = staging.ledger(3).to_pylist()
    assert [(row["id"], row["status"], row["reason"]) for row in ledger] == [
        ("a", "stored", None),
        ("b", "rejected", "no_image"),
    ]
    sample, enlarged = cutouts.to_sample(cutouts.decode(picture()), 16, 0.5)
    assert (ledger[0]["enlarged"], enlarged) == (False, False)
    assert ledger[0]["pixel_sha256"] == cutouts.pixel_sha256(sample)
    assert ledger[0]["mean"] == pytest.approx(sample.mean())
    np.testing.assert_array_equal(staging.pixels(3), sample[None])
    assert ledger[1]["redshift"] == 0.1


def service(tmp_path: Path, **more: Any) -> tuple[ServiceSource, str]:
    """A service at an address that answers nothing, and the key of `plan_row`'s request."""
    source = ServiceSource("sdss", "sky", "http://127.0.0.1:1", "dr17", PX, None, tmp_path / "raw", tmp_path, **more)
    patch = cutouts.SkyPatch(10.0, 2.0, 0.4, PX, False)
    _, parameters = cutouts.service_request("sdss", source.service_url, "dr17", patch)
    return source, cutouts.request_key("sky", "/dr17/SkyServerWS/ImgCutout/getjpeg", parameters)


def test_an_answer_in_the_raw_store_is_not_requested_again(tmp_path: Path) -> None:
    source, key = service(tmp_path)
    sha256 = RawStore(tmp_path / "raw").put_answer(key, picture())
    with source.reader(1) as read:
        received = read(plan_row("a"))
    assert (received.raw_sha256, received.attempts, received.reason) == (sha256, 0, None)
    np.testing.assert_array_equal(received.pixels, cutouts.decode(picture()))


def test_what_a_service_sends_in_place_of_an_image_is_kept_with_the_reason(tmp_path: Path) -> None:
    body, app = encoded(np.asarray(Image.open(io.BytesIO(picture())))[1:], "JPEG"), FastAPI()
    app.get("/{rest:path}")(lambda: Response(body, media_type="image/jpeg"))
    with served(app) as address:
        source = replace(service(tmp_path)[0], service_url=address)
        with source.reader(1) as read:
            first, again = read(plan_row("a")), read(plan_row("a"))
    assert (first.reason, first.attempts, first.pixels) == ("wrong_size", 1, None)
    assert (again.reason, again.attempts, again.pixels) == ("wrong_size", 0, None)
    assert RawStore(tmp_path / "raw").get(str(first.raw_sha256)) == body
    assert again.raw_sha256 == first.raw_sha256


def test_what_an_earlier_attempt_sent_is_not_kept_under_a_later_reason(tmp_path: Path) -> None:
    answers = iter(
        [Response(b"<html>closed for maintenance</html>", media_type="text/html"), Response(status_code=404)]
    )
    app = FastAPI()
    app.get("/{rest:path}")(lambda: next(answers))
    with served(app) as address:
        source = replace(service(tmp_path)[0], service_url=address)
        with source.reader(1) as read:
            received = read(plan_row("a"))
    assert (received.reason, received.attempts, received.raw_sha256) == ("http_404", 2, None)


def test_a_refusal_in_the_raw_store_is_not_requested_again(tmp_path: Path) -> None:
    source, key = service(tmp_path)
    RawStore(tmp_path / "raw").put_refusal(key, "http_404")
    with source.reader(1) as read:
        received = read(plan_row("a"))
    assert (received.pixels, received.attempts, received.reason) == (None, 0, "http_404")

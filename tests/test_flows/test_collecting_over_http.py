"""Collecting from a service: real HTTP, faults, positions. `test_drill` kills such a build."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flows.build_galaxy_dataset import build_galaxy_dataset
from galaxy.images.cutouts import decode
from tasks.runtime.workspace import Workspace
from tasks.skyserver.http_server import Behaviour, SkyServer
from tasks.skyserver.images import ReplayedFiles
from tasks.store.dataset import Dataset

from .conftest import galaxy_picture

SIDE = 64
Sky = Callable[[int], tuple[ReplayedFiles, Path]]


@pytest.fixture
def sky(tmp_path: Path) -> Sky:
    """Give a function that makes pictures at places, as the service replays them, and their table."""

    def make(count: int) -> tuple[ReplayedFiles, Path]:
        folder, table = tmp_path / "sky", tmp_path / "positions.csv"
        folder.mkdir()
        rng = np.random.default_rng(1)
        with table.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["file", "ra_deg", "dec_deg", "gz1_class"])
            for number in range(count):
                galaxy_picture(number, SIDE).save(folder / f"g{number:04d}.jpg", quality=95)
                place = (round(rng.uniform(0, 360), 5), round(rng.uniform(-60, 60), 5))
                writer.writerow([f"g{number:04d}.jpg", *place, ("elliptical", "spiral")[number % 2]])
        return ReplayedFiles(folder, table), table

    return make


def request(table: Path, url: str) -> dict[str, object]:
    return {
        "dataset": "http",
        "catalog": str(table),
        "source": "sdss",
        "service_url": url,
        "scheme": "gz1-2class",
        "request_px": SIDE,
        "size_px": 32,
        "field": "fixed",
        "scale_arcsec_per_px": 0.2,
    }


def test_faults_are_recovered_and_bytes_are_the_files(flows_here: Workspace, sky: Sky, tmp_path: Path) -> None:
    pictures, table = sky(120)
    faults = ("unavailable", "truncated", "reset")
    with SkyServer(pictures, Behaviour(fail_rate=0.2, faults=faults)) as server:
        summary = build_galaxy_dataset(**request(table, server.url))
        met = server.tally.report()
    assert (summary["stored"], summary["rejected"]) == (120, {})
    assert summary["requests"] == met["requests"] == 120 + sum(met["faults"].values())
    assert min(met["faults"].values()) > 0
    for row in Dataset.open(flows_here, "http").samples().to_pylist():
        expected = (tmp_path / "sky" / f"{row['id']}.jpg").read_bytes()
        assert (flows_here.raw / row["raw_sha256"][:2] / row["raw_sha256"]).read_bytes() == expected


def test_an_answer_of_more_bytes_than_its_image_can_have_is_rejected(
    flows_here: Workspace, sky: Sky, tmp_path: Path
) -> None:
    pictures, table = sky(6)
    file = tmp_path / "sky" / "g0000.jpg"
    whole, comment = file.read_bytes(), b"\xff\xfe\xff\xff" + bytes(0xFFFD)
    file.write_bytes(whole[:2] + 16 * comment + whole[2:])  # still a JPEG, of which nothing but the size is wrong
    assert decode(file.read_bytes(), SIDE).shape == (SIDE, SIDE, 3)
    with SkyServer(pictures) as server:
        summary = build_galaxy_dataset(**request(table, server.url))
        assert server.tally.report()["requests"] == 6
    limit = 6 * SIDE**2 + 2**18
    reason = f"too_large:over_{limit}_bytes_for_{SIDE}_px"
    assert (summary["stored"], summary["rejected"]) == (5, {reason: 1})
    rejected = [row for row in Dataset.open(flows_here, "http").samples().to_pylist() if row["reason"]]
    assert [(row["id"], row["reason"], row["attempts"]) for row in rejected] == [("g0000", reason, 1)]


def test_another_size_fetches_nothing_again(flows_here: Workspace, sky: Sky) -> None:
    pictures, table = sky(30)
    with SkyServer(pictures) as server:
        build_galaxy_dataset(**request(table, server.url))
        half = {"dataset": "smaller", "size_px": 16, "crop_fraction": 0.5}
        smaller = build_galaxy_dataset(**(request(table, server.url) | half))
        assert server.tally.report()["requests"] == 30
    assert (smaller["stored"], smaller["requests"]) == (30, 0)


def test_what_is_outside_the_footprint_is_rejected_for_good(flows_here: Workspace, sky: Sky) -> None:
    pictures, table = sky(20)
    with table.open("a") as stream:
        stream.write("g9999.jpg,10.0,80.0,spiral\n")
    with SkyServer(pictures) as server:
        first = build_galaxy_dataset(**request(table, server.url))
        again = build_galaxy_dataset(**request(table, server.url))
        asked = server.tally.report()["requests"]
        retried = build_galaxy_dataset(**(request(table, server.url) | {"retry_rejected": True}))
        assert server.tally.report()["requests"] == asked + 1 == 22
    assert first["rejected"] == {"http_404": 1}
    assert again == first | {"requests": 0}
    assert retried["rejected"] == {"http_404": 1}


def test_a_service_that_is_down_rejects_with_a_passing_reason_and_is_asked_again(
    flows_here: Workspace, sky: Sky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.http.client.FIRST_PAUSE_S", 0.001)
    pictures, table = sky(12)
    with SkyServer(pictures) as server:
        url = server.url
        build_galaxy_dataset(**(request(table, url) | {"limit": 6}))
    while_down = build_galaxy_dataset(**request(table, url))
    assert while_down["rejected"] == {"connection_lost": 6}
    with SkyServer(pictures, port=int(url.rpartition(":")[2])):
        recovered = build_galaxy_dataset(**request(table, url))
    assert (recovered["stored"], recovered["rejected"]) == (12, {})

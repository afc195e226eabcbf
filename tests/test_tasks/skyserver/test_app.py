import argparse
import csv
import http.client
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests
from PIL import Image

from galaxy.simulation.synthetic_sky import synthetic_sky
from tasks.skyserver.app import add_arguments, run, sky_process
from tasks.skyserver.http_server import Behaviour, SkyServer, Tally
from tasks.skyserver.images import RenderedSky, ReplayedFiles

CUTOUT = "/dr17/SkyServerWS/ImgCutout/getjpeg"
COUNT = 60


@pytest.fixture(scope="module")
def pictures() -> RenderedSky:
    return RenderedSky(COUNT, seed=0)


@pytest.fixture(scope="module")
def server(pictures: RenderedSky) -> Iterator[SkyServer]:
    with SkyServer(pictures) as running:
        yield running


@pytest.fixture(scope="module")
def place() -> dict[str, float]:
    row = synthetic_sky(COUNT, seed=0).truth.slice(0, 1).to_pylist()[0]
    return {"ra": row["ra_deg"], "dec": row["dec_deg"]}


def _size(body: bytes) -> tuple[int, int]:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image.size


def _answers(url: str) -> bool:
    try:
        return requests.get(url + "/stats", timeout=5).ok
    except requests.exceptions.ConnectionError:
        return False


def _arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


class TestImgCutout:
    def test_defaults_clamps_and_the_mark(self, server: SkyServer, place: dict[str, float]):
        for asked, size in (
            ({}, (128, 128)),
            ({"width": 32, "height": 200}, (64, 200)),
            ({"width": 5000, "height": 64, "scale": 0.1}, (2048, 64)),
            ({"scale": 0.000001}, (128, 128)),
        ):
            answer = requests.get(server.url + CUTOUT, params=place | asked, timeout=60)
            assert answer.status_code == 200
            assert answer.headers["Content-Type"] == "image/jpeg"
            assert _size(answer.content) == size
            assert b"simulated" in Image.open(io.BytesIO(answer.content)).info["comment"]

    @pytest.mark.parametrize("path", ["/dr12/skyserverws/imgcutout/getjpeg", "/DR18/SkyserverWS/ImgCutout/GetJpeg"])
    def test_any_release_in_any_case(self, server: SkyServer, place: dict[str, float], path: str):
        assert requests.get(server.url + path, params=place, timeout=60).status_code == 200
        assert requests.get(server.url + "/drx" + path[5:], params=place, timeout=60).status_code == 404

    def test_a_colon_selects_sexagesimal_hours(self, server: SkyServer):
        for text, decimal in (("12:30:00", 187.5), ("12:00:36", 180.15)):
            answers = [
                requests.get(server.url + CUTOUT, params={"ra": ra, "dec": dec}, timeout=60).content
                for ra, dec in ((text, "-00:30:00"), (decimal, -0.5))
            ]
            assert answers[0] == answers[1]

    @pytest.mark.parametrize(
        ("asked", "named"),
        [
            ({"ra": 180}, "dec"),
            ({"ra": "x", "dec": 1}, "ra"),
            ({"ra": "nan", "dec": 1}, "ra"),
            ({"ra": 180, "dec": 91}, "dec"),
            ({"ra": 180, "dec": 20, "scale": "fine"}, "scale"),
            ({"ra": 180, "dec": 20, "width": "12.7"}, "width"),
        ],
    )
    def test_bad_parameters_get_json(self, server: SkyServer, asked: dict[str, object], named: str):
        answer = requests.get(server.url + CUTOUT, params=asked, timeout=60)
        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/json"
        body = answer.json()
        assert body["ErrorCode"] == 400
        assert {"ErrorType", "LogMessageID"} <= set(body)
        assert named in body["ErrorMessage"]

    def test_outside_the_footprint_is_a_404_with_a_real_jpeg(self, server: SkyServer):
        answer = requests.get(
            server.url + CUTOUT, params={"ra": 180, "dec": 80, "width": 200, "height": 200}, timeout=20
        )
        assert answer.status_code == 404
        assert answer.reason == "NOT FOUND. Requested (ra, dec) is outside the SDSS footprint."
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert _size(answer.content) == (200, 200)

    def test_outside_can_be_the_black_tile_with_200(self, pictures: RenderedSky):
        with SkyServer(pictures, Behaviour(black_outside=True)) as server:
            answer = requests.get(server.url + CUTOUT, params={"ra": 180, "dec": 80}, timeout=60)
        assert answer.status_code == 200
        pixels = Image.open(io.BytesIO(answer.content)).convert("L").histogram()
        assert pixels[0] / sum(pixels) > 0.85

    def test_a_rendered_picture_is_the_same_in_every_server(self, server: SkyServer, place: dict[str, float]):
        with SkyServer(RenderedSky(COUNT, seed=0)) as other, SkyServer(RenderedSky(COUNT, seed=4)) as another_sky:
            bodies = [
                requests.get(one.url + CUTOUT, params=place, timeout=60).content for one in (server, other, another_sky)
            ]
        assert bodies[0] == bodies[1]
        assert bodies[0] != bodies[2]


class TestViewer:
    def test_sizes_layers_and_errors(self, server: SkyServer, place: dict[str, float]):
        viewer = server.url + "/viewer/cutout.jpg"
        assert _size(requests.get(viewer, params=place, timeout=60).content) == (256, 256)
        assert _size(requests.get(viewer, params=place | {"size": 90, "width": 70}, timeout=60).content) == (70, 90)
        unknown = requests.get(viewer, params=place | {"layer": "nope"}, timeout=60)
        assert (unknown.status_code, unknown.headers["Content-Type"]) == (200, "text/html")
        assert requests.get(viewer, params={"ra": 3}, timeout=60).status_code == 400

    def test_no_coverage_is_a_uniform_tile(self, server: SkyServer):
        answer = requests.get(server.url + "/viewer/cutout.jpg", params={"ra": 180, "dec": 80}, timeout=60)
        assert answer.status_code == 200
        low, high = Image.open(io.BytesIO(answer.content)).convert("L").getextrema()
        assert low == high


class TestFaults:
    def _ask(self, pictures: RenderedSky, place: dict[str, float], kind: str, **more: float) -> requests.Response:
        with SkyServer(pictures, Behaviour(fail_rate=1.0, faults=(kind,), **more)) as server:
            return requests.get(server.url + CUTOUT, params=place, timeout=60)

    def test_unavailable_is_503_html(self, pictures: RenderedSky, place: dict[str, float]):
        answer = self._ask(pictures, place, "unavailable")
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "text/html"

    def test_truncated_ends_before_its_length(self, pictures: RenderedSky, place: dict[str, float]):
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)) as raised:
            self._ask(pictures, place, "truncated")
        assert "IncompleteRead" in str(raised.value)

    def test_reset_is_a_reset(self, pictures: RenderedSky, place: dict[str, float]):
        with pytest.raises(requests.exceptions.ConnectionError) as raised:
            self._ask(pictures, place, "reset")
        assert "reset" in str(raised.value).lower()

    def test_slow_is_slow_but_whole(self, pictures: RenderedSky, place: dict[str, float]):
        began = time.monotonic()
        answer = self._ask(pictures, place, "slow", slow_s=0.4)
        assert 0.4 < time.monotonic() - began < 5
        assert _size(answer.content) == (128, 128)

    def test_black_is_a_whole_tile_without_a_galaxy(self, pictures: RenderedSky, place: dict[str, float]):
        answer = self._ask(pictures, place, "black")
        assert answer.status_code == 200
        assert Image.open(io.BytesIO(answer.content)).convert("L").histogram()[0] > 128 * 128 * 0.85

    def test_faults_are_drawn_from_the_seed_in_equal_parts(self):
        def draws(seed: int) -> list[str | None]:
            tally = Tally(Behaviour(fail_rate=0.2, seed=seed))
            return [tally.draw_fault("/") for _ in range(4000)]

        first = draws(1)
        assert first == draws(1)
        assert first != draws(2)
        assert sum(fault is not None for fault in first) == pytest.approx(800, abs=100)
        for kind in ("unavailable", "truncated", "slow", "reset"):
            assert first.count(kind) == pytest.approx(200, abs=60)

    @pytest.mark.parametrize("wrong", [{"faults": ("gremlins",)}, {"fail_rate": 1.5}, {"latency_s": -1.0}])
    def test_nonsense_is_refused_by_name(self, wrong: dict[str, object]):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Behaviour(**wrong)  # type: ignore[arg-type]


class TestReplay:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name, grey in (("one.jpg", 40), ("two.jpg", 90)):
            Image.new("RGB", (50, 40), (grey, grey, grey)).save(tmp_path / name)
        self._write(tmp_path, [("one.jpg", 10.0, -5.0), ("two.jpg", 359.9999, 60.0)])
        return tmp_path

    @staticmethod
    def _write(folder: Path, rows: list[tuple[str, object, object]], head: str = "file,ra_deg,dec_deg") -> None:
        lines = [head, *(",".join(map(str, row)) for row in rows)]
        (folder / "positions.csv").write_text("\n".join(lines) + "\n")

    def test_the_files_own_bytes_within_two_arcsec_whatever_size(self, folder: Path):
        with SkyServer(ReplayedFiles(folder, folder / "positions.csv")) as server:
            for ra, dec, name in (
                (10.0, -5.0 + 1.9 / 3600, "one.jpg"),
                (10.0, -5.0 + 2.1 / 3600, None),
                (359.9999 + 1.9 / 3600 / 0.5, 60.0, "two.jpg"),
                (0.0001, 60.0, "two.jpg"),
                (200.0, 20.0, None),
            ):
                asked = {"ra": ra % 360, "dec": dec, "width": 300, "height": 300, "scale": 0.2}
                answer = requests.get(server.url + CUTOUT, params=asked, timeout=60)
                assert answer.status_code == (404 if name is None else 200), (ra, dec)
                if name is not None:
                    assert answer.content == (folder / name).read_bytes()

    def test_names_never_leave_the_folder(self, folder: Path):
        (folder / "inner").mkdir()
        (folder.parent / "secret.jpg").write_bytes(b"x")
        for name in ("../secret.jpg", "inner", "three.jpg", str(folder / "one.jpg")):
            self._write(folder, [(name, 1.0, 1.0)])
            with pytest.raises(ValueError, match=r"positions\.csv names"):
                ReplayedFiles(folder, folder / "positions.csv")

    def test_bad_tables_are_refused_by_column_or_value(self, folder: Path):
        self._write(folder, [("one.jpg", 1.0, 1.0)], head="file,ra,dec_deg")
        with pytest.raises(ValueError, match="no column 'ra_deg'"):
            ReplayedFiles(folder, folder / "positions.csv")
        self._write(folder, [("one.jpg", "ten", 1.0)])
        with pytest.raises(ValueError, match="'ten' in column 'ra_deg'"):
            ReplayedFiles(folder, folder / "positions.csv")

    def test_the_real_cutouts_come_back_byte_for_byte(self, shared_data: Path):
        folder = shared_data / "gz1_spirals_by_position"
        with (folder / "positions.csv").open() as lines:
            rows = list(csv.DictReader(lines))[::50]
        with SkyServer(ReplayedFiles(folder / "images", folder / "positions.csv")) as server:
            for row in rows:
                asked = {"ra": row["ra_deg"], "dec": row["dec_deg"], "scale": 0.2, "width": 120, "height": 120}
                body = requests.get(server.url + CUTOUT, params=asked, timeout=60).content
                assert body == (folder / "images" / row["file"]).read_bytes()


class TestConnections:
    def test_one_connection_serves_many_requests(self, server: SkyServer, place: dict[str, float]):
        host, port = server.server_address[:2]
        connection = http.client.HTTPConnection(str(host), int(port), timeout=60)
        connection.connect()
        ours = connection.sock.getsockname()
        for _ in range(5):
            connection.request("GET", f"{CUTOUT}?ra={place['ra']}&dec={place['dec']}")
            assert connection.getresponse().read().endswith(b"\xff\xd9")
            assert connection.sock.getsockname() == ours
        connection.close()

    def test_latency_is_waited_side_by_side(self, pictures: RenderedSky, place: dict[str, float]):
        latency_s, connections, each = 0.1, 8, 5
        with SkyServer(pictures, Behaviour(latency_s=latency_s)) as server:
            requests.get(server.url + CUTOUT, params=place, timeout=60)  # rendered and kept

            def ask(_: int) -> None:
                with requests.Session() as session:
                    for _ in range(each):
                        session.get(server.url + CUTOUT, params=place, timeout=60)

            began = time.monotonic()
            with ThreadPoolExecutor(connections) as pool:
                list(pool.map(ask, range(connections)))
            took = time.monotonic() - began
        assert latency_s * each <= took < latency_s * each * connections / 2

    def test_stats_count_paths_faults_and_repeated_positions(self, pictures: RenderedSky, place: dict[str, float]):
        behaviour = Behaviour(fail_rate=1.0, faults=("unavailable",))
        with SkyServer(pictures, behaviour) as server:
            for asked in (place, place, place, {"ra": 150.0, "dec": 20.0}):
                requests.get(server.url + CUTOUT, params=asked, timeout=60)
            stats = requests.get(server.url + "/stats", timeout=60).json()
        assert stats["paths"] == {CUTOUT: 4}
        assert stats["faults"] == {"unavailable": 4}
        assert list(stats["repeated"].values()) == [3]
        assert (stats["requests"], stats["positions"], stats["repeats"]) == (4, 2, 2)


class TestProcess:
    @pytest.fixture
    def process(self) -> Iterator["subprocess.Popen[str]"]:
        command = [sys.executable, "-m", "tasks.skyserver.app", "--sky-count", str(COUNT), "--latency-ms", "100"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
            yield started
            started.kill()

    def test_it_announces_itself_survives_rude_clients_and_ends_on_ctrl_c(
        self, process: "subprocess.Popen[str]", place: dict[str, float]
    ):
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        used = psutil.Process(process.pid).cpu_times()
        assert used.user + used.system < 5  # seconds of work before it was ready; the clock's depend on neighbours
        port = int(url.rsplit(":", 1)[1])
        for _ in range(3):  # asks and hangs up with a reset before the answer
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(f"GET {CUTOUT}?ra={place['ra']}&dec={place['dec']} HTTP/1.1\r\n\r\n".encode())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        answer = requests.get(url + CUTOUT, params=place, timeout=60)
        assert _size(answer.content) == (128, 128)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert output == ""
        assert errors == ""

    def test_a_child_service_ends_with_its_block(self):
        with sky_process(seed=0, count=COUNT) as url:
            assert requests.get(url + "/stats", timeout=60).json()["requests"] == 0
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.get(url + "/stats", timeout=5)

    def test_a_child_service_ends_with_a_killed_parent(self):
        code = "from tasks.skyserver.app import sky_process\nimport time\n"
        code += f"with sky_process(count={COUNT}) as url:\n    print(url, flush=True)\n    time.sleep(60)\n"
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert requests.get(url + "/stats", timeout=60).ok
        os.kill(parent.pid, signal.SIGKILL)
        parent.communicate(timeout=30)
        deadline = time.monotonic() + 30
        while _answers(url) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not _answers(url)

    def test_wrong_options_are_said_in_a_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        assert run(_arguments("--images", str(tmp_path))) == 2
        assert "--positions" in capsys.readouterr().err
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert run(_arguments("--port", str(port))) == 1
        assert str(port) in capsys.readouterr().err

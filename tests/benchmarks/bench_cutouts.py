"""Collecting over HTTP: how near the limit of its connections, what faults cost, and what a kill costs."""

import io
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import requests
from PIL import Image

from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.galaxies.building.plan import plan_galaxies
from tasks.galaxies.building.sources import open_source
from tasks.ingest.catalogs import catalog_path
from tasks.runtime.cluster import Executor, cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.build_galaxies import collect_cutouts
from tests.benchmarks.scene import command, flow_words, kill, serve_sky, start, stats, wait_until, write_sky

COUNT = 4000
LATENCY_MS = 50
CONNECTIONS = 16
SIZE_PX = 128
WARM_UP = 64
"""Objects collected first, so that no worker imports while the clock runs."""


def run(count: int = COUNT, faulty: int = 1000, killed: int = 2000) -> dict[str, float]:
    """Return rates in images a second, their ratios, and what faults and a kill cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, positions = write_sky(folder, max(count, faulty, killed), SIZE_PX)
        with serve_sky(images, positions, latency_ms=LATENCY_MS) as url, cluster(count) as executor:
            _collected(folder / "warm", positions, url, WARM_UP, executor)
            ours = count / _collected(folder / "ours", positions, url, count, executor)
            bare = _bare_rate(positions, url, min(count, 2000), CONNECTIONS)
            sequential = _bare_rate(positions, url, max(20, count // 40), 1)
        limit = CONNECTIONS / (LATENCY_MS / 1000)
        return {
            "limit_per_s": limit,
            "ours_per_s": ours,
            "bare_per_s": bare,
            "sequential_per_s": sequential,
            "of_limit": ours / limit,
            "times_sequential": ours / sequential,
            **_with_faults(folder, images, positions, faulty),
            **_killed_and_run_again(folder, images, positions, killed),
        }


def _request(positions: Path, url: str, limit: int) -> GalaxyBuildRequest:
    return GalaxyBuildRequest(
        dataset="bench",
        catalog=str(positions),
        metadata=None,
        source="sdss",
        images=None,
        mapping=None,
        scheme="none",
        size_px=SIZE_PX,
        request_px=SIZE_PX,
        crop_fraction=1.0,
        field="fixed",
        scale_arcsec_per_px=0.4,
        limit=limit,
        service_url=url,
        release=None,
        max_rate_per_s=None,
        max_connections=CONNECTIONS,
        min_stored_fraction=0.0,
        allow_mixed=False,
        retry_rejected=False,
        seed=0,
    )


def _collected(root: Path, positions: Path, url: str, limit: int, executor: Executor) -> float:
    """Return the seconds that the stage takes to collect everything into an empty workspace."""
    workspace = Workspace(root)
    request = _request(positions, url, limit)
    plan = plan_galaxies(workspace, request, catalog_path(workspace, str(positions)))
    with open_source(workspace, plan) as source:
        begin = time.perf_counter()
        counts = collect_cutouts.fn(plan, source, executor, CONNECTIONS)
        seconds = time.perf_counter() - begin
    assert counts["stored"] == limit, counts
    return seconds


def _bare_rate(positions: Path, url: str, count: int, connections: int) -> float:
    """Return what a plain `requests` loop reaches that only decodes."""
    rows = [line.split(",") for line in positions.read_text().splitlines()[1 : count + 1]]
    address = f"{url}/dr17/SkyServerWS/ImgCutout/getjpeg"
    size = {"scale": "0.4", "width": str(SIZE_PX), "height": str(SIZE_PX)}
    with requests.Session() as session, ThreadPoolExecutor(connections) as pool:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=connections))

        def get(row: list[str]) -> int:
            answer = session.get(address, params={"ra": row[1], "dec": row[2], **size}, timeout=30)
            return np.asarray(Image.open(io.BytesIO(answer.content))).nbytes

        begin = time.perf_counter()
        assert sum(pool.map(get, rows)) == len(rows) * SIZE_PX * SIZE_PX * 3
        return len(rows) / (time.perf_counter() - begin)


def _with_faults(folder: Path, images: Path, positions: Path, count: int) -> dict[str, float]:
    """Return how many answers of 5 % faults were faulty, and the share of objects that were stored after all."""
    with serve_sky(images, positions, latency_ms=LATENCY_MS, fail_rate=0.05) as url, cluster(count) as executor:
        workspace = Workspace(folder / "faulty")
        request = _request(positions, url, count)
        plan = plan_galaxies(workspace, request, catalog_path(workspace, str(positions)))
        with open_source(workspace, plan) as source:
            counts = collect_cutouts.fn(plan, source, executor, CONNECTIONS)
    return {"faults": counts["requests"] - count, "recovered": counts["stored"] / count}


def _killed_and_run_again(folder: Path, images: Path, positions: Path, count: int) -> dict[str, float]:
    """Kill a build in its middle and run it again; compare it with an undisturbed one."""
    with serve_sky(images, positions, latency_ms=LATENCY_MS) as url:
        parameters = _request(positions, url, count).model_dump(exclude_none=True)
        words = flow_words("build-galaxy-dataset", **parameters)
        undisturbed = _built(folder / "undisturbed", words)
        before = _asked(url)
        victim = start(folder / "disturbed", *words)
        wait_until(lambda: _asked(url) > before + count / 2)
        kill(victim)
        disturbed = _built(folder / "disturbed", words)
        asked = _asked(url) - before
    return {"asked_again_after_kill": asked - count, "same_after_kill": float(undisturbed == disturbed)}


def _built(workspace: Path, words: list[str]) -> str:
    """Build, end the workspace's services and return the dataset's digest."""
    summary = command(workspace, *words)
    command(workspace, "down")
    digest: str = json.loads((Path(summary["path"]) / "manifest.json").read_text())["digest"]
    return digest


def _asked(url: str) -> int:
    return int(stats(url)["requests"])

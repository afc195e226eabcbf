"""The labelling page: how soon the next 20 items come over HTTP, of many, of a thousand, and by filters."""

import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import uvicorn

from tasks.labelling.app import create_app
from tasks.labelling.queue_sources import QueueRequest, open_queue
from tasks.labelling.queues import LabelQueue, QueueFacts, write_label_queue
from tasks.runtime.workspace import Workspace
from tests.small_candidates import publish_candidates

FILTERS = {"label": "real", "score_from": 0.2, "score_to": 0.9}
SIZES = {"large": 100_000, "small": 1_000}
REQUESTS = 100


def run() -> dict[str, float]:
    """Return medians and the 95th percentile of the large queue in milliseconds, and how many times the small one's."""
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name))
        publish_candidates(workspace, "night", ["real", "bogus"] * 20, [str(row) for row in range(40)], ["train"] * 40)
        made, _ = open_queue(workspace, QueueRequest(dataset="night", count=40, blind=False))
        for queue, count in SIZES.items():
            write_label_queue(workspace, _lengthen(made, queue, count))
        with _service(workspace) as client:
            seconds = {queue: _ask(client, f"/api/night/{queue}/next") for queue in SIZES}
            filtered = _ask(client, "/api/night/large/next", FILTERS)
    medians = {queue: 1e3 * statistics.median(values) for queue, values in seconds.items()}
    return {
        "next_ms": medians["large"],
        "next_ms_95": 1e3 * float(np.percentile(seconds["large"], 95)),
        "filtered_ms": 1e3 * statistics.median(filtered),
        "times_small": medians["large"] / medians["small"],
    }


def _lengthen(made: LabelQueue, name: str, count: int) -> LabelQueue:
    columns = {
        **{"id": [f"x{row}" for row in range(count)], "rank": np.arange(count)},
        **{"score": np.arange(count) % 1000 / 1000, "previous": ["real", "bogus"] * (count // 2)},
        **{"reason": ["random"] * count, "opinions": [1] * count},
    }
    fields = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in made.rows.schema
    ]
    return LabelQueue(QueueFacts(**made.facts.model_dump() | {"name": name}), pa.table(fields, schema=made.rows.schema))


@contextmanager
def _service(workspace: Workspace) -> Iterator[httpx.Client]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(workspace), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
        yield client
    server.should_exit = True
    thread.join(20)
    listener.close()


def _ask(client: httpx.Client, path: str, filters: dict[str, str | float] | None = None) -> list[float]:
    asked = {"labeller": "ann", **(filters or {})}
    client.get(path, params=asked).raise_for_status()
    seconds, after = [], -1
    for _ in range(REQUESTS):
        begin = time.perf_counter()
        items = client.get(path, params={**asked, "after": after}).raise_for_status().json()["items"]
        seconds.append(time.perf_counter() - begin)
        after = items[-1]["rank"] if items else -1
    return seconds

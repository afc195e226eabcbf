"""The labelling page: how soon the next 20 items of a queue come over HTTP, of a hundred thousand and of a thousand."""

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

SIZES = {"large": 100_000, "small": 1_000}
REQUESTS = 100


def run() -> dict[str, float]:
    """Return the median and the 95th percentile in milliseconds of the large queue, and the ratio of the medians."""
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name))
        publish_candidates(workspace, "night", ["real", "bogus"] * 20, [str(row) for row in range(40)], ["train"] * 40)
        made, _ = open_queue(workspace, QueueRequest(dataset="night", count=40))
        for queue, count in SIZES.items():
            write_label_queue(workspace, _lengthen(made, queue, count))
        with _service(workspace) as client:
            seconds = {queue: _ask(client, f"/api/night/{queue}/next") for queue in SIZES}
    medians = {queue: 1e3 * statistics.median(values) for queue, values in seconds.items()}
    return {
        "next_ms": medians["large"],
        "next_ms_95": 1e3 * float(np.percentile(seconds["large"], 95)),
        "times_small": medians["large"] / medians["small"],
    }


def _lengthen(made: LabelQueue, name: str, count: int) -> LabelQueue:
    columns = {
        **{"id": [f"x{row}" for row in range(count)], "rank": np.arange(count)},
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


def _ask(client: httpx.Client, path: str) -> list[float]:
    client.get(path, params={"labeller": "ann"}).raise_for_status()
    seconds, after = [], -1
    for _ in range(REQUESTS):
        begin = time.perf_counter()
        items = client.get(path, params={"labeller": "ann", "after": after}).raise_for_status().json()["items"]
        seconds.append(time.perf_counter() - begin)
        after = items[-1]["rank"] if items else -1
    return seconds

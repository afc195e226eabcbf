"""`starloom label` as people use it: many at once, and killed in the middle; and what a training gets of it."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from flows.publish_labels import publish_labels
from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.label_versions import LabelQueueError
from tasks.labelling.queues import read_label_queue
from tasks.pages.exposure import token_file
from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import processes_folder
from tasks.server.process_guard import living_processes
from tasks.store.dataset import Dataset
from tests.answer_writers import make_answer
from tests.small_candidates import SCHEME, publish_candidates

COUNT, LABELLERS, PATIENCE_S = 60, 10, 240


@pytest.fixture
def night(flows_here: Workspace) -> Workspace:
    publish_candidates(flows_here, "night", ["bogus"] * COUNT, ["cell"] * COUNT, ["train"] * COUNT, real=[True] * COUNT)
    return flows_here


@contextmanager
def labelling(*words: str) -> Iterator[tuple[subprocess.Popen[str], dict]]:
    """Run the command; give its process and its first line."""
    command = [sys.executable, "-m", "flows.cli.command", "label", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, json.loads(process.stdout.readline())  # type: ignore[union-attr]
        finally:
            process.kill()


def label_all(address: str, labeller: str) -> list[str]:
    """Answer all that comes as real; return the ids of what was acknowledged. Sends again what was not."""
    acknowledged: list[str] = []
    deadline = time.monotonic() + PATIENCE_S
    with httpx.Client(base_url=f"{address}/api/night/random", timeout=30) as client:
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                items = client.get("/next", params={"labeller": labeller, "count": 2}).json()["items"]
                if not items:
                    return acknowledged
                for item in items:
                    body = {"id": f"{labeller}-{item['id']}", "labeller": labeller, "sample": item["id"]}
                    client.post("/answers", json={**body, "action": "answer", "label": "real"}).raise_for_status()
                    acknowledged.append(body["id"])
            time.sleep(0.05)
    raise TimeoutError(f"{labeller} is not done: {len(acknowledged)} answers")


def test_ten_people_label_through_a_kill_and_the_flow_publishes_what_they_said(night: Workspace) -> None:
    words = ["-p", "dataset=night", "-p", f"count={COUNT}", "-p", "overlap=1", "-p", "gold_share=0"]
    with ThreadPoolExecutor(LABELLERS) as pool:
        with labelling(*words) as (process, found):
            assert (found["items"], found["source"], found["blind"]) == (COUNT, "random", True)
            url = urlsplit(found["url"])
            assert (url.hostname, url.path) == ("127.0.0.1", "/label/night/random")
            address = f"http://{url.netloc}"
            (served,) = living_processes(processes_folder(night))
            assert served["url"] == address
            work = [pool.submit(label_all, address, f"person {number}") for number in range(LABELLERS)]
            log = AnswerLog.of(night, "night")
            while len(log.rows()) < COUNT // 2:
                time.sleep(0.02)
            process.kill()
            process.wait()
        assert len(log.rows()) < 2 * COUNT
        with labelling(*words, "-p", f"port={url.port}"):
            acknowledged = [name for each in work for name in each.result(PATIENCE_S)]
    names = [row.answer.id for row in AnswerLog.of(night, "night").rows()]
    assert len(names) == len(set(names))
    assert set(acknowledged) <= set(names)
    queue = read_label_queue(night, "night", "random")
    counts = Counter(row.answer.sample for row in log.rows())
    assert set(counts) == set(queue.ids)
    assert min(counts.values()) == 2
    summary = publish_labels(dataset="night", name="people")
    assert (summary["decided"], summary["changed"], summary["version"]) == (COUNT, COUNT, 2)
    assert set(Dataset.open(night, "night").labels(SCHEME, "people")["label"].to_pylist()) == {"real"}


def test_off_loopback_it_warns_and_opens_with_the_token_alone(night: Workspace) -> None:
    command = [sys.executable, "-m", "flows.cli.command", "label", "--host", "0.0.0.0", "--host-name", "label.example"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            found = json.loads(process.stdout.readline())  # type: ignore[union-attr]
            warning, link = (process.stderr.readline().strip() for _ in range(2))  # type: ignore[union-attr]
            address = urlsplit(found["url"])
            assert "can be reached by other machines (host 0.0.0.0)" in warning
            token = token_file(night).read_text()
            assert link == f"open: http://label.example:{address.port}/?token={token}"
            assert token not in str(found) + str(living_processes(processes_folder(night)))
            local = f"http://127.0.0.1:{address.port}/"
            assert httpx.get(local, timeout=60).status_code == 401
            assert httpx.get(local, headers={"Authorization": f"Bearer {token}"}, timeout=60).status_code == 200
        finally:
            process.kill()


def test_a_dataset_without_answers_gets_no_label_version(night: Workspace) -> None:
    AnswerLog.of(night, "night").append(make_answer("elsewhere", queue="of another scheme"))
    with pytest.raises(LabelQueueError, match="no answer with a class yet"):
        publish_labels(dataset="night")
    assert Dataset.open(night, "night").version == 1

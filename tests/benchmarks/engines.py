"""`python -m tests.benchmarks.engines FOLDER`: nights of `nightly-retrain` in a folder and on a group's engines.

The same nights of small triplets go through two workspaces. One is a folder with the embedded databases, and each night
is a command of its own. The other is on an object store (moto), with Prefect and MLflow on PostgreSQL, and the nights
are runs of deployments of two work pools, whose two workers `starloom up` starts. Planted are a process that is killed
after it had added its night to the training set, a mislabelled night, which is accepted later, a night that is given
twice, one that is delivered again with other stamps, and an alias that is moved back by hand to the first champion, a
poor one.

Given again, the month in the folder goes on where it was; the group's servers keep nothing, and theirs begins anew. The
last line is a JSON object; the exit status is 1 if a night or what stands in the end is not the same in both.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import yaml

from tasks.inbox.deliveries import MARKER
from tasks.nightly.night_record import NightRecord, open_record
from tasks.runtime.workspace import ENVIRONMENT_NAME, STATE_ENVIRONMENT_NAME, Workspace
from tasks.server.group_server import PREFECT_VARIABLE
from tasks.server.slots import WORKERS_RUN
from tasks.store.dataset import Dataset
from tasks.tracking.model_registry import resolve_model
from tasks.tracking.tracking_store import MLFLOW_VARIABLE
from tests.benchmarks.month import DATASET, FIRST, await_append, move_alias
from tests.benchmarks.scene import COMMAND, flow_words
from tests.drill.workspace_state import comparable, differences, read_state, table_digest
from tests.group_runs import ENDED, read_run, start_deployment, wait_for_end
from tests.object_servers import environment, moto_server, settings
from tests.postgres import group_servers, missing_postgres, postgres_server
from tests.test_flows.conftest import write_triplets

NIGHTS = 30
FIRST_CANDIDATES, OF_NIGHT = 6400, 160
NIGHT = {"source": "triplets", "network": "simple", "epochs": 1, "device": "cpu"}
KILLED, MISLABELLED, TWICE, ACCEPTED, CHANGED, MOVED = 3, 4, 5, 6, 7, 8
"""Numbers of nights, from 1; before `ACCEPTED` the mislabelled one is accepted, before `MOVED` the alias is moved."""
PLANTED = {
    KILLED: "killed",
    MISLABELLED: "half of the labels flipped",
    TWICE: "given twice",
    ACCEPTED: f"after night {MISLABELLED} was accepted",
    CHANGED: "delivered again with other stamps",
    MOVED: "after the alias was moved back",
}
NOISE = 80.0
"""Of the stamps, whose shapes are 20 to 200 high."""
POOR = {"network": "simple", "optimizer": "adadelta", "epochs": 1, "batch_size": 1024, "device": "cpu"}
"""The training of the first champion, of three small steps."""
WRONG = 0.5
POOLS = ("local", "gpu")
"""Work pools of the workers that `starloom up` starts on a machine with a GPU; here it is told of one."""
PROJECT = Path(__file__).parents[2]
BUCKET = "survey"
DIGESTS_OF_MODEL = {"model_sha256", "threshold_version"}
"""Columns of scores that hold a digest of the model's file."""


@dataclass(frozen=True)
class Folder:
    """The embedded default: commands in a folder.

    Attributes
    ----------
    workspace : Workspace
    inbox, log : Path
    variables : mapping
        The environment that leads to the workspace.
    """

    workspace: Workspace
    inbox: Path
    log: Path
    variables: Mapping[str, str]

    def command(self, *words: str) -> None:
        """Run the command in the workspace."""
        with self.log.open("ab") as stream:
            subprocess.run([*COMMAND, *words], env=self.shell, cwd=PROJECT, stdout=stream, stderr=stream, check=True)

    @property
    def shell(self) -> dict[str, str]:
        """The environment of a process: this one's, but for what leads to other servers, and the workspace's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "STARLOOM_"))}
        return kept | {"PYTHONPATH": str(PROJECT)} | dict(self.variables)

    def parameters(self, number: int) -> dict[str, Any]:
        """Return the parameters of a night."""
        return {"night": date_of(number), "path": str(self.inbox), **NIGHT}

    def run(self, number: int) -> None:
        """Work on a night."""
        self.command(*flow_words("nightly-retrain", **self.parameters(number)))

    def kill(self, number: int) -> None:
        """Start a night, and kill it when it has added its rows to the training set."""
        words = flow_words("nightly-retrain", **self.parameters(number))
        with subprocess.Popen([*COMMAND, *words], env=self.shell, cwd=PROJECT, stderr=subprocess.DEVNULL) as process:
            await_append(self.record(number), lambda: process.poll() is not None)
            process.kill()

    def record(self, number: int) -> NightRecord:
        """Return the record of a night."""
        return open_record(self.workspace, DATASET, date_of(number))

    def by(self, number: int) -> str:
        """What ran a night."""
        return "command"


@dataclass(frozen=True)
class Group(Folder):
    """A group's engines: runs of deployments, by a worker of each pool in turn."""

    api: str = ""
    runs: dict[int, list[str]] = field(default_factory=dict)

    def run(self, number: int) -> None:
        """Work on a night."""
        ended = wait_for_end(self.api, self._start(number))
        if ended["state_type"] != "COMPLETED":
            raise RuntimeError(f"night {date_of(number)}, flow run {ended['name']}: {ended['state']}")

    def kill(self, number: int) -> None:
        """Start a night, and kill its process, but not the worker, when it has added its rows to the training set."""
        run = self._start(number)
        await_append(self.record(number), lambda: read_run(self.api, run)["state_type"] in ENDED)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(WORKERS_RUN) == run:
                    process.send_signal(signal.SIGKILL)
        wait_for_end(self.api, run)

    def by(self, number: int) -> str:
        """Return the pools whose workers ran a night."""
        return ", ".join(str(read_run(self.api, run)["work_pool_name"]) for run in self.runs[number])

    def _start(self, number: int) -> str:
        started = self.runs.setdefault(number, [])
        pool = POOLS[sum(map(len, self.runs.values())) % 2]
        started.append(start_deployment(self.api, "nightly-retrain", pool, **self.parameters(number)))
        return started[-1]


def main() -> int:
    """Run the nights that are missing, compare them, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engines", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nights", type=int, default=NIGHTS)
    options = parser.parse_args()
    if (missing := missing_postgres()) is not None:
        parser.error(missing)
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with group_on(folder) as group:
        here = folder / "workspace"
        single = Folder(Workspace(here), folder / "inbox", folder / "folder.log", {ENVIRONMENT_NAME: str(here)})
        if not single.record(1).is_finished:
            shutil.rmtree(here, ignore_errors=True)
        engines = (single, group)
        survey = folder / "survey"
        shutil.rmtree(survey, ignore_errors=True)
        write_triplets(survey, 1 - np.arange(FIRST_CANDIDATES) % 2, prefix="s", noise=NOISE)
        try:
            in_both(engines, partial(begin, survey=survey))
            for number in range(1, options.nights + 1):
                work(engines, number)
        finally:
            single.command("down")
        result = compare(engines, options.nights)
    print(json.dumps(result | {"seconds": round(time.monotonic() - begun)}))
    return 1 if result["differences"] else 0


@contextlib.contextmanager
def group_on(folder: Path) -> Iterator[Group]:
    """Run a group's servers and `starloom up` with its two workers."""
    servers_folder, project = folder / "servers", folder / "project"
    for each in (servers_folder, project, folder / "state"):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir()
    write_project(project)
    with (
        postgres_server() as postgres,
        group_servers(postgres, servers_folder) as servers,
        moto_server(BUCKET) as endpoint,
    ):
        variables = {
            **settings(endpoint),
            ENVIRONMENT_NAME: f"s3://{BUCKET}/month",
            STATE_ENVIRONMENT_NAME: str(folder / "state"),
            PREFECT_VARIABLE: servers.prefect,
            MLFLOW_VARIABLE: servers.mlflow,
            "CUDA_VISIBLE_DEVICES": "0",
        }
        with environment(variables):
            workspace = Workspace.current()
        group = Group(workspace, folder / "inbox", folder / "group.log", variables, servers.prefect)
        with (
            group.log.open("ab") as log,
            subprocess.Popen(
                [*COMMAND, "up"], env=group.shell, cwd=project, stdout=subprocess.PIPE, stderr=log
            ) as services,
        ):
            try:
                assert services.stdout is not None
                assert services.stdout.readline(), f"starloom up has failed: {group.log}"
                yield group
            finally:
                services.send_signal(signal.SIGINT)
                services.wait()


def write_project(folder: Path) -> None:
    """Write the product's deployment of `nightly-retrain`, without its schedule, for each of the pools."""
    known = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))
    (nightly,) = (each for each in known["deployments"] if each["name"] == "nightly-retrain")
    del nightly["schedules"]
    made = [nightly | {"name": pool, "work_pool": {"name": pool}} for pool in POOLS]
    (folder / "prefect.yaml").write_text(yaml.safe_dump({"name": "engines", "deployments": made}), encoding="utf-8")
    shutil.copy(PROJECT / "pyproject.toml", folder)


def in_both(engines: tuple[Folder, Group], do: Callable[[Folder], None]) -> None:
    """Do something in both workspaces at once."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(do, engines))


def begin(engine: Folder, survey: Path) -> None:
    """Build the training set, and train a poor first champion."""
    if engine.record(1).is_finished:
        return
    engine.command(*flow_words("build-realbogus-dataset", dataset=DATASET, source="triplets", path=survey))
    engine.command(*flow_words("train-realbogus", dataset=DATASET, **POOR))


def work(engines: tuple[Folder, Group], number: int) -> None:
    """Deliver a night, and work on it where that is missing."""
    started = time.monotonic()
    for engine in engines:
        if number == MOVED and not engine.record(number).is_finished:
            with environment(engine.variables):
                move_alias(engine.workspace)
    for revision in range(1, 3 if number == CHANGED else 2):
        deliver(engines[0].inbox, number, revision)
        in_both(engines, partial(work_on, number=number, revision=revision))
    told = [str((engine.record(number).summary or {}).get("state")) for engine in engines]
    print(date_of(number), *told, f"{time.monotonic() - started:.0f} s", sep="  ", file=sys.stderr, flush=True)


def work_on(engine: Folder, number: int, revision: int) -> None:
    """Work on a delivery in one workspace, unless it has been."""
    record = engine.record(number)
    if record.is_finished and record.revision >= revision:
        return
    if number == ACCEPTED:
        engine.command(*flow_words("accept", night=date_of(MISLABELLED), reason="looked at"))
    if number == KILLED:
        engine.kill(number)
    engine.run(number)
    if number == TWICE:
        before = engine.record(number).summary
        engine.run(number)
        assert engine.record(number).summary == before, "the second delivery of the same night did work again"


def deliver(inbox: Path, number: int, revision: int) -> None:
    """Write a night of triplets into the inbox."""
    visit = inbox / date_of(number) / "v1"
    shutil.rmtree(visit, ignore_errors=True)
    seed = 10 * number + revision
    true = 1 - np.arange(OF_NIGHT) % 2
    flips = np.random.default_rng(seed).random(OF_NIGHT) < (WRONG if number == MISLABELLED else 0.0)
    write_triplets(visit, np.where(flips, 1 - true, true), seed=seed, prefix=f"n{seed}", noise=NOISE)
    (visit / MARKER).touch()


def date_of(number: int) -> str:
    """Return the date of a night by its number, from 1."""
    return (FIRST + timedelta(days=number - 1)).isoformat()


def compare(engines: tuple[Folder, Group], nights: int) -> dict[str, Any]:
    """Print a row a night, and return counts and differences."""
    numbers = range(1, nights + 1)
    found = []
    for engine in engines:
        with environment(engine.variables):
            found.append(({date_of(number): night_facts(engine, number) for number in numbers}, final_state(engine)))
    (expected, state), (of_group, state_of_group) = found
    differing = {night: differences(expected[night], of_group[night]) for night in expected}
    for number, (night, facts) in zip(numbers, expected.items(), strict=True):
        told = facts["summary"]
        champion, training_set = str(told["champion"]).removeprefix("models:/"), facts["training_set"]
        cells = [told["state"], told["decision"] or "-", champion, training_set["stored"], training_set["digest"][:8]]
        cells += [told["label_version"] or "original labels", engines[1].by(number), PLANTED.get(number, "")]
        print(night, *cells, "DIFFERS" if differing[night] else "same", sep=" | ")
    lines = [f"{night}: {line}" for night, each in differing.items() for line in each]
    lines += [f"in the end: {line}" for line in differences(state, state_of_group)]
    print(*lines, sep="\n")
    decisions = [facts["summary"]["decision"] for facts in expected.values()]
    return {
        "nights": nights,
        "same_nights": sum(not each for each in differing.values()),
        "decisions": {verdict: decisions.count(verdict) for verdict in ("PROMOTE", "HOLD", "REJECT")},
        "datasets": len(state["datasets"]),
        "runs_by_pool": {pool: sum(engines[1].by(n).split(", ").count(pool) for n in numbers) for pool in POOLS},
        "differences": lines,
    }


def night_facts(engine: Folder, number: int) -> dict[str, Any]:
    """Return the summary of a night, its steps, and the training set after it."""
    record = engine.record(number)
    grown = Dataset.open(engine.workspace, f"{DATASET}@{record.steps['append']['version']}")
    training_set = {"version": grown.version, "digest": grown.digest, "stored": grown.manifest["stored"]}
    summary = plain(engine, record.summary)
    model, _, rule, _ = summary["threshold_version"].split()  # the others are digests of the model's file
    summary["threshold_version"] = f"{model} {rule}"
    return {"summary": summary, "steps": sorted(record.steps), "training_set": training_set}


def final_state(engine: Folder) -> dict[str, Any]:
    """Return what stands in the workspace: datasets with their label versions, scores, models, decisions, runs.

    The file of a model has the time at which it was saved, so its weights are compared in place of its digest.
    """
    workspace = engine.workspace
    state: dict[str, Any] = plain(engine, read_state(workspace))
    state["scores"] = dict(scores_digest(workspace.scores, name) for name in state["scores"])
    versions = [(name, number) for name, facts in state["models"].items() for number in facts["versions"]]
    weights = {f"{name}/{number}": weights_digest(workspace, f"models:/{name}/{number}") for name, number in versions}
    return state | {"weights": weights}


def scores_digest(folder: Path, name: str) -> tuple[str, str]:
    """Return the name of a table of scores and its sha256, both without digests of a model's file."""
    table = pq.read_table(folder / name)
    kept = table.drop_columns([column for column in table.column_names if column in DIGESTS_OF_MODEL])
    digest = table_digest(kept)
    return re.sub(r"\.[0-9a-f]{8}\.parquet$", f".{digest[:8]}.parquet", name), digest


def weights_digest(workspace: Workspace, uri: str) -> str:
    """Return the sha256 of a model's weights."""
    with zipfile.ZipFile(resolve_model(workspace, uri, None).folder / "model.keras") as parts:
        return hashlib.sha256(parts.read("model.weights.h5")).hexdigest()


def plain(engine: Folder, value: Any) -> Any:
    """Return a value without what tells a time or names the workspace, its numbers rounded."""
    return comparable(value, engine.workspace)


if __name__ == "__main__":
    sys.exit(main())

"""The page of a run: its name, progress while it runs, what to do after a failure."""

from typing import Any

import pytest
from prefect import flow, get_client
from prefect.client.schemas.filters import ArtifactFilter
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.runtime import flow_run as present_run

from flows.cli.run_page import FAILURE, failure_text, run_name, run_page
from tasks.runtime import progress as module
from tasks.runtime.progress import progress
from tasks.runtime.run_artifacts import LiveProgress


def artifacts_of(flow_run: Any) -> list[Artifact]:
    asked = ArtifactFilter.model_validate({"flow_run_id": {"any_": [str(flow_run)]}})
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=asked)


def read_run(flow_run: Any) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(flow_run)


@flow(name="measure", **run_page("dataset", "model", "count"))
def measure(
    dataset: str = "sky", count: int | None = None, model: str | None = None, failure: str | None = None
) -> tuple[Any, list[Artifact]]:
    """Return the id of the run, and its artifacts in the middle of a stage."""
    with progress("collecting all", 4) as advance:
        advance(2, rejected=1)
        halfway = artifacts_of(present_run.id)
        advance(2, rejected=0)
    if failure:
        raise ValueError(failure)
    return present_run.id, halfway


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress goes to the page with every call, and is watched in this test only."""
    monkeypatch.setattr(LiveProgress, "FIRST_S", 0.0)
    monkeypatch.setattr(LiveProgress, "APART_S", 0.0)
    monkeypatch.setattr(module, "_makers", [])


def test_a_run_is_named_by_its_values_and_shows_its_progress_while_it_runs(prefect_api: str, at_once: None) -> None:
    flow_run, [halfway] = measure(count=7)
    assert read_run(flow_run).name == "sky 7"
    assert (halfway.type, halfway.key, halfway.data) == ("progress", "collecting-all", 50)
    [ended] = artifacts_of(flow_run)
    assert (ended.id, ended.data) == (halfway.id, 100)
    assert str(ended.description).startswith("collecting all: 4 of 4, in 0 s")
    assert str(ended.description).endswith("1 rejected")


def test_a_failed_run_shows_its_error_and_what_to_do(prefect_api: str, at_once: None) -> None:
    state = measure(dataset="my sky", failure="no sky tonight", return_state=True)
    assert state.is_failed()
    flow_run = state.state_details.flow_run_id
    shown = {artifact.key: artifact for artifact in artifacts_of(flow_run)}
    text = str(shown[FAILURE].data)
    assert text.startswith("**error:** no sky tonight\n")
    assert "starloom run measure -p 'dataset=my sky' -p 'failure=no sky tonight'" in text
    assert read_run(flow_run).name == "my sky"


def test_names_leave_out_what_is_null_and_shorten_paths_and_lists() -> None:
    named = ("dataset", "path", "networks", "model")
    values = {"dataset": "sky", "path": "/data/nights/a.npy", "networks": ["cnn", "vit"], "model": None}
    assert run_name("flow", named, values) == "sky a.npy cnn,vit"
    assert run_name("flow", named, dict.fromkeys(named)) == "flow"
    assert run_name("flow", ("model",), {"model": "models:/realbogus/3"}) == "models:/realbogus/3"


def test_a_failed_run_names_the_command_and_the_doctor() -> None:
    text = failure_text("no space", "starloom run measure")
    assert "**error:** no space" in text
    assert "        starloom run measure\n" in text
    assert "starloom doctor" in text

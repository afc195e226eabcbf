"""The aliases of registered models: the newest challenges, one is the champion until another is promoted."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from tasks.runtime.workspace import Workspace
from tasks.tracking.database import lock
from tasks.tracking.mlflow_runs import open_run
from tasks.tracking.model_registry import ModelRef, UnknownModelError, promote, resolve_model

NAME = "galaxy-promoted"


@pytest.fixture(scope="module")
def versions(tracked_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> list[ModelRef]:
    """Three versions of one name."""
    refs = []
    for mark in ("first", "second", "third"):
        folder = tmp_path_factory.mktemp(mark)
        (folder / "model.keras").write_bytes(mark.encode())
        (folder / "model.json").write_text(json.dumps({"mark": mark}))
        options = {"problem": "galaxy", "params": {}, "tags": {}, "dataset": None}
        with open_run(tracked_workspace, run_name=mark, **options) as run:
            model = SimpleNamespace(output_shape=(None, 2))
            refs.append(run.log_model(model, folder, NAME, np.zeros((1, 8, 8, 3), np.uint8)))
    return refs


def test_the_first_version_stays_champion_until_another_is_promoted(
    tracked_workspace: Workspace, versions: list[ModelRef]
) -> None:
    first, second, third = versions
    assert [ref.version for ref in versions] == [1, 2, 3]
    assert resolve_model(tracked_workspace, "champion", NAME) == first
    for model, expected in (
        (second.uri, second),
        (third.run_id, third),
        (f"{NAME}@champion", third),
        (f"models:/{NAME}/1", first),
        (f"{NAME}@challenger", third),
    ):
        assert promote(tracked_workspace, model) == expected
        assert resolve_model(tracked_workspace, "champion", NAME) == expected
    assert promote(tracked_workspace, "challenger", NAME) == third
    assert resolve_model(tracked_workspace, "challenger", NAME) == third


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (f"models:/{NAME}/7", f"there is no model {NAME}, version 7"),
        (f"{NAME}@nightly", f"there is no model {NAME}@nightly"),
        ("galaxy-absent@champion", "there is no model galaxy-absent@champion"),
        ("e" * 32, f"run {'e' * 32} has no registered model"),
        ("champion", "alias alone"),
    ],
)
def test_an_unknown_model_is_not_promoted(
    tracked_workspace: Workspace, versions: list[ModelRef], model: str, message: str
) -> None:
    before = resolve_model(tracked_workspace, "champion", NAME)
    with pytest.raises(UnknownModelError, match=message):
        promote(tracked_workspace, model)
    assert resolve_model(tracked_workspace, "champion", NAME) == before


def test_the_holder_of_the_lock_may_take_it_again(tmp_path) -> None:
    workspace = Workspace(tmp_path)
    with lock(workspace), lock(workspace):
        assert lock(workspace).is_locked
    assert not lock(workspace).is_locked

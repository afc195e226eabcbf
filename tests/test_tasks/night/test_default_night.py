"""The night that is scored by default: the newest that was made or built without labels."""

import json
import os

import pytest

from tasks.night.default_night import newest_night
from tasks.night.models import NightError
from tasks.runtime.workspace import Workspace
from tests.small_candidates import publish_candidates


def test_without_a_path_the_newest_night_is_scored_and_without_any_the_remedy_is_named(workspace: Workspace) -> None:
    with pytest.raises(NightError, match=r"there is no night to score in .*: make one with `starloom run make-night`"):
        newest_night(workspace)
    for number, name in enumerate(("late.zarr", "early.zarr")):
        folder = workspace.root / "nights" / name
        folder.mkdir(parents=True)
        (folder / "made.json").write_text('{"shards": 1}')
        os.utime(folder / "made.json", ns=(1, 10 - number))
    assert newest_night(workspace) == str(workspace.root / "nights" / "late.zarr")
    publish_candidates(workspace, "labelled", ["real", "bogus"], ["a", "b"], ["train", "test"])
    assert newest_night(workspace).endswith("late.zarr"), "a labelled dataset is no night"
    alerts = publish_candidates(workspace, "alerts", [None, None], ["a", "b"], ["train", "test"])
    manifest = json.loads((alerts.path / "manifest.json").read_text())
    manifest["schemes"]["real-bogus"]["counts"] = {"bogus": 0, "real": 0}
    (alerts.path / "manifest.json").write_text(json.dumps(manifest))
    assert newest_night(workspace) == str(workspace.datasets / "alerts")

"""The flow `backfill-class-scheme`: a plan first, on the log and the run's page, and nothing more if that is wanted."""

import json
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from flows.backfill_class_scheme import backfill_class_scheme
from flows.build_galaxy_dataset import build_galaxy_dataset
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.small_backfills import KINDS, write_archive, write_scheme


def plans_shown() -> list[dict[str, str]]:
    """The artifacts ``plan`` of the runs so far, the newest last."""
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/filter", json={"artifacts": {"key": {"any_": ["plan"]}}})
    found = sorted(answer.json(), key=lambda item: item["created"])
    return [{row["name"]: row["value"] for row in json.loads(item["data"])} for item in found]


def test_the_plan_is_shown_first_and_may_be_all(
    flows_here: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = write_archive(tmp_path / "archive", 40)
    scheme = write_scheme(tmp_path, "edges", (KINDS[0], KINDS[3]))
    request = {"dataset": "four", "catalog": str(table), "source": "archive", "size_px": 16}
    request |= {"images": str(table.parent / "images"), "scheme": write_scheme(tmp_path, "first", KINDS[:2])}
    build_galaxy_dataset(**request)
    planned = backfill_class_scheme(dataset="four", scheme=scheme, plan_only=True)
    assert (planned["version"], planned["fetched"], planned["labelled"]) == (1, 0, 0)
    assert Dataset.open(flows_here, "four").version == 1
    assert "to fetch 10; to label 20; to drop 20 (scheme:clockwise 10, scheme:anticlockwise 10)" in caplog.text
    assert plans_shown()[-1]["to_fetch"] == "10"
    summary = backfill_class_scheme(dataset="four", scheme=scheme)
    assert summary["plan"] == planned["plan"]
    done = {"dataset": "four", "version": 2, "scheme": "edges", "fetched": 10, "labelled": 20}
    assert {name: summary[name] for name in done} == done
    assert summary["dropped"] == planned["plan"]["to_drop"]
    assert Dataset.open(flows_here, "four").labels("edges")["label"].null_count == 20
    assert (flows_here.reports / "four-000002.html").exists()

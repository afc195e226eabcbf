"""What a stage says of its outcome."""

import logging
from pathlib import Path

import pytest

from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import processes_folder
from tasks.server.process_guard import UP, ProcessEntry
from tasks.stages.datasets.show import page_address, warn_of_empty_classes


def test_a_class_without_objects_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_empty_classes({"E": 3, "S": 0, "SB": 1}, "own", "sky")
    assert [record.getMessage() for record in caplog.records] == [
        "class 'S' of scheme own has no object in dataset 'sky'"
    ]


def test_pages_are_linked_on_the_home_page_where_it_runs_and_as_files_else(workspace: Workspace) -> None:
    page = workspace.datasets / "sky" / "versions" / "000001" / "validation" / "index.html"
    assert page_address(workspace, page) == page.as_uri()
    entry = ProcessEntry.announce(processes_folder(workspace), kind=UP)
    assert page_address(workspace, page) == page.as_uri(), "the home page has not started"
    entry.add(addresses={"home": "http://127.0.0.1:5200"})
    served = "http://127.0.0.1:5200/datasets/sky/versions/000001/validation/index.html"
    assert page_address(workspace, page) == served
    assert page_address(workspace, Path("/elsewhere/index.html")) == "file:///elsewhere/index.html"
    entry.withdraw()
    assert page_address(workspace, page) == page.as_uri()

"""What a run's page links to."""

from pathlib import Path

from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import processes_folder
from tasks.server.process_guard import UP, ProcessEntry
from tasks.stages.show import page_address


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

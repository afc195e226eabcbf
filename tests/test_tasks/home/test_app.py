"""The service over HTTP: the page is whole and names no other host, reports come from their folder alone."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from tasks.home.app import create_app
from tasks.home.status import WorkspaceStatus
from tasks.reports.page import script_source
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.served_pages import served
from tests.small_home import NIGHTS

VOID = {"meta", "link", "br"}
ESCAPES = (
    "../mlflow.db",
    "..%2fmlflow.db",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%2f..%2f..%2f..%2fetc%2fhostname",
    "%2fetc%2fhostname",
    "outside.html",
    "linked/outside.html",
    "secret.txt",
    "none.html",
    "%00.html",
    f"{'a' * 5000}.html",
    "",
)


class Page(HTMLParser):
    """The elements of a page; every one is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        self.text += text

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@contextmanager
def client_of(workspace: Workspace) -> Iterator[httpx.Client]:
    with served(create_app(workspace)) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def client(filled: Workspace) -> Iterator[httpx.Client]:
    with client_of(filled) as client:
        yield client


@pytest.mark.parametrize("is_filled", [True, False])
def test_the_page_is_whole_and_can_be_reached_by_its_headings(
    is_filled: bool, filled: Workspace, workspace: Workspace
) -> None:
    with client_of(filled if is_filled else workspace) as client:
        page = Page(client.get("/").text)
    ids = page.values("id")
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert set(page.values("aria-labelledby")) <= set(ids)
    assert page.count("table") == page.count("caption")
    assert {
        value.partition(":")[0] for value in (*page.values("href"), *page.values("src")) if value[0] not in "/#"
    } <= {"data"}
    assert {value[1:] for value in page.values("href") if value[0] == "#"} <= set(ids)
    assert page.values("style") == []
    assert ("Begin with starloom demo" in page.text) != is_filled


def test_the_page_shows_what_the_state_says(client: httpx.Client, status: WorkspaceStatus) -> None:
    page = Page(client.get("/").text)
    for row in status.datasets.rows:
        assert f"{row.name}@{row.version}" in page.text
    for told in (
        "PROMOTE realbogus/2",
        "chip01 seeing: 4.1 instead of 3.4",
        f"{NIGHTS - 1} earlier nights",
        "0.762 (0.61 to 0.94)",
        "realbogus/1 → realbogus/4",
        "Rejected: nan_plane 5, edge 2",
        "Dataset sky, version 3 <&>",
        "simulated pixels, votes labels",
        "3 of 20",
    ):
        assert told in page.text
    assert page.text.count("galaxy-deck-3/1") == 1


def test_the_state_is_told_as_json(client: httpx.Client, status: WorkspaceStatus) -> None:
    told = WorkspaceStatus.model_validate_json(client.get("/status.json").text)
    for name in ("datasets", "nights", "models", "decisions", "queues", "reports"):
        assert getattr(told, name) == getattr(status, name)


def test_the_live_update_is_the_sections_of_the_page(client: httpx.Client) -> None:
    whole, sections = client.get("/").text, client.get("/sections").text
    assert sections in whole
    parts = Page(sections).values("data-part")
    assert len(parts) == len(set(parts)) == 9


def test_reports_are_served_as_they_are_with_their_own_script_and_may_load_nothing(
    client: httpx.Client, filled: Workspace
) -> None:
    for row in ("nights-nightly.html", "compare-3.html"):
        reply = client.get(f"/reports/{row}")
        assert reply.content == (filled.reports / row).read_bytes()
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in policy
        assert f"script-src {script_source()};" in policy
    assert client.get("/scores/2026-11-28.parquet").status_code == 200
    assert "script-src 'self'" in client.get("/").headers["content-security-policy"]


def test_nothing_outside_of_the_reports_is_served(own: Workspace, tmp_path: Path) -> None:
    (tmp_path / "outside.html").write_text("secret")
    (own.reports / "outside.html").symlink_to(tmp_path / "outside.html")
    (own.reports / "linked").symlink_to(tmp_path)
    (own.reports / "secret.txt").write_text("secret")
    with client_of(own) as client:
        place = HTTPConnection(client.base_url.host, client.base_url.port or 0, timeout=30)
        for name in ESCAPES:
            place.request("GET", f"/reports/{name}")  # sent as it is written: a client would resolve the dots
            reply = place.getresponse()
            assert (reply.status, b"secret" in reply.read()) == (404, False), name
        place.close()


@pytest.mark.parametrize(
    "path", ["/datasets/sky/CURRENT", "/prefect/server.json", "/scores/2026-11-28.json", "/labelling/x.csv"]
)
def test_no_other_folder_is_served(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_validation_of_a_version_opens_from_its_card_and_nothing_else_of_the_dataset_does(
    own: Workspace,
) -> None:
    dataset = Dataset.open(own, "sky")
    folder, version = dataset.validation_page.parent, dataset.path.name
    below = f"sky/versions/{version}/validation"
    (folder / "data_docs" / "static").mkdir(parents=True)
    (folder / "data_docs" / "static" / "own.css").write_text("p { color: red }")
    (folder / "index.html").write_text('<a href="data_docs/static/own.css">docs</a>')
    (folder / "outside.html").symlink_to(own.root / "mlflow.db")
    (folder.parent / "secret.html").write_text("")
    with client_of(own) as client:
        assert f"/datasets/{below}/index.html" in Page(client.get("/").text).values("href")
        for name in ("index.html", "data_docs/static/own.css"):
            reply = client.get(f"/datasets/{below}/{name}")
            assert reply.text == (folder / name).read_text()
            assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
            assert "script-src" not in reply.headers["Content-Security-Policy"]
        for escape in (*ESCAPES, "../manifest.json", "..%2fsecret.html", "../../../CURRENT"):
            assert client.get(f"/datasets/{below}/{escape}").status_code == 404
        for other in ("%2e%2e", "..", "Sky", "none"):
            assert client.get(f"/datasets/{other}/versions/{version}/validation/index.html").status_code == 404
        assert client.get("/datasets/sky/versions/%2e%2e/validation/index.html").status_code == 404
        assert client.get("/datasets/sky/CURRENT").status_code == 404


def test_a_workspace_without_reports_has_none(workspace: Workspace) -> None:
    with client_of(workspace) as client:
        assert client.get("/reports/decisions.html").status_code == 404

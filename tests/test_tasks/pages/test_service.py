"""What every service of pages refuses and sends, whatever its pages are."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.responses import Response

from tasks.pages.guard import HEALTH, MOST_BODY_BYTES
from tasks.pages.service import new_service
from tests.served_pages import served


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    (tmp_path / "own.css").write_text("p {}")
    app = new_service(tmp_path)

    @app.post("/post")
    def take() -> str:
        return "taken"

    @app.get("/other")
    def send_other() -> Response:
        return Response("", headers={"Content-Security-Policy": "default-src 'none'"})

    with served(app) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def test_another_site_can_neither_post_nor_reach_by_a_name_of_its_own(client: httpx.Client) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/post", headers=headers).status_code == 403
    assert client.get(HEALTH, headers={"Host": "evil.example"}).status_code == 400
    assert client.post("/post").json() == "taken"
    assert client.get(HEALTH).json() == {"status": "ok"}


def test_a_body_that_is_large_or_has_no_length_is_not_read(client: httpx.Client) -> None:
    assert client.post("/post", content=bytes(MOST_BODY_BYTES)).status_code == 200
    assert client.post("/post", content=bytes(MOST_BODY_BYTES + 1)).status_code == 413
    assert client.post("/post", content=iter([b"a", b"b"])).status_code == 413


def test_pages_may_load_from_no_other_host_and_a_page_may_be_stricter(client: httpx.Client) -> None:
    headers = client.get("/static/own.css").headers
    assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert client.get("/style/page.css").status_code == 200
    assert client.get("/other").headers["content-security-policy"] == "default-src 'none'"

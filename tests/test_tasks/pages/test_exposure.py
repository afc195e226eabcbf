"""Pages that other machines can reach: where they listen, the token, and what is asked for without it."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from tasks.backup.contents import is_copied
from tasks.pages.exposure import Exposure, ExposureError, page_token, token_file, token_link
from tasks.pages.guard import COOKIE, HEALTH, Guard
from tasks.pages.service import new_service
from tasks.runtime.workspace import Workspace
from tests.browser import CHROMIUM, headless
from tests.served_pages import served

TOKEN = "a-token-that-is-known-here-only"


def app_with(guard: Guard, folder: Path) -> FastAPI:
    app = new_service(folder, guard)

    @app.get("/")
    def show(queue: str = "none") -> HTMLResponse:
        return HTMLResponse(f"<!doctype html><title>{queue}</title><p id='seen'>seen")

    @app.post("/post")
    def take() -> str:
        return "taken"

    return app


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of pages with a token."""
    with served(app_with(Guard(Exposure("0.0.0.0").allowed_hosts(), TOKEN), tmp_path)) as address:
        yield address


def test_without_the_token_nothing_but_the_health_is_told(address: str) -> None:
    with httpx.Client(base_url=address, timeout=30) as client:
        for method, path in (("GET", "/"), ("GET", "/style/page.css"), ("POST", "/post"), ("GET", f"/?token={TOKEN}x")):
            reply = client.request(method, path)
            assert (reply.status_code, COOKIE in reply.cookies) == (401, False), path
            assert "?token=" in reply.text
        assert client.post(f"/post?token={TOKEN}").status_code == 401, "a link opens pages; it does not post"
        assert client.get("/", headers={"Cookie": f"{COOKIE}={TOKEN}"}).status_code == 401
        assert client.get(HEALTH).json() == {"status": "ok"}


def test_the_link_leaves_a_strict_cookie_that_opens_all_pages_and_no_token_in_the_address(address: str) -> None:
    with httpx.Client(base_url=address, timeout=30) as client:
        reply = client.get("/", params={"queue": "new", "token": TOKEN})
        assert 'url=/?queue=new"' in reply.text
        assert TOKEN not in reply.text
        written = reply.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(written.split("; "))
        assert TOKEN not in written
        assert "<title>none" in client.get("/").text
        assert client.post("/post", headers={"Origin": address}).json() == "taken"
        assert client.post("/post", headers={"Origin": "http://evil.example"}).status_code == 403


def test_a_program_shows_the_token_in_a_header(address: str) -> None:
    with httpx.Client(base_url=address, timeout=30) as client:
        assert client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/", headers={b"Authorization": b"Bearer \xe9"}).status_code == 401
        assert client.get("/", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_follows_the_link_and_stays_in(address: str, tmp_path: Path) -> None:
    with headless(tmp_path / "profile") as browser:
        browser.open(token_link(f"{address}/?queue=new", TOKEN))
        browser.wait_for("document.title == 'new'")
        assert browser.read("location.search + document.cookie") == "?queue=new"
        assert browser.read("fetch('/post', {method: 'POST'}).then(reply => reply.status)") == 200


@pytest.mark.parametrize(
    ("exposure", "allowed", "refused"),
    [
        (Exposure(), ["127.0.0.1", "localhost"], [socket.gethostname(), "10.0.0.1", "evil.example"]),
        (Exposure("0.0.0.0", ("Label.Example",)), [socket.gethostname().lower(), "label.example"], ["evil.example"]),
        (Exposure("10.1.2.3"), ["10.1.2.3", "localhost"], ["10.1.2.4"]),
    ],
)
def test_the_names_that_a_request_may_ask_for(exposure: Exposure, allowed: list[str], refused: list[str]) -> None:
    hosts = exposure.allowed_hosts()
    assert {*allowed} <= hosts
    assert not {*refused} & hosts


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "[", ""])
def test_a_name_that_is_not_the_services_is_refused_with_the_token_too(address: str, host: str) -> None:
    headers = {"Host": host, "Authorization": f"Bearer {TOKEN}"}
    for method, path in (("GET", "/"), ("POST", "/post")):
        assert httpx.request(method, f"{address}{path}", headers=headers, timeout=30).status_code == 400


def test_a_proxy_with_tls_keeps_host_and_origin_together(tmp_path: Path) -> None:
    guard = Guard(Exposure("0.0.0.0", ("label.example",)).allowed_hosts(), TOKEN)
    with served(app_with(guard, tmp_path)) as address, httpx.Client(base_url=address, timeout=30) as client:
        behind = {"Host": "label.example", "X-Forwarded-Proto": "https"}
        assert "Secure" in client.get("/", params={"token": TOKEN}, headers=behind).headers["set-cookie"].split("; ")
        post = behind | {"Origin": "https://label.example", "Authorization": f"Bearer {TOKEN}"}
        assert client.post("/post", headers=post).status_code == 200
        assert client.post("/post", headers=post | {"Origin": "https://label.example:8"}).status_code == 403


def test_only_loopback_is_closed() -> None:
    assert not any(Exposure(host).is_open for host in ("127.0.0.1", "localhost", "::1"))
    assert all(Exposure(host).is_open for host in ("0.0.0.0", "::", "10.0.0.1", "label.example"))
    assert Exposure("0.0.0.0").address(80) == f"http://{socket.gethostname()}:80"
    assert Exposure("::", ("label.example",)).address(80) == "http://label.example:80"
    assert Exposure("::").local_address(80) == "http://[::1]:80"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_of_another_machine_is_refused_by_name(host: str) -> None:
    with pytest.raises(ExposureError, match=f"host '{host}' is no address of this machine"):
        Exposure(host).listen(0)


def test_all_services_of_a_workspace_have_one_token_that_only_its_owner_reads(workspace: Workspace) -> None:
    with ThreadPoolExecutor(8) as pool:
        (token,) = set(pool.map(lambda _: page_token(workspace), range(16)))
    path = token_file(workspace)
    assert (len(token) >= 43, path.stat().st_mode & 0o777, token) == (True, 0o600, path.read_text())
    assert list(path.parent.glob(".page-token*")) == []
    assert not is_copied(str(path.relative_to(workspace.root)))
    path.unlink()
    assert page_token(workspace) != token


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_token_that_others_can_read_is_not_used(workspace: Workspace) -> None:
    page_token(workspace)
    token_file(workspace).chmod(0o644)
    with pytest.raises(ExposureError, match="page-token can be read by others"):
        page_token(workspace)

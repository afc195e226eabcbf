"""Addresses of the environment: the password is kept apart, and nothing shows it."""

import base64
import http.server
import threading

import pytest

from tasks.runtime.addresses import WEB, AddressError, ServerAddress, read_address, web_fault

NAME = "STARLOOM_SOME_URL"
SCHEMES = {*WEB, "postgresql"}
PASSWORD = "p@ss/w:rd"
QUOTED = "p%40ss%2Fw%3Ard"


def read(text: str) -> ServerAddress:
    address = read_address(NAME, {NAME: text}, SCHEMES, "http://host:1/api")
    assert address is not None
    return address


@pytest.mark.parametrize(
    ("text", "url", "user", "password"),
    [
        ("http://host:4200/api/", "http://host:4200/api", None, None),
        (f"https://me:{QUOTED}@host/x", "https://host/x", "me", PASSWORD),
        (f"postgresql://me:{QUOTED}@[::1]:5432/db", "postgresql://me@[::1]:5432/db", "me", PASSWORD),
        (f"postgresql://me@host/db?password={QUOTED}&a=b", "postgresql://me@host/db?a=b", "me", PASSWORD),
        ("postgresql:///db?host=/var/run", "postgresql:///db?host=/var/run", None, None),
        ("postgresql://host/db", "postgresql://host/db", None, None),
    ],
)
def test_an_address_is_read_without_its_password(text: str, url: str, user: str | None, password: str | None) -> None:
    address = read(text)
    assert (address.url, address.user, address.password) == (url, user, password)
    assert PASSWORD not in repr(address)
    assert PASSWORD not in str(address.unreachable("no route", "start it"))


@pytest.mark.parametrize(
    "text", ["secret", "ftp://a:secret@host/", "http://a:secret@host:port/", "http:///secret", "postgresql:///secret"]
)
def test_what_is_no_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(AddressError, match=f"{NAME}.*expected one like http://host:1/api") as refusal:
        read(text)
    assert "secret" not in str(refusal.value)


def test_an_unset_or_empty_variable_names_no_server() -> None:
    assert read_address(NAME, {}, SCHEMES, "") is None
    assert read_address(NAME, {NAME: ""}, SCHEMES, "") is None


class Guarded(http.server.BaseHTTPRequestHandler):
    """Answers below ``/prefix`` whoever says who they are."""

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}"
        self.send_response(404 if self.path != "/prefix/health" else 200 if known else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_web_server_is_asked_below_its_prefix_with_the_login() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Guarded) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        address = read(f"http://me:{QUOTED}@127.0.0.1:{server.server_port}/prefix")
        faults = [web_fault(address.url, path, login) for path in ("/health", "/no") for login in (address.login, None)]
        server.shutdown()
        thread.join()
    assert faults == [None, "HTTP status 401 at /health", "HTTP status 404 at /no", "HTTP status 404 at /no"]
    assert "refused" in str(web_fault(address.url, "/health"))

"""Addresses of servers that somebody else runs, as variables of the environment name them.

A password is taken out of an address when it is read and goes to the client apart from it, so that nothing which shows
the address, such as a log, an error of a library or a list of processes, shows the password.
"""

import http.client
import ssl
from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

ANSWER_S = 5.0
"""Time within which a server has to answer."""
WEB = frozenset({"http", "https"})


class AddressError(RuntimeError):
    """A server's address is no address, or nothing answers there; the message names it and says what to do."""


@dataclass(frozen=True)
class ServerAddress:
    """The address of a server, and what is needed to log in there.

    Attributes
    ----------
    variable : str
        Variable of the environment that has it.
    url : str
        Without a password; of a web server also without the user, and without a ``/`` at the end.
    user, password : str, optional
    """

    variable: str
    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def login(self) -> str | None:
        """``user:password``, None where the address has neither."""
        return None if self.user is None else f"{self.user}:{self.password or ''}"

    @property
    def is_web(self) -> bool:
        """Whether it is that of a web server."""
        return urlsplit(self.url).scheme in WEB

    def unreachable(self, fault: str, remedy: str) -> AddressError:
        """Return the error for a server that cannot be reached."""
        return AddressError(f"no answer from {self.variable}={self.url} ({fault}): {remedy}, or unset {self.variable}")


def read_address(
    variable: str, environment: Mapping[str, str], schemes: Collection[str], example: str
) -> ServerAddress | None:
    """Return the address that a variable has; None where it is not set or empty.

    Raises
    ------
    AddressError
        It has another scheme than `schemes`, no host (that of a database may be in its query), or a port that is none.
        The message shows `example` and none of the value behind the scheme, which may hold a password.
    """
    text = environment.get(variable)
    if not text:
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    named = host or (parts.scheme not in WEB and dict(parse_qsl(parts.query)).get("host"))
    if parts.scheme not in schemes or not named:
        begin = f"{parts.scheme}:..." if parts.scheme else "what it has"
        raise AddressError(f"{variable}: {begin} is no address of such a server, expected one like {example}")
    place = f"[{host}]" if host and ":" in host else host or ""
    place += "" if port is None else f":{port}"
    return _without_password(variable, parts, place)


def _without_password(variable: str, parts: SplitResult, place: str) -> ServerAddress:
    user = None if parts.username is None else unquote(parts.username)
    query = parse_qsl(parts.query, keep_blank_values=True)
    password = parts.password and unquote(parts.password)
    password = password or next((value for name, value in query if name == "password"), None)
    if parts.scheme in WEB:
        return ServerAddress(variable, f"{parts.scheme}://{place}{parts.path.rstrip('/')}", user, password)
    shown = urlencode([(name, value) for name, value in query if name != "password"], safe="/")
    named = place if parts.username is None else f"{parts.username}@{place}"
    url = f"{parts.scheme}://{named}{parts.path}{'?' if shown else ''}{shown}"
    return ServerAddress(variable, url, user, password)


def web_fault(url: str, path: str, login: str | None = None, patience_s: float = ANSWER_S) -> str | None:
    """Return why a web server does not answer ``GET`` of a path with status 200; None if it does.

    Parameters
    ----------
    url : str
        Its address, without a password; `path` goes behind it.
    path : str
    login : str, optional
        ``user:password``.
    patience_s : float
    """
    parts = urlsplit(url)
    headers = {} if login is None else {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(parts.netloc, timeout=patience_s, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=patience_s)
    try:
        connection.request("GET", f"{parts.path}{path}", headers=headers)
        status = connection.getresponse().status
        return None if status == http.client.OK else f"HTTP status {status} at {path}"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()

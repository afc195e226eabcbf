"""What a service of pages refuses: foreign names, posts of other sites, and whoever lacks a token that it asks for."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

COOKIE = "starloom-pages"
TOKEN = "token"
HEALTH = "/health"
_COOKIE_S = 30 * 86400
MOST_BODY_BYTES = 64 << 10
"""What a page sends is an answer with a comment; a body is read into memory before it is looked at."""
_READING = frozenset({"GET", "HEAD"})
Send = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Guard:
    """Decides which requests a service answers.

    Attributes
    ----------
    hosts : frozenset of str
        Names of the service; a request that asks for another comes from a page whose site made its name lead here.
    token : str, optional
        What whoever asks has to know; None: nothing, as on loopback.
    """

    hosts: frozenset[str]
    token: str | None = None

    async def __call__(self, request: Request, send: Send) -> Response:
        """Answer a request, or refuse it."""
        return self.refusal(request) or await send(request)

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that does not reach the service, None to one that does."""
        asked = request.headers.get("host", "")
        if _name_in(f"//{asked}") not in self.hosts:
            return PlainTextResponse(
                f"this service has no name {asked!r}: start it with --host-name for each of its names\n", 400
            )
        if request.method not in _READING and not _comes_from(request, asked):
            return JSONResponse({"detail": f"origin {request.headers.get('origin')} may not post here"}, 403)
        if request.method not in _READING and not _is_small(request):
            return JSONResponse({"detail": f"a body of at most {MOST_BODY_BYTES} bytes, with its length"}, 413)
        if self.token is None or request.url.path == HEALTH:
            return None
        return self._without_token(request, self.token)

    def _without_token(self, request: Request, token: str) -> Response | None:
        given = request.query_params.get(TOKEN)
        if given is not None and request.method in _READING and _same(given, token):
            return _welcome(request, token)
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(bearer.strip(), token):
            return None
        if _same(request.cookies.get(COOKIE, ""), _cookie_of(token)):
            return None
        text = "this page needs the link with ?token=..., which `starloom` printed when it was started\n"
        return PlainTextResponse(text, 401, headers={"WWW-Authenticate": "Bearer"})


def _welcome(request: Request, token: str) -> Response:
    """Leave the token's digest in a cookie, and go on to the page without the token in its address.

    A redirection would still count as the step from the site on which the link stood, and a strict cookie is not sent
    along on that one.
    """
    rest = urlencode([(name, value) for name, value in parse_qsl(request.url.query) if name != TOKEN])
    target = escape("/" + request.url.path.lstrip("/") + (f"?{rest}" if rest else ""), quote=True)
    answer = HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>starloom</title>'
        f'<meta http-equiv="refresh" content="0; url={target}"><p><a href="{target}">Go on</a></p></html>'
    )
    answer.set_cookie(
        COOKIE,
        _cookie_of(token),
        max_age=_COOKIE_S,
        httponly=True,
        samesite="strict",
        secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
    )
    return answer


def _cookie_of(token: str) -> str:
    """Return what the cookie holds: who finds it in a browser cannot make the link of it."""
    return hmac.digest(token.encode(), b"cookie of the pages", hashlib.sha256).hex()


def _same(given: str, wanted: str) -> bool:
    """Compare in a time that does not tell how much is right."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def _comes_from(request: Request, asked: str) -> bool:
    """Return whether a request is of one of the service's own pages, or of no page at all."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    own = origin is None or _place_in(origin) == asked.lower()
    return own and site in ("none", "same-origin")


def _is_small(request: Request) -> bool:
    """Return whether a body is known to be small; one in chunks, without a length, could go on for ever."""
    length = request.headers.get("content-length", "0")
    return "transfer-encoding" not in request.headers and length.isdecimal() and int(length) <= MOST_BODY_BYTES


def _place_in(address: str) -> str | None:
    """Return host and port of an address of a page, None of what is none, such as ``null``."""
    parts = urlsplit(address)
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None


def _name_in(address: str) -> str | None:
    """Return the host name of an address, None where it has none or cannot be read."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None

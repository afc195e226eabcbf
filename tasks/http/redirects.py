"""Where a redirect may lead."""

import ipaddress
from urllib.parse import urljoin, urlsplit

import requests

from tasks.http.refusals import RefusedError

REFUSED = "redirect_refused"


def redirected(address: str, location: str) -> str:
    """Return the address to which a response from `address` redirects.

    Parameters
    ----------
    address, location : str
        The latter as `requests` gives the header, one character a byte.

    Raises
    ------
    RefusedError
        It is no web address, is not encrypted though `address` is, or leads a public service's client to this machine
        or into a private network.
    """
    try:
        target = urljoin(address, location.encode("latin-1").decode("utf-8"))
        requests.Request("GET", target).prepare()
    except ValueError:
        raise RefusedError(REFUSED) from None
    before, after = urlsplit(address), urlsplit(target)
    is_web = after.scheme in ("http", "https") and bool(after.hostname)
    if not is_web or (before.scheme == "https" and after.scheme != "https"):
        raise RefusedError(REFUSED)
    if _is_private(after.hostname or "") and not _is_private(before.hostname or ""):
        raise RefusedError(REFUSED)
    return target


def _is_private(host: str) -> bool:
    """Return whether a host is this machine or, written as a number, one of a private network."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

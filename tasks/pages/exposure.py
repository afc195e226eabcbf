"""Where a service listens, by which names it may be asked for, and who is let in when others can reach it."""

import argparse
import contextlib
import errno
import ipaddress
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.http.rate_budget import is_loopback
from tasks.pages.exposure_options import LOOPBACK
from tasks.runtime.workspace import Workspace

OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_TOKEN_BYTES = 32


class ExposureError(ValueError):
    """An address cannot be listened on as asked; the message names it and says what to do."""


@dataclass(frozen=True)
class Exposure:
    """The address that a service listens on.

    Attributes
    ----------
    host : str
        An address of this machine, or a name of one; ``0.0.0.0`` and ``::`` are all of them.
    names : tuple of str
        Further names that browsers use for this machine, such as an alias or that of a proxy.
    """

    host: str = LOOPBACK
    names: tuple[str, ...] = ()

    @classmethod
    def of_options(cls, options: argparse.Namespace) -> "Exposure":
        """Return what the options of `add_exposure` say."""
        return cls(options.host, tuple(options.host_name))

    def to_options(self) -> list[str]:
        """Return it as options of a command."""
        return ["--host", self.host, *(word for name in self.names for word in ("--host-name", name))]

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach it."""
        return not is_loopback(self.host)

    @property
    def shown_host(self) -> str:
        """The name by which people reach it: of all addresses, the first of `names`, else the machine's name."""
        if not self._is_everywhere:
            return self.host
        return self.names[0] if self.names else socket.gethostname()

    def allowed_hosts(self) -> frozenset[str]:
        """Return the host names that a request may ask for.

        A page of another site whose name is made to lead here, DNS rebinding, asks for a name that is not among them.
        """
        found = {*OWN_NAMES, self.host, *self.names}
        if self._is_everywhere:
            found |= {socket.gethostname(), *_addresses_of_this_machine()}
        return frozenset(name.strip("[]").lower() for name in found)

    def address(self, port: int) -> str:
        """Return the address for people."""
        return f"http://{_bracketed(self.shown_host)}:{port}"

    def local_address(self, port: int) -> str:
        """Return the address by which this machine itself reaches the service."""
        host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)
        return f"http://{_bracketed(host)}:{port}"

    def listen(self, port: int) -> socket.socket:
        """Return a socket that listens; port 0 takes any free one.

        Raises
        ------
        ExposureError
            The address is none of this machine's.
        OSError
            The port is taken.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host.strip("[]"), port), family=family)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL or (error.errno or 0) < 0:  # below 0: the name is unknown
                raise ExposureError(f"host {self.host!r} is no address of this machine: {error.strerror}") from error
            raise OSError(f"port {port} of {self.host} cannot be taken: {error.strerror}") from error

    @property
    def _is_everywhere(self) -> bool:
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_unspecified
        except ValueError:
            return False


ON_LOOPBACK = Exposure()


def page_token(workspace: Workspace) -> str:
    """Return the token that opens the workspace's pages from other machines, made at the first call.

    It is kept in `token_file`, which only its owner can read; who removes the file makes all links and cookies void at
    the next start.
    """
    path = token_file(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make_token(path)
    if path.stat().st_mode & 0o077:
        raise ExposureError(f"{path} can be read by others: remove it, and a new token is made")
    return path.read_text(encoding="ascii").strip()


def token_file(workspace: Workspace) -> Path:
    """Return the file of the token; it belongs to the machine, not to the data, and no backup holds it."""
    return workspace.prefect / "page-token"


def token_link(address: str, token: str) -> str:
    """Return the link that opens a page and leaves the token in a cookie of the browser."""
    return f"{address}{'&' if '?' in address else '?'}token={token}"


def exposure_warning(exposure: Exposure, what: str) -> str:
    """Return what is told to whoever opens a service to other machines."""
    return (
        f"warning: {what} can be reached by other machines (host {exposure.host}). Who has the link with the token can "
        "read the workspace and label. The connection is not encrypted: use it in a network that you trust, or behind "
        "a proxy with TLS"
    )


def _make_token(path: Path) -> None:
    """Write a new token under its name once it is whole; of two processes the first wins."""
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    made.touch(mode=0o600, exist_ok=False)
    made.write_text(secrets.token_urlsafe(_TOKEN_BYTES), encoding="ascii")
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(made)
    made.unlink()


def _addresses_of_this_machine() -> set[str]:
    families = (socket.AF_INET, socket.AF_INET6)
    every = [each for interface in psutil.net_if_addrs().values() for each in interface]
    return {each.address.partition("%")[0] for each in every if each.family in families}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host

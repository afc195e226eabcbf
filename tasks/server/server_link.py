"""A run's connection to its Prefect server, which may end before the run does.

What a build publishes does not depend on the server, so a run whose server is lost goes on: its client answers itself
what the engine asks, and keeps the states that the runs end in, to be recorded when a server is back.
"""

import json
import logging
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import prefect
from prefect.client import orchestration
from prefect.events.clients import PrefectEventsClient
from prefect.events.worker import EventsWorker

from tasks.server.prefect_server import is_answering

_LOG = logging.getLogger(__name__)
# Those that complain, with the whole item, about every event or log line that a lost server does not take.
_SENDERS = (
    "prefect._internal.concurrency",
    "prefect.events.clients",
    "prefect.events.utilities",
    "EventsWorker",
    "APILogWorker",
)
_DRAIN_S = 8.0


class ServerLink:
    """The server of a run, and what it would have been told since it was lost.

    Attributes
    ----------
    url : str
        Address of the server, without ``/api``.
    ends : dict of str to dict
        By flow run: the last state that was set after the loss, as the API takes it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.ends: dict[str, dict[str, Any]] = {}
        self._flow_runs: dict[str, dict[str, Any]] = {}
        self._lost = threading.Event()
        self._checking = threading.Lock()

    @property
    def lost(self) -> bool:
        """Whether the server was found to be lost."""
        return self._lost.is_set()

    def is_lost(self) -> bool:
        """Ask a server that is not known to be lost for an answer; warn once if there is none."""
        with self._checking:
            if not self.lost and not is_answering(self.url, "/api/health"):
                self._lost.set()
                _LOG.warning(
                    "the Prefect server at %s is lost: the run goes on, its page there stays incomplete, and the next "
                    "command records how it ended",
                    self.url,
                )
        return self.lost

    def keeps(self, record: logging.LogRecord) -> bool:
        """Return whether a log record of Prefect's senders is shown: the loss is warned of once."""
        return record.levelno < logging.WARNING or not self.is_lost()

    def remember(self, request: httpx.Request, response: httpx.Response) -> None:
        """Keep a flow run that the server described."""
        words = _words(request)
        described = words == ["flow_runs"] or (words[:1] == ["flow_runs"] and len(words) == 2 and words[1] != "filter")
        if described and request.method in ("POST", "GET") and response.is_success:
            flow_run = response.json()
            self._flow_runs[flow_run["id"]] = flow_run

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer in the place of the lost server: every run is as it says it is."""
        words, body = _words(request), json.loads(request.content or b"null")
        match request.method, words:
            case "GET", ["admin", "version"]:
                return _json(prefect.__version__)
            case "GET", ["csrf-token"]:
                return httpx.Response(422, text="CSRF protection is disabled.")
            case "GET", ["flow_runs", flow_run] if flow_run in self._flow_runs:
                return _json(self._flow_runs[flow_run])
            case "POST", ["flow_runs"]:
                created = {"name": "unrecorded"} | {name: value for name, value in _new(body).items() if value}
                self._flow_runs[created["id"]] = created
                return _json(created)
            case "POST", ["flow_runs", "filter"]:
                return _json([])
            case "POST", ["flow_runs", flow_run, "set_state"]:
                state = _new(body["state"]) | {"timestamp": datetime.now(UTC).isoformat()}
                self.ends[flow_run] = state
                self._flow_runs.get(flow_run, {}).update(state=state)
                return _json({"state": state, "status": "ACCEPT", "details": {"type": "accept_details"}})
            case "POST", ["v2", "concurrency_limits", "increment-with-lease"]:
                limits = [{"id": str(uuid.uuid4()), "name": name, "limit": 1} for name in body["names"]]
                return _json({"lease_id": str(uuid.uuid4()), "limits": limits})
            case "GET", ["v2", "concurrency_limits", name]:
                return _json(_new({"name": name, "limit": 1, "active_slots": 0, "slot_decay_per_second": 0.0}))
            case "POST", ["flows" | "task_runs" | "artifacts"]:
                return _json(_new(body))
        return _json({})


class LastingTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Sends requests to the server of a link, and answers them itself once that is lost."""

    def __init__(self, link: ServerLink, verify: ssl.SSLContext | bool) -> None:
        self.link = link
        self._sync = httpx.HTTPTransport(verify=verify)
        self._async = httpx.AsyncHTTPTransport(verify=verify)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the server's answer or the link's own."""
        if not self.link.lost:
            try:
                response = self._sync.handle_request(request)
                response.read()
                self.link.remember(request, response)
                return response
            except httpx.TransportError:
                if not self.link.is_lost():
                    raise
        return self.link.answer(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the server's answer or the link's own."""
        if not self.link.lost:
            try:
                response = await self._async.handle_async_request(request)
                await response.aread()
                return response
            except httpx.TransportError:
                if not self.link.is_lost():
                    raise
        return self.link.answer(request)

    def close(self) -> None:
        """Close the connections."""
        self._sync.close()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._async.aclose()


@contextmanager
def lasting_link(url: str) -> Iterator[ServerLink]:
    """Let Prefect's clients of this process, in the block, survive the loss of the server at `url`.

    Prefect makes clients of its own for the flow, its parts, events and log lines, and takes no transport for them; so
    the two classes that it makes them of are replaced in the block.
    """
    link = ServerLink(url)
    senders = [logging.getLogger(name) for name in _SENDERS]
    originals = {name: getattr(orchestration, name) for name in ("PrefectHttpxSyncClient", "PrefectHttpxAsyncClient")}
    for name, original in originals.items():
        setattr(orchestration, name, partial(_make_client, original, link))
    EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=1)
    for sender in senders:
        sender.addFilter(link.keeps)
    try:
        yield link
    finally:
        # What is on its way is sent, or dropped, while its complaints are still filtered.
        EventsWorker.drain_all(timeout=_DRAIN_S)
        EventsWorker.set_client_override(None)
        for sender in senders:
            sender.removeFilter(link.keeps)
        for name, original in originals.items():
            setattr(orchestration, name, original)


def _make_client(original: type[Any], link: ServerLink, *args: Any, **settings: Any) -> Any:
    """Return a client with connections of its own: those of one event loop cannot serve another's."""
    return original(*args, transport=LastingTransport(link, settings.get("verify", True)), **settings)


def _words(request: httpx.Request) -> list[str]:
    return [word for word in request.url.path.removeprefix("/api").split("/") if word]


def _new(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"id": str(uuid.uuid4())}


def _json(content: Any) -> httpx.Response:
    return httpx.Response(200, json=content)

"""What was delivered of a night: files of the inbox, the catalogue as it is, or a simulated night."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from realbogus.records import SourceError
from realbogus.sources.pair_tables import read_pairs
from tasks.inbox.deliveries import Delivery, night_digest, settle
from tasks.inbox.looks import open_looks
from tasks.inbox.nights import default_inbox, list_nights
from tasks.nightly.night_record import NightRecord, State
from tasks.nightly.request import NightlyRequest
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.files import sha256_of_file, write_table
from tasks.store.schema import GALAXY

PAIRS = "pairs.parquet"
"""The pairs of all visits of a night, in the folder of its record."""


@dataclass(frozen=True)
class NightDelivery:
    """What was delivered of a night.

    Attributes
    ----------
    digest : str
        Equal for equal deliveries.
    state : State, optional
        Why the night cannot be worked on: ``no_data`` or ``waiting``.
    message : str
        What was found.
    path : Path, optional
        What a build reads; None: a simulated night.
    visits : int
    """

    digest: str
    state: State | None
    message: str
    path: Path | None = None
    visits: int = 0


def delivered_nights(workspace: Workspace, request: NightlyRequest, newest: date) -> list[str]:
    """Return the nights of the inbox up to `newest`, oldest first; what is ignored there is logged.

    Raises
    ------
    InboxError
        The inbox cannot be read.
    """
    listing = list_nights(_inbox(workspace, request), newest)
    for name, why in listing.ignored.items():
        run_logger().warning("inbox: %s is ignored: %s", name, why)
    return [folder.name for folder in listing.nights]


def find_delivery(workspace: Workspace, request: NightlyRequest, record: NightRecord) -> NightDelivery:
    """Return what was delivered of a night; visits whose files are still being written are waited for a little.

    Raises
    ------
    InboxError
        The inbox cannot be read.
    SourceError
        Visits are of another kind than the source, or cannot be listed.
    """
    if request.source == "simulated":
        return _simulated(request, record.night)
    if request.problem == GALAXY:
        return _catalogue(workspace, request, record.night)
    inbox = _inbox(workspace, request)
    folder = next(
        (f for f in list_nights(inbox, date.fromisoformat(record.night)).nights if f.name == record.night), None
    )
    if folder is None:
        return NightDelivery("", "no_data", f"the inbox {inbox} has no folder {record.night}")
    listing = settle(folder, open_looks(workspace, inbox))
    for name, why in listing.ignored.items():
        run_logger().warning("%s: %s is ignored: %s", folder.path, name, why)
    waiting = [f"{visit.name} ({visit.waiting})" for visit in listing.visits if not visit.complete]
    if waiting:
        return NightDelivery("", "waiting", f"{len(waiting)} visits are not complete, the first {waiting[0]}")
    if not listing.visits:
        return NightDelivery("", "no_data", f"{folder.path} holds no visit")
    _require_kind(listing.visits, request.source)
    path = _build_path(listing.visits, request.source, folder.path, record.folder)
    digest = night_digest(listing.visits)
    return NightDelivery(digest, None, f"{len(listing.visits)} visits were delivered", path, len(listing.visits))


def _inbox(workspace: Workspace, request: NightlyRequest) -> Path:
    return default_inbox(workspace) if request.path is None else Path(request.path).expanduser()


def _simulated(request: NightlyRequest, night: str) -> NightDelivery:
    """A simulated night is what its parameters say."""
    names = {"chips", "visits", "objects", "conditions", "seed"}
    facts = request.model_dump(mode="json", include=names) | {"night": night}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return NightDelivery(digest, None, f"{request.visits} visits are simulated", None, request.visits)


def _catalogue(workspace: Workspace, request: NightlyRequest, night: str) -> NightDelivery:
    """The catalogue as it is: a file, one that was ingested, or an address, whose content is known when it is read."""
    catalogue = str(request.path)
    files = [
        file for file in (Path(catalogue).expanduser(), workspace.catalogs / f"{catalogue}.parquet") if file.is_file()
    ]
    content = sha256_of_file(files[0]) if files else f"{catalogue} {night}"
    digest = hashlib.sha256(f"{content} {request.images}".encode()).hexdigest()
    return NightDelivery(digest, None, f"the catalogue is {catalogue}")


def _require_kind(visits: tuple[Delivery, ...], source: str) -> None:
    others = Counter(visit.kind for visit in visits if visit.kind != source)
    if others:
        kinds = ", ".join(f"{count} of {kind}" for kind, count in others.items())
        first = next(visit for visit in visits if visit.kind != source)
        raise SourceError(
            f"source={source}, but the night holds visits of other kinds ({kinds}), the first {first.path}"
        )


def _build_path(visits: tuple[Delivery, ...], source: str, night: Path, folder: Path) -> Path:
    """Return what a build reads of a night with these visits."""
    if source == "frames":
        return _list_pairs(visits, folder)
    if source == "triplets" and len(visits) > 1:
        names = ", ".join(visit.name for visit in visits[:3])
        raise SourceError(f"{night} holds {len(visits)} sets of triplets ({names}): put a night's triplets into one")
    return visits[0].path if len(visits) == 1 else night


def _list_pairs(visits: tuple[Delivery, ...], folder: Path) -> Path:
    """Write the table of the pairs of all visits, as `read_pairs` reads it, and return its path."""
    rows = []
    for number, visit in enumerate(visits):
        for pair in read_pairs(visit.path):
            files = {role: str(file.resolve()) for role, file in pair.files.items()}
            rows.append({"visit": str(number), **pair.columns, **files})
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / PAIRS, pa.table(columns))
    return folder / PAIRS

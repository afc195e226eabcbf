"""The work items of a build: chip-visits, pairs of frames or batches of triplets, as a source lists them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from realbogus.records import BatchKey, RecordSource
from realbogus.simulation.night_conditions import NightConditions
from realbogus.sources.alerts import AlertSource
from realbogus.sources.pair_tables import PairFiles, read_pairs
from realbogus.sources.triplets import TripletSource
from realbogus.sources.zenodo import ZenodoSource
from tasks.candidates.building.build_request import KNOWN_OF_SIMULATION, VISITS_A_NIGHT, CandidateBuildRequest
from tasks.candidates.building.collect import BatchCollector, PairVisits, ReadyTriplets, SimulatedVisits, VisitKey
from tasks.candidates.building.known_objects import KnownObjects
from tasks.records.record_tables import RecordTables
from tasks.store.sampling import hash_shares
from tasks.tables.roles import ROLES


@dataclass(frozen=True)
class CandidateBatch:
    """One work item: a chip-visit or a batch of records.

    Attributes
    ----------
    number : int
        Of the batch among all of the request.
    name : str
    key : VisitKey, PairFiles or BatchKey
    published : mapping of str to str or None
        Ids of the batch that are published already, with the sha256 of their pixels where these are stored.
    """

    number: int
    name: str
    key: VisitKey | PairFiles | BatchKey
    published: Mapping[str, str | None] = field(default_factory=dict)


def list_batches(request: CandidateBuildRequest) -> tuple[BatchCollector, list[CandidateBatch]]:
    """Return the collector of a request's source and all of its batches, published or not.

    Raises
    ------
    SourceError
        The source cannot be read as requested.
    FileNotFoundError
        The table of galaxies does not exist.
    """
    if request.source == "simulated":
        visits = list(simulated_visits(request))[: request.limit]
        with_known, special = request.known_objects == KNOWN_OF_SIMULATION, request.conditions or NightConditions()
        simulated = SimulatedVisits(request.survey, request.work, with_known, special)
        return simulated, [CandidateBatch(number, key.name, key) for number, key in enumerate(visits)]
    path = Path(str(request.path)).expanduser()
    return _list_pairs(request, path) if request.source == "frames" else _list_records(request, path)


def _list_pairs(request: CandidateBuildRequest, path: Path) -> tuple[PairVisits, list[CandidateBatch]]:
    pairs = read_pairs(path)[: request.limit]
    galaxies = None if request.galaxy_catalog is None else Path(request.galaxy_catalog).expanduser()
    if galaxies is not None and not galaxies.is_file():
        raise FileNotFoundError(f"galaxy_catalog={galaxies} does not exist")
    visits = PairVisits(request.work, request.seed, galaxies, known=_known_objects(request))
    return visits, [CandidateBatch(number, pair.identity, pair) for number, pair in enumerate(pairs)]


def _list_records(request: CandidateBuildRequest, path: Path) -> tuple[ReadyTriplets, list[CandidateBatch]]:
    source = _open_records(request, path)
    known = _known_objects(request)
    if known is not None and isinstance(source, TripletSource):
        require_time(source, known)
    keys = list(source.batches())
    below = 1.0 if request.limit is None else hash_bound(source, keys, request.limit, request.seed)
    ready = ReadyTriplets(source, request.seed, below, known)
    return ready, [CandidateBatch(number, key.name, key) for number, key in enumerate(keys)]


def require_time(source: TripletSource, known: KnownObjects) -> None:
    """Refuse triplets of which no row has an epoch, unless detections may match by position alone.

    Raises
    ------
    NoEpochError
        Names the table and the columns that were looked for.
    """
    table = source.table
    has_epoch = bool(np.isfinite(table.epochs_mjd).any())
    notes = [f"its columns are {', '.join(table.names) or 'none'}"]
    if "time" in table.roles:
        notes = [f"column {table.roles['time']!r} holds none", *table.reading(0, len(table)).notes]
    known.require_epoch(0.0 if has_epoch else None, str(table.path), ROLES["time"].names, notes)


def _known_objects(request: CandidateBuildRequest) -> KnownObjects | None:
    """Return the known objects; the table is read so that a bad one is refused before any work."""
    if request.known_objects is None:
        return None
    path = Path(request.known_objects).expanduser()
    known = KnownObjects(path, request.known_without_epoch, request.known_columns)
    known.open()
    return known


def simulated_visits(request: CandidateBuildRequest) -> Iterator[VisitKey]:
    """Yield chip-visits, visit by visit, so that fewer visits are a prefix of more."""
    for visit in range(request.visits):
        field = request.night * VISITS_A_NIGHT + visit // request.revisits
        for chip in range(request.chips):
            yield VisitKey(request.seed, request.night, chip, visit, field)


def _open_records(request: CandidateBuildRequest, path: Path) -> RecordSource:
    if request.source == "alerts":
        return AlertSource(path, request.stamp_px)
    tables = RecordTables(request.record_columns)
    if request.source == "zenodo":
        return ZenodoSource(path, request.stamp_px, request.group_column, tables)
    return TripletSource(path, request.stamp_px, request.label_column, request.group_column, tables.conventions())


def hash_bound(source: RecordSource, keys: Sequence[BatchKey], limit: int, seed: int) -> float:
    """Return the bound below which the hashes of exactly `limit` records are; 1 if there are no more records."""
    ids = dict.fromkeys(sample_id for key in keys for sample_id in source.ids(key))
    shares = sorted(hash_shares(ids, seed).tolist())
    return float(shares[limit]) if limit < len(shares) else 1.0

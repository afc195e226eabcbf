"""The two tables of a night's visits: all detections, and the candidates that they are of.

Both are written anew from the records, in the order in which visits were scored, so they are the same however often a
run was killed. The key ``starloom`` of their Parquet metadata holds the records that they were made of.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from realbogus.records import REAL
from tasks.runtime.workspace import Workspace
from tasks.store.columns import to_float
from tasks.store.files import whole_file, write_checked_table
from tasks.store.sky_coordinates import unit_vectors
from tasks.visits.detections import VISIT_DETECTIONS
from tasks.visits.records import NightRecords, VisitRecord, VisitStore
from tasks.visits.sky_groups import Track, find_tracks, group_detections, to_degrees

NIGHT_DETECTIONS = pa.schema(
    [*VISIT_DETECTIONS, pa.field("candidate", pa.string()), pa.field("superseded", pa.bool_())]
)
"""``candidate`` is null of detections without a score. ``superseded`` rows are of an earlier revision of a visit whose
files were changed, or came before in another visit, id and stamp alike; they count in no candidate."""
STAYS, MOVES = "stationary", "moving"
CANDIDATES = pa.schema(
    [
        pa.field("candidate", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("ra_deg", pa.float64(), metadata={b"unit": b"deg"}),
        pa.field("dec_deg", pa.float64(), metadata={b"unit": b"deg"}),
        pa.field("n_visits", pa.int32()),
        pa.field("n_detections", pa.int32()),
        pa.field("first_epoch_mjd", pa.float64(), metadata={b"unit": b"d"}),
        pa.field("last_epoch_mjd", pa.float64(), metadata={b"unit": b"d"}),
        pa.field("max_logit", pa.float64()),
        pa.field("decision", pa.string()),
        pa.field("unknown_detector", pa.bool_()),
        pa.field("visits", pa.list_(pa.string())),
        pa.field("detections", pa.list_(pa.string())),
        pa.field("rate_arcsec_per_h", pa.float64(), metadata={b"unit": b"arcsec / h"}),
        pa.field("position_angle_deg", pa.float64(), metadata={b"unit": b"deg"}),
    ]
)
"""``decision`` is real where that of a detection is. The position is the mean one; ``rate_arcsec_per_h`` and
``position_angle_deg`` are of moving candidates only."""
_META = b"starloom"


@dataclass(frozen=True)
class NightTables:
    """The tables of a night.

    Attributes
    ----------
    night : str
    detections, candidates : Path
    count : int
        Candidates.
    selected, moving : int
        Candidates decided to be real, and those that move.
    """

    night: str
    detections: Path
    candidates: Path
    count: int
    selected: int
    moving: int


def table_paths(workspace: Workspace, night: str) -> tuple[Path, Path]:
    """Return the paths of a night's detections and of its candidates."""
    return workspace.scores / f"visits-{night}.parquet", workspace.scores / f"candidates-{night}.parquet"


def are_current(workspace: Workspace, night: str, records: NightRecords) -> bool:
    """Return whether both tables of a night are those of its records."""
    expected = _identity(records)
    for path in table_paths(workspace, night):
        if not path.is_file() or (pq.read_schema(path).metadata or {}).get(_META) != expected:
            return False
    return True


def write_tables(workspace: Workspace, store: VisitStore, night: str) -> NightTables:
    """Write both tables of a night from its records."""
    records = store.read(night)
    detections = with_candidates(_all_detections(store, records), night, records)
    candidates = summarise_candidates(detections)
    identity, paths = _identity(records), table_paths(workspace, night)
    for path, table in zip(paths, (detections[0], candidates), strict=True):
        with whole_file(path) as unfinished:
            write_checked_table(unfinished, table.replace_schema_metadata({_META: identity}))
    decisions, kinds = candidates["decision"].to_pylist(), candidates["kind"].to_pylist()
    return NightTables(night, *paths, candidates.num_rows, decisions.count(REAL), kinds.count(MOVES))


def _identity(records: NightRecords) -> bytes:
    return json.dumps([[record.visit, record.revision, record.digest] for record in records.records]).encode()


def _all_detections(store: VisitStore, records: NightRecords) -> pa.Table:
    """Return the detections of all revisions, in the order of scoring, with the column ``order``."""
    parts = [VISIT_DETECTIONS.empty_table().append_column("order", pa.array([], pa.int32()))]
    for record in records.records:
        table = store.detections(record).cast(VISIT_DETECTIONS)
        parts.append(table.append_column("order", pa.array([record.order] * table.num_rows, pa.int32())))
    return pa.concat_tables(parts).combine_chunks()


def with_candidates(
    detections: pa.Table, night: str, records: NightRecords
) -> tuple[pa.Table, NDArray[np.int64], list[Track]]:
    """Find the candidates of a night.

    Returns
    -------
    table : Table of `NIGHT_DETECTIONS`
    groups : (n,) int64
        Row that founded the candidate of each detection; -1 without one, or where it is superseded.
    tracks : list of Track
        Their rows are those of the table.
    """
    count = detections.num_rows
    visits, orders = detections["visit"].to_pylist(), detections["order"].to_pylist()
    superseded = _superseded(detections, records)
    logit = to_float(detections["logit"])
    places = {name: to_float(detections[name]) for name in ("ra_deg", "dec_deg", "epoch_mjd")}
    scored = np.flatnonzero(np.isfinite(logit))
    groups = np.full(count, -1)
    groups[scored] = scored[group_detections(places["ra_deg"][scored], places["dec_deg"][scored])]
    numbers = _numbers(visits)
    is_real = np.array([decision == REAL for decision in detections["decision"].to_pylist()], bool)
    rows = np.flatnonzero(_seen_once(groups, superseded) & is_real)
    tracks = [
        Track(rows[track.rows], track.rate_arcsec_per_h, track.position_angle_deg, track.rms_arcsec)
        for track in find_tracks(
            places["ra_deg"][rows], places["dec_deg"][rows], places["epoch_mjd"][rows], numbers[rows]
        )
    ]
    for track in tracks:
        founder = groups[track.rows].min()
        for row in track.rows:
            groups[groups == groups[row]] = founder
    first_of = {order: row for row, order in reversed(list(enumerate(orders)))}
    names = [
        None if group < 0 else f"{night}-{orders[group]:05d}-{group - first_of[orders[group]]:05d}"
        for group in groups.tolist()
    ]
    table = detections.drop_columns(["order"])
    table = table.append_column("candidate", pa.array(names, pa.string()))
    table = table.append_column("superseded", pa.array(superseded))
    return table.cast(NIGHT_DETECTIONS), np.where(superseded, -1, groups), tracks


def _superseded(detections: pa.Table, records: NightRecords) -> NDArray[np.bool_]:
    """Return which detections, (n,), are of an earlier revision, or repeat one that counts by id and stamp."""
    newest = {visit: record.revision for visit, record in records.newest.items()}
    seen: set[tuple[str, str | None]] = set()
    superseded = np.zeros(detections.num_rows, bool)
    columns = (detections[name].to_pylist() for name in ("visit", "revision", "id", "stamp_sha256"))
    for row, (visit, revision, name, stamp) in enumerate(zip(*columns, strict=True)):
        superseded[row] = revision != newest[visit] or (name, stamp) in seen
        if not superseded[row]:
            seen.add((name, stamp))
    return superseded


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    """Return names (n,) as numbers."""
    places = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([places[name] for name in names], np.int64)


def _seen_once(groups: NDArray, superseded: NDArray) -> NDArray[np.bool_]:
    """Return which detections, (n,), are the only one that counts in their group."""
    counting = (groups >= 0) & ~superseded
    sizes = np.bincount(groups[counting], minlength=len(groups) + 1)
    return counting & (sizes[groups] == 1)


def summarise_candidates(found: tuple[pa.Table, NDArray[np.int64], list[Track]]) -> pa.Table:
    """Return `CANDIDATES` of what `with_candidates` found: in the order of their founders."""
    table, groups, tracks = found
    columns = {name: table[name].to_pylist() for name in ("id", "visit", "candidate", "decision", "unknown_detector")}
    vectors = unit_vectors(to_float(table["ra_deg"]), to_float(table["dec_deg"]))
    logit, epoch = to_float(table["logit"]), to_float(table["epoch_mjd"])
    track_of = {int(groups[track.rows[0]]): track for track in tracks}
    members: dict[int, list[int]] = {}
    for row in np.flatnonzero(groups >= 0):
        members.setdefault(int(groups[row]), []).append(int(row))
    rows = []
    for group in sorted(members):
        inside = np.array(members[group])
        rows.append(_candidate(inside, columns, vectors[inside], logit[inside], epoch[inside], track_of.get(group)))
    return pa.Table.from_pylist(rows, schema=CANDIDATES)


def _candidate(
    rows: NDArray[np.int64],
    columns: dict[str, list[Any]],
    vectors: NDArray,
    logit: NDArray,
    epoch: NDArray,
    track: Track | None,
) -> dict[str, Any]:
    """Return one row of `CANDIDATES`."""
    ra_deg, dec_deg = (float(angle) for angle in to_degrees(vectors.mean(axis=0)))
    has_place, epochs = bool(np.isfinite(vectors).all()), epoch[np.isfinite(epoch)]
    chosen = {name: [values[row] for row in rows] for name, values in columns.items()}
    visits = list(dict.fromkeys(chosen["visit"]))
    unknown = [flag for flag in chosen["unknown_detector"] if flag is not None]
    return {
        "candidate": chosen["candidate"][0],
        "kind": STAYS if track is None else MOVES,
        "ra_deg": ra_deg if has_place else None,
        "dec_deg": dec_deg if has_place else None,
        "n_visits": len(visits),
        "n_detections": len(rows),
        "first_epoch_mjd": float(epochs.min()) if len(epochs) else None,
        "last_epoch_mjd": float(epochs.max()) if len(epochs) else None,
        "max_logit": float(logit.max()),
        "decision": REAL if REAL in chosen["decision"] else chosen["decision"][0],
        "unknown_detector": any(unknown) if unknown else None,
        "visits": visits,
        "detections": chosen["id"],
        "rate_arcsec_per_h": None if track is None else track.rate_arcsec_per_h,
        "position_angle_deg": None if track is None else track.position_angle_deg,
    }


def counted(records: Sequence[VisitRecord]) -> dict[str, int]:
    """Return how many visits were rejected or are duplicates, by reason."""
    reasons = [record.reason or record.state for record in records if record.state != "scored"]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}

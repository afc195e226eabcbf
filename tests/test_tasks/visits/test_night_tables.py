"""The two tables of a night: every detection that counts is in one candidate, whose entries follow from its rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.runtime.workspace import Workspace
from tasks.visits.detections import VISIT_DETECTIONS
from tasks.visits.night_tables import (
    CANDIDATES,
    NIGHT_DETECTIONS,
    are_current,
    counted,
    summarise_candidates,
    table_paths,
    with_candidates,
    write_tables,
)
from tasks.visits.records import NightRecords, VisitRecord, VisitStore

NIGHT = "2026-11-28"
ARCSEC = 1 / 3600
HOUR = 1 / 24
EPOCH_MJD = 61000.0
Row = dict[str, Any]


def record(order: int, visit: str, revision: int = 1, **changes: Any) -> VisitRecord:
    fields = {"digest": f"{visit}{revision}", "state": "scored"}
    return VisitRecord(night=NIGHT, visit=visit, revision=revision, order=order, **{**fields, **changes})


def row(name: str, east_arcsec: float | None = 0.0, logit: float | None = 5.0, **changes: Any) -> Row:
    """A detection on the equator, ``east_arcsec`` east of RA 0; None: without a position."""
    decision = None if logit is None else "real" if logit > 0 else "bogus"
    place = None if east_arcsec is None else east_arcsec * ARCSEC % 360
    fixed = {"stamp_sha256": f"stamp of {name}", "dec_deg": None if place is None else 0.0}
    return {"id": name, "ra_deg": place, "logit": logit, "decision": decision, **fixed, **changes}


def found(visits: Sequence[tuple[VisitRecord, list[Row]]]) -> tuple[list[Row], list[Row]]:
    """The detections and the candidates of some visits, in the order of scoring."""
    rows = [
        {"visit": each.visit, "revision": each.revision, "order": each.order, **detection}
        for each, detections in visits
        for detection in detections
    ]
    schema = VISIT_DETECTIONS.append(pa.field("order", pa.int32()))
    records = NightRecords(tuple(each for each, _ in visits))
    whole = with_candidates(pa.Table.from_pylist(rows, schema=schema), NIGHT, records)
    assert whole[0].schema.equals(NIGHT_DETECTIONS)
    candidates = summarise_candidates(whole)
    assert candidates.schema.equals(CANDIDATES)
    return whole[0].to_pylist(), candidates.to_pylist()


def test_a_candidate_has_the_name_of_its_founder_by_visit_and_row() -> None:
    detections, candidates = found(
        [
            (record(1, "a"), [row("a0", 0.0), row("a1", 60.0)]),
            (record(2, "b"), [row("b0", 61.0), row("b1", 120.0), row("b2", 0.5)]),
        ]
    )
    names = [f"{NIGHT}-00001-00000", f"{NIGHT}-00001-00001", f"{NIGHT}-00002-00001"]
    assert [each["candidate"] for each in detections] == [names[place] for place in (0, 1, 1, 2, 0)]
    assert [each["candidate"] for each in candidates] == names
    assert [each["detections"] for each in candidates] == [["a0", "b2"], ["a1", "b0"], ["b1"]]
    assert [each["visits"] for each in candidates] == [["a", "b"], ["a", "b"], ["b"]]


def test_a_detection_without_a_score_is_of_no_candidate() -> None:
    detections, candidates = found([(record(1, "a"), [row("a0", logit=None), row("a1", 0.5)])])
    assert [each["candidate"] for each in detections] == [None, f"{NIGHT}-00001-00001"]
    assert [each["detections"] for each in candidates] == [["a1"]]


def test_an_earlier_revision_counts_no_more_and_still_names_the_candidate() -> None:
    detections, candidates = found(
        [
            (record(1, "a"), [row("a0", 0.0), row("a1", 60.0, logit=9.0)]),
            (record(2, "a", 2), [row("a0", 60.5, stamp_sha256="another")]),
        ]
    )
    assert [each["superseded"] for each in detections] == [True, True, False]
    (candidate,) = candidates
    assert candidate["candidate"] == f"{NIGHT}-00001-00001"
    assert (candidate["n_detections"], candidate["max_logit"], candidate["detections"]) == (1, 5.0, ["a0"])


def test_what_comes_again_with_id_and_stamp_counts_once_and_another_stamp_of_the_id_counts() -> None:
    visits = [(record(number, name), [row("x", stamp_sha256=stamp)]) for number, (name, stamp) in enumerate(STAMPS, 1)]
    detections, (candidate,) = found(visits)
    assert [each["superseded"] for each in detections] == [False, True, False]
    assert (candidate["n_visits"], candidate["visits"]) == (2, ["a", "c"])


STAMPS = [("a", "one"), ("b", "one"), ("c", "two")]


def test_the_position_is_the_mean_on_the_sphere_also_across_ra_0() -> None:
    _, (candidate,) = found([(record(1, "a"), [row("a0", -0.9), row("a1", 0.5), row("a2", 0.7)])])
    assert (candidate["ra_deg"] + 180) % 360 - 180 == pytest.approx(0.1 * ARCSEC, abs=1e-9)
    assert candidate["dec_deg"] == pytest.approx(0, abs=1e-9)


def test_what_is_not_known_of_any_detection_is_null() -> None:
    _, candidates = found([(record(1, "a"), [row("a0", None), row("a1", None)])])
    assert len(candidates) == 2, "detections without a position are not known to be one"
    for candidate in candidates:
        assert {name for name, value in candidate.items() if value is None} == {
            *("ra_deg", "dec_deg", "first_epoch_mjd", "last_epoch_mjd"),
            *("unknown_detector", "rate_arcsec_per_h", "position_angle_deg"),
        }


@pytest.mark.parametrize(
    ("logits", "decision"),
    [([-1.0, -2.0], "bogus"), ([-1.0, 3.0], "real"), ([3.0, -1.0], "real"), ([4.0, 3.0], "real")],
)
def test_a_candidate_is_real_where_one_of_its_detections_is(logits: list[float], decision: str) -> None:
    epochs = [EPOCH_MJD + 1, None]
    rows = [row(f"a{place}", logit=logit, epoch_mjd=epochs[place]) for place, logit in enumerate(logits)]
    rows[1] |= {"unknown_detector": True}
    _, (candidate,) = found([(record(1, "a"), rows)])
    assert (candidate["decision"], candidate["max_logit"]) == (decision, max(logits))
    assert (candidate["first_epoch_mjd"], candidate["last_epoch_mjd"]) == (EPOCH_MJD + 1, EPOCH_MJD + 1)
    assert candidate["unknown_detector"] is True


def moves(logit: float = 5.0) -> list[tuple[VisitRecord, list[Row]]]:
    """Four visits of one source 90 arcsec west that stays, and of one that moves 15 arcsec east in each half hour."""
    visits = []
    for number, name in enumerate("abcd"):
        epoch = {"epoch_mjd": EPOCH_MJD + number * HOUR / 2}
        rows = [row(f"{name}0", 15.0 * number, logit, **epoch), row(f"{name}1", -90.0, **epoch)]
        visits.append((record(number + 1, name), rows))
    return visits


def test_what_moves_is_one_candidate_with_its_rate_and_direction() -> None:
    detections, (moving, stays) = found(moves())
    assert (moving["kind"], moving["detections"]) == ("moving", ["a0", "b0", "c0", "d0"])
    assert moving["rate_arcsec_per_h"] == pytest.approx(30, abs=1e-3)
    assert moving["position_angle_deg"] == pytest.approx(90, abs=1e-3)
    assert (moving["first_epoch_mjd"], moving["last_epoch_mjd"]) == (EPOCH_MJD, EPOCH_MJD + 1.5 * HOUR)
    assert (stays["kind"], stays["n_visits"], stays["rate_arcsec_per_h"]) == ("stationary", 4, None)
    assert len({each["candidate"] for each in detections}) == 2


def test_a_track_is_of_detections_that_are_decided_to_be_real() -> None:
    _, candidates = found(moves(logit=-5.0))
    assert {each["kind"] for each in candidates} == {"stationary"}
    assert len(candidates) == 5


places = st.none() | st.integers(0, 12).map(lambda step: 1.5 * step)
nights = st.lists(st.lists(st.tuples(places, st.sampled_from([None, -1.0, 2.0])), max_size=4), max_size=5)


@given(nights, st.integers(0, 5))
def test_each_detection_that_counts_is_in_one_candidate_and_later_visits_rename_none(
    visits: list[list[tuple[float | None, float | None]]], kept: int
) -> None:
    told = [
        (record(number + 1, f"v{number}"), [row(f"{number}-{place}", *each) for place, each in enumerate(rows)])
        for number, rows in enumerate(visits)
    ]
    detections, candidates = found(told)
    scored = [each["id"] for each in detections if each["logit"] is not None]
    assert sorted(name for each in candidates for name in each["detections"]) == sorted(scored)
    assert sum(each["n_detections"] for each in candidates) == len(scored)
    names = [each["candidate"] for each in candidates]
    assert len({*names}) == len(names)
    assert names == sorted(names)
    earlier, _ = found(told[:kept])
    assert [each["candidate"] for each in detections][: len(earlier)] == [each["candidate"] for each in earlier]


def write(store: VisitStore, each: VisitRecord, rows: list[Row]) -> None:
    told = [{"visit": each.visit, "revision": each.revision, **detection} for detection in rows]
    store.write(each, pa.Table.from_pylist(told, schema=VISIT_DETECTIONS), np.zeros((0, 21, 21, 3), np.float32))


def test_tables_are_those_of_the_records_and_the_same_however_often_they_are_written(
    workspace: Workspace, tmp_path: Path
) -> None:
    store = VisitStore(tmp_path / "visits")
    for each, rows in moves():
        write(store, each, rows)
    assert not are_current(workspace, NIGHT, store.read(NIGHT))
    tables = write_tables(workspace, store, NIGHT)
    assert (tables.count, tables.selected, tables.moving) == (2, 2, 1)
    assert (tables.detections, tables.candidates) == table_paths(workspace, NIGHT)
    assert pq.read_table(tables.detections).num_rows == 8
    before = [path.read_bytes() for path in table_paths(workspace, NIGHT)]
    assert write_tables(workspace, store, NIGHT) == tables
    assert [path.read_bytes() for path in table_paths(workspace, NIGHT)] == before
    assert are_current(workspace, NIGHT, store.read(NIGHT))
    write(store, record(5, "e", state="rejected"), [])
    assert not are_current(workspace, NIGHT, store.read(NIGHT))
    assert write_tables(workspace, store, NIGHT).count == 2
    assert are_current(workspace, NIGHT, store.read(NIGHT))
    tables.candidates.unlink()
    assert not are_current(workspace, NIGHT, store.read(NIGHT))


def test_a_night_of_rejected_visits_has_two_empty_tables(workspace: Workspace, tmp_path: Path) -> None:
    store = VisitStore(tmp_path / "visits")
    write(store, record(1, "a", state="duplicate"), [])
    tables = write_tables(workspace, store, NIGHT)
    assert (tables.count, tables.selected, tables.moving) == (0, 0, 0)
    assert pq.read_schema(tables.candidates).names == CANDIDATES.names


def test_visits_that_were_not_scored_are_counted_by_reason() -> None:
    records = [
        record(1, "a"),
        record(2, "b", state="rejected", reason="unreadable"),
        record(3, "c", state="duplicate"),
        record(4, "d", state="rejected", reason="corrupt"),
        record(5, "e", state="rejected", reason="unreadable"),
    ]
    assert list(counted(records).items()) == [("corrupt", 1), ("duplicate", 1), ("unreadable", 2)]
    assert counted(records[:1]) == counted([]) == {}

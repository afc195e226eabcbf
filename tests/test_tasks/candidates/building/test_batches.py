"""Batches of a real/bogus build: chip-visits, pairs, and records within a limit."""

from pathlib import Path
from typing import Any

import pytest

from realbogus.records import SourceError
from realbogus.simulation.night_conditions import NightConditions
from tasks.candidates.building.batches import hash_bound, list_batches, simulated_visits
from tasks.candidates.building.build_request import VISITS_A_NIGHT
from tasks.candidates.building.collect import PairVisits, ReadyTriplets, SimulatedVisits
from tasks.store.sampling import hash_share
from tests.small_candidates import ListedRecords, candidate_request
from tests.small_triplets import write_triplets


def visits_of(**changes: Any) -> list[tuple[int, int, int, int, int]]:
    keys = simulated_visits(candidate_request(**changes))
    return [(key.seed, key.night, key.chip, key.visit, key.field) for key in keys]


def test_visits_are_listed_visit_by_visit_so_that_fewer_are_a_prefix_of_more() -> None:
    assert visits_of(chips=2, visits=2) == [(3, 0, 0, 0, 0), (3, 0, 1, 0, 0), (3, 0, 0, 1, 1), (3, 0, 1, 1, 1)]
    assert visits_of(visits=3)[: 2 * 2] == visits_of(visits=2)
    assert len(visits_of(chips=2, visits=3)) == 6


def test_a_field_is_revisited_and_is_of_its_night_alone() -> None:
    fields = [visit[4] for visit in visits_of(chips=1, visits=5, revisits=2, night=7)]
    assert fields == [7000, 7000, 7001, 7001, 7002]
    assert max(visit[4] for visit in visits_of(chips=1, visits=VISITS_A_NIGHT)) == VISITS_A_NIGHT - 1


def test_a_limit_takes_the_first_visits() -> None:
    collector, batches = list_batches(candidate_request(limit=3, known_objects="simulated"))
    assert isinstance(collector, SimulatedVisits)
    assert collector.with_known
    assert [(batch.number, batch.name) for batch in batches] == [
        (0, "s3-n0-c0-v0"),
        (1, "s3-n0-c1-v0"),
        (2, "s3-n0-c0-v1"),
    ]
    plain = list_batches(candidate_request())[0]
    assert isinstance(plain, SimulatedVisits)
    assert not plain.with_known


def test_the_conditions_of_a_night_reach_its_visits() -> None:
    collector = list_batches(candidate_request(conditions={"seeing_factor": 1.5, "hot_chip": 1}))[0]
    assert isinstance(collector, SimulatedVisits)
    assert collector.special == NightConditions(seeing_factor=1.5, hot_chip=1)


def test_a_limit_of_records_is_met_exactly_by_the_hash_of_their_ids(tmp_path: Path) -> None:
    folder = str(write_triplets(tmp_path / "set", 20))
    ready, _ = list_batches(candidate_request(source="triplets", path=folder, limit=7))
    assert isinstance(ready, ReadyTriplets)
    selected = {name for key in ready.source.batches() for name in ready.source.ids(key) if ready.selects(name)}
    assert len(selected) == 7
    order = sorted((f"t{number}" for number in range(20)), key=lambda name: hash_share(name, 3))
    assert selected == set(order[:7])
    every, _ = list_batches(candidate_request(source="triplets", path=folder))
    assert isinstance(every, ReadyTriplets)
    assert every.below == 1.0


def test_the_hash_bound_is_that_of_the_first_record_beyond_the_limit() -> None:
    source = ListedRecords((("a", "b"), ("c", "d", "e")))
    keys = list(source.batches())
    shares = sorted(hash_share(name, 1) for name in "abcde")
    assert hash_bound(source, keys, 2, 1) == shares[2]
    assert hash_bound(source, keys, 4, 1) == shares[4]
    assert hash_bound(source, keys, 5, 1) == hash_bound(source, keys, 6, 1) == 1.0


def test_files_that_are_missing_are_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        list_batches(candidate_request(source="frames", path=str(tmp_path / "nowhere")))
    pair = tmp_path / "pairs.csv"
    pair.write_text("new,reference\na.fits,b.fits\n")
    for name in ("a.fits", "b.fits"):
        (tmp_path / name).write_bytes(b"x")
    asked = {"source": "frames", "path": str(pair)}
    collector, batches = list_batches(candidate_request(**asked))
    assert isinstance(collector, PairVisits)
    assert len(batches) == 1
    with pytest.raises(FileNotFoundError, match=r"galaxy_catalog=.*none\.csv does not exist"):
        list_batches(candidate_request(**asked, galaxy_catalog=str(tmp_path / "none.csv")))
    with pytest.raises(SourceError, match="none"):
        list_batches(candidate_request(**asked, known_objects=str(tmp_path / "none.csv")))

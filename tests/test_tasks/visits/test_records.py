"""Records of visits: which delivery is done, which is a copy of another, and what a second revision does."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.inbox.deliveries import Delivery
from tasks.visits.records import NightRecords, VisitRecord, VisitsBusyError, VisitStore

NIGHT = "2026-11-28"
NAMES, DIGESTS = "abc", "xyz"
deliveries = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(DIGESTS)), max_size=14)


def delivered(name: str, digest: str) -> Delivery:
    return Delivery(NIGHT, name, Path(name), "frames", (), digest)


def take(records: NightRecords, delivery: Delivery) -> NightRecords:
    """The records after a run has taken a delivery, as the flow does."""
    if records.is_done(delivery):
        return records
    equal = records.equal_to(delivery)
    newest = records.newest.get(delivery.name)
    record = VisitRecord(
        night=NIGHT,
        visit=delivery.name,
        revision=1 if newest is None else newest.revision + 1,
        order=records.next_order,
        digest=str(delivery.digest),
        state="scored" if equal is None else "duplicate",
        duplicate_of=equal,
    )
    return NightRecords((*records.records, record))


@given(deliveries)
def test_at_the_end_every_content_that_lies_in_the_inbox_is_scored_once(history) -> None:
    records, inbox = NightRecords(()), dict[str, str]()
    for name, digest in history:
        inbox[name] = digest
        for _ in range(len(NAMES)):  # a run goes on until nothing is left
            for other, content in sorted(inbox.items()):
                records = take(records, delivered(other, content))
    newest = records.newest
    assert all(records.is_done(delivered(name, digest)) for name, digest in inbox.items())
    scored = [record.digest for record in newest.values() if record.state == "scored"]
    assert sorted(scored) == sorted(set(inbox.values()))
    assert [record.order for record in records.records] == list(range(1, len(records.records) + 1))


def test_only_one_process_scores(tmp_path: Path) -> None:
    store = VisitStore(tmp_path / "visits")
    with store.one_scorer(), pytest.raises(VisitsBusyError, match="another run"), store.one_scorer():
        pass
    with store.one_scorer():
        pass

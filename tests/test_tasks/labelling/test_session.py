"""Every item gets the opinions that are wanted of it, nobody gets one twice, and an undo gives it back."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.answers import standing_answers
from tasks.labelling.queues import EVERYBODY
from tasks.labelling.session import RESERVED_S, LabelSession, RefusedAnswerError
from tests.answer_writers import make_answer


def work(session: LabelSession, labeller: str, most: int = 1000, count: int = 5) -> list[str]:
    """Answer what comes until nothing comes; return the samples."""
    samples: list[str] = []
    while len(samples) < most:
        ranks = session.next_ranks(labeller, count=count)
        if not ranks:
            break
        for rank in ranks[: most - len(samples)]:
            sample = session.queue.ids[rank]
            session.answer(f"{labeller}-{len(samples)}-{sample}", labeller, sample, "answer", "real")
            samples.append(sample)
    return samples


def test_each_row_gets_its_opinions_and_gold_everybodys(session: LabelSession) -> None:
    answered = {name: work(session, name) for name in ("ann", "bob", "eve")}
    assert all(len(set(samples)) == len(samples) for samples in answered.values())
    counts = Counter(sample for samples in answered.values() for sample in samples)
    wanted = session.queue.opinions
    for sample, opinions in zip(session.queue.ids, wanted, strict=True):
        assert counts[sample] == (3 if opinions == EVERYBODY else opinions)
    assert session.progress("ann") == {"items": 21, "finished": 21, "mine": len(answered["ann"])}


def test_what_one_holds_another_does_not_get_until_the_time_is_over(session: LabelSession) -> None:
    moment = 0.0
    session.clock = lambda: moment
    one = session.next_ranks("ann", count=21)
    two = session.next_ranks("bob", count=21)
    single = {rank for rank in range(21) if session.queue.opinions[rank] == 1}
    assert one == list(range(21))
    assert two == [rank for rank in one if rank not in single]
    assert session.next_ranks("eve", count=21) == np.flatnonzero(session.queue.opinions == EVERYBODY).tolist()
    assert session.next_ranks("ann", count=21) == one
    moment = RESERVED_S + 1
    assert session.next_ranks("eve", count=21) == one


def test_paging_goes_on_behind_the_cursor_and_keeps_to_the_rows_that_are_wanted(session: LabelSession) -> None:
    pages, after = [], -1
    while ranks := session.next_ranks("ann", after=after, count=4):
        pages += ranks
        after = ranks[-1]
    assert pages == list(range(21))
    odd = np.arange(21) % 2 == 1
    assert session.next_ranks("ann", among=odd, after=2, count=3) == [3, 5, 7]
    assert session.count_free("ann", odd) == 10


def test_what_a_labeller_left_open_comes_again_until_it_is_answered(session: LabelSession) -> None:
    moment = 0.0
    session.clock = lambda: moment
    ids, (one, two, three) = session.queue.ids, np.flatnonzero(session.queue.opinions == 1)[:3].tolist()
    for rank, action, label in ((one, "skip", None), (two, "answer", "unsure"), (three, "answer", "real")):
        session.answer(f"a{rank}", "ann", ids[rank], action, label)
    assert (session.next_ranks("ann", mine="skipped"), session.next_ranks("ann", mine="unsure")) == ([one], [two])
    assert session.next_ranks("ann", among=np.arange(21) != one, mine="skipped") == []
    assert session.next_ranks("bob", mine="skipped") == []
    session.answer("b", "bob", ids[one], "answer", "real")  # the one opinion that is wanted
    assert (session.next_ranks("ann", mine="skipped"), session.count_free("ann", mine="skipped")) == ([], 0)
    session.answer("c", "ann", ids[two], "answer", "bogus")
    assert session.next_ranks("ann", mine="unsure") == []
    session.undo("d", "ann")
    assert two in session.next_ranks("ann", count=21)


def test_undo_gives_back_the_last_and_another_process_sees_it(session: LabelSession) -> None:
    samples = work(session, "ann", most=3)
    row, repeated = session.undo("u1", "ann")
    assert (row.answer.undone, row.answer.sample, repeated) == (f"ann-2-{samples[2]}", samples[2], False)
    assert session.undo("u1", "ann") == (row, True)
    assert session.undo("u2", "bob") is None
    assert session.standing("ann", samples[2]) is None
    assert session.standing("ann", samples[1]).label == "real"
    other = LabelSession(session.queue, AnswerLog(session.log.path))
    for each in (session, other):
        assert each.progress("ann")["mine"] == 2
        assert session.queue.ids[each.next_ranks("ann", count=1)[0]] == samples[2]
    assert [session.undo(f"u{n}", "ann") is None for n in (3, 4, 5)] == [False, False, True]


def test_a_skip_asks_someone_else(session: LabelSession) -> None:
    rank = next(rank for rank in session.next_ranks("ann", count=21) if session.queue.opinions[rank] == 1)
    session.answer("s", "ann", session.queue.ids[rank], "skip", None)
    assert rank not in session.next_ranks("ann", count=21)
    assert rank in session.next_ranks("bob", count=21)
    assert session.progress("ann") == {"items": 21, "finished": 0, "mine": 1}


def test_an_answer_records_why_and_with_which_chance_it_was_asked(session: LabelSession) -> None:
    rank = int(np.flatnonzero(session.queue.opinions)[0])
    asked = session.queue.row(rank)
    row, _ = session.answer("a", "ann", asked["id"], "answer", "bogus", "a trail")
    answer = row.answer
    assert (answer.reason, answer.inclusion_probability) == ("random", pytest.approx(20 / 60))
    assert (answer.previous, answer.label_version, answer.gold) == (asked["previous"], "night@1", False)
    assert (answer.queue, answer.comment, answer.label) == ("random", "a trail", "bogus")
    gold = session.queue.ids[int(np.flatnonzero(session.queue.opinions == EVERYBODY)[0])]
    assert session.answer("g", "ann", gold, "answer", "real")[0].answer.gold


def test_what_does_not_fit_is_refused_and_not_logged(session: LabelSession) -> None:
    with pytest.raises(RefusedAnswerError, match="label 'star' is none of bogus, real, unsure"):
        session.answer("a", "ann", session.queue.ids[0], "answer", "star")
    with pytest.raises(RefusedAnswerError, match="has no sample 'c9999'"):
        session.answer("a", "ann", "c9999", "answer", "real")
    assert session.log.rows() == []


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["real", "bogus", "skip", "undo"]), st.integers(0, 5))
    )
)
def test_a_session_knows_what_the_log_says_stands(session: LabelSession, steps: list[tuple[str, str, int]]) -> None:
    start = len(session.log.rows())
    for number, (labeller, act, rank) in enumerate(steps):
        if act == "undo":
            session.undo(f"{start}-{number}", labeller)
        else:
            action = "skip" if act == "skip" else "answer"
            sample = session.queue.ids[rank]
            session.answer(f"{start}-{number}", labeller, sample, action, None if act == "skip" else act)
    stands = standing_answers(row.answer for row in session.log.rows())
    for labeller in "ab":
        mine = {answer.sample: answer for answer in stands if answer.labeller == labeller}
        assert session.progress(labeller)["mine"] == len(mine)
        assert all(session.standing(labeller, name) == mine.get(name) for name in session.queue.ids)
    given_opinions = Counter(answer.sample for answer in stands if answer.action == "answer")
    open_ranks = [
        rank
        for rank, name in enumerate(session.queue.ids)
        if given_opinions[name] < max(1, session.queue.opinions[rank])
    ]
    assert session.progress("a")["finished"] == len(session.queue) - len(open_ranks)


def test_answers_of_other_queues_do_not_count(session: LabelSession) -> None:
    session.log.append(make_answer("x", sample=session.queue.ids[0], queue="other"))
    assert session.progress("ann")["mine"] == 0

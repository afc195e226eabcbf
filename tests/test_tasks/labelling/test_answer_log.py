"""An answer that was acknowledged is in the log once, whoever wrote, died or asked again meanwhile."""

import json
import multiprocessing
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.labelling.answer_log import AnswerLog, AnswerLogError, UsedIdError
from tasks.labelling.answers import Answer, standing_answers
from tests.answer_writers import AT, make_answer, write_answers

WRITERS, KILLED, EACH = 10, 4, 30
texts = st.text(min_size=1, max_size=20).filter(lambda text: bool(text.strip()))
answers = st.builds(
    make_answer,
    id=texts,
    sample=texts,
    labeller=texts,
    comment=st.text(max_size=30),
    label=st.sampled_from(["real", "bogus", "unsure"]),
    inclusion_probability=st.none() | st.floats(0, 1, exclude_min=True),
    at=st.datetimes(timezones=st.just(AT.tzinfo)),
)


@pytest.fixture
def log(tmp_path: Path) -> AnswerLog:
    return AnswerLog(tmp_path / "night" / "answers.jsonl")


def ids_of(log: AnswerLog) -> list[str]:
    return [row.answer.id for row in log.rows()]


@settings(max_examples=25)  # each line is synced
@given(given_answers=st.lists(answers, max_size=8, unique_by=lambda answer: answer.id))
def test_another_process_reads_what_was_appended(
    given_answers: list[Answer], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("log") / "answers.jsonl"
    log = AnswerLog(path)
    rows = [log.append(answer)[0] for answer in given_answers]
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    assert AnswerLog(path).rows() == log.rows() == rows
    assert [row.answer for row in rows] == given_answers


def test_the_same_id_is_one_answer_and_another_answer_with_it_is_refused(log: AnswerLog) -> None:
    first, repeated = log.append(make_answer("a"))
    again = make_answer("a", at=AT.replace(year=2027))
    assert (repeated, log.append(again), AnswerLog(log.path).append(again)) == (False, (first, True), (first, True))
    with pytest.raises(UsedIdError, match="id 'a' is that of line 1"):
        log.append(make_answer("a", label="bogus"))
    assert ids_of(log) == ["a"]


def test_a_line_cut_anywhere_is_no_answer_and_is_cut_off_by_the_next(log: AnswerLog) -> None:
    for name in "abc":
        log.append(make_answer(name))
    whole = log.path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for size in (start, start + 1, (start + len(whole)) // 2, len(whole) - 1):
        log.path.write_bytes(whole[:size])
        assert ids_of(AnswerLog(log.path)) == ["a", "b"]
        AnswerLog(log.path).append(make_answer("d"))
        assert ids_of(AnswerLog(log.path)) == ["a", "b", "d"]


@pytest.mark.parametrize("change", ["label", "removed", "swapped", "not JSON", "another field"])
def test_a_changed_line_is_named(log: AnswerLog, change: str) -> None:
    for name in "abc":
        log.append(make_answer(name))
    lines = log.path.read_bytes().splitlines(keepends=True)
    changed = {
        "label": [lines[0], lines[1].replace(b'"real"', b'"bogus"'), lines[2]],
        "removed": [lines[0], lines[2]],
        "swapped": [lines[0], lines[2], lines[1]],
        "not JSON": [lines[0], b"\0" * 10 + b"\n", lines[2]],
        "another field": [lines[0], json.dumps(json.loads(lines[1]) | {"more": 1}).encode() + b"\n", lines[2]],
    }[change]
    log.path.write_bytes(b"".join(changed))
    for act in (lambda each: each.rows(), lambda each: each.append(make_answer("d"))):
        with pytest.raises(AnswerLogError, match="line 2 "):
            act(AnswerLog(log.path))
    assert log.path.read_bytes() == b"".join(changed)


def test_a_log_that_became_shorter_is_not_written_to(log: AnswerLog) -> None:
    for name in "ab":
        log.append(make_answer(name))
    log.path.write_bytes(log.path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(AnswerLogError, match="has become shorter"):
        log.append(make_answer("c"))


def test_an_answer_has_a_label_and_an_undo_names_one() -> None:
    for wrong in ({"label": None}, {"action": "skip"}, {"action": "undo", "label": None}, {"undone": "a"}):
        with pytest.raises(ValidationError):
            make_answer("a", **wrong)


def test_killed_writers_lose_nothing_that_was_acknowledged_and_double_nothing(log: AnswerLog, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.answer_writers"])

    def start(number: int, count: int) -> BaseProcess:
        process = context.Process(
            target=write_answers, args=(log.path, f"w{number}", count, tmp_path / f"told-{number}")
        )
        process.start()
        return process

    # Those that are to be killed would write for ever.
    writers = [start(number, 10**9 if number < KILLED else EACH) for number in range(WRITERS)]
    deadline = time.monotonic() + 60
    while len(log.rows()) < WRITERS * EACH // 3 or not all(
        (tmp_path / f"told-{each}").exists() for each in range(KILLED)
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for writer in writers[:KILLED]:
        writer.kill()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [-signal.SIGKILL] * KILLED + [0] * (WRITERS - KILLED)
    after_kill = ids_of(AnswerLog(log.path))
    told = [word for path in tmp_path.glob("told-*") for word in path.read_text().split()]
    assert set(told) <= set(after_kill)
    assert len(after_kill) == len(set(after_kill)) <= len(told) + KILLED
    # The killed ones do not know what arrived, and send all again.
    for writer in [start(number, EACH) for number in range(KILLED)]:
        writer.join(60)
    ids = ids_of(AnswerLog(log.path))
    assert len(ids) == len(set(ids))
    assert {f"w{number}-{each}" for number in range(WRITERS) for each in range(EACH)} <= set(ids)


def undo(id: str, undone: str, **changes: str) -> Answer:
    return make_answer(id, action="undo", label=None, undone=undone, **changes)


def test_what_was_undone_or_answered_again_does_not_stand() -> None:
    history = [
        make_answer("1"),
        make_answer("2", label="bogus"),
        make_answer("3", labeller="bob"),
        make_answer("4", sample="c0001"),
        undo("5", "4", sample="c0001"),
        undo("6", "4", sample="c0001"),
        make_answer("7", sample="c0002", action="skip", label=None),
        undo("8", "1"),
        make_answer("9", queue="other"),
    ]
    assert [answer.id for answer in standing_answers(history)] == ["2", "3", "7", "9"]
    assert [answer.id for answer in standing_answers([*history, undo("10", "2")])] == ["3", "7", "9"]

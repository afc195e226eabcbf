"""Flow runs of the home page."""

from typing import Any

from tasks.home.runs import QUESTIONS


def runs_of(*flows_and_states: str) -> list[dict[str, Any]]:
    return [{"flow_id": word[0], "state_type": word[1:], "id": place} for place, word in enumerate(flows_and_states)]


def told(question: Any, runs: list[dict[str, Any]]) -> list[int]:
    return [run["id"] for run in question.told(runs)]


def test_the_first_run_of_each_flow_in_a_state_is_told_and_every_one_that_runs() -> None:
    running, scheduled, ended = QUESTIONS
    assert told(scheduled, runs_of(*[f"{flow}SCHEDULED" for flow in "aababcdefa"])) == [0, 2, 5, 6]
    assert told(ended, runs_of("aCOMPLETED", "aCOMPLETED", "aFAILED", "bCOMPLETED", "aFAILED")) == [0, 2, 3]
    assert told(running, runs_of("aRUNNING", "aRUNNING", "bPENDING")) == [0, 1, 2]

"""Flow runs of the home page."""

from tasks.home.runs import QUESTIONS


def test_of_scheduled_runs_the_next_of_each_flow_is_told_and_of_others_the_first_ones() -> None:
    _, scheduled, ended = QUESTIONS
    runs = [{"flow_id": flow, "id": number} for number, flow in enumerate("aababcdefa")]
    assert [run["id"] for run in scheduled.told(runs)] == [0, 2, 5, 6]
    assert scheduled.asked > 100, "a flow that runs every minute hides no other"
    assert (ended.told(runs), ended.asked) == (runs[:6], 6)

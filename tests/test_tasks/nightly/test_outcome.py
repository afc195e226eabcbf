"""What the message of a night tells of its drift."""

from tasks.nightly.outcome import drift_told


def test_the_largest_drift_ends_the_message_and_the_others_are_counted() -> None:
    assert drift_told(None) == drift_told({"verdict": "quiet", "reasons": []}) == ""
    assert drift_told({"reasons": ["chip01 rate: 20 instead of 1"]}) == "; drift: chip01 rate: 20 instead of 1"
    assert drift_told({"reasons": ["a", "b", "c"]}) == "; drift: a and 2 more"

"""The ladder's steps: each further one adds one training method to the one before."""

from flows.compare_ladder import FURTHER, LONGER, STEPS, list_steps
from tasks.candidates.methods import CandidateMethods
from tasks.studies.rows import StudyRow


def test_each_further_step_adds_to_the_one_before() -> None:
    steps = list_steps(8)
    rows = [StudyRow(name=name, seed=0, **step) for name, step in steps.items()]
    assert [row.name for row in rows] == [*STEPS, *FURTHER]
    first, further = rows[len(STEPS) - 1], rows[len(STEPS) :]
    assert (first.epochs, first.methods) == (None, CandidateMethods())
    before = first
    for row, change in zip(further, FURTHER.values(), strict=True):
        assert row.methods.given == before.methods.given | change
        assert not before.methods.given.keys() & change.keys()
        same = {"name": first.name, "epochs": None, "methods": CandidateMethods()}
        assert row.model_copy(update=same) == first
        assert row.epochs == LONGER * 8
        before = row


def test_listing_the_steps_again_gives_the_same_steps() -> None:
    assert list_steps(4) == list_steps(4)
    assert list(list_steps(4).values())[: len(STEPS)] == list(STEPS.values())

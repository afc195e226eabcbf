"""The ladder's steps: each further one adds to the one before; chosen ones come with what they are compared with."""

import json

import pytest

from realbogus.models.network_settings import Network
from tasks.candidates.methods import CandidateMethods
from tasks.studies.ladder import FIRST, FRESH, FURTHER, LONGER, TRAINING, StepError, choose_steps, list_steps
from tasks.studies.rows import StudyRow


def rows_of(fresh_reals: float | None, network: Network = "simple") -> list[StudyRow]:
    return [StudyRow(name=name, seed=0, **step) for name, step in list_steps(8, fresh_reals, network).items()]


@pytest.mark.parametrize(("network", "own"), [("complex", ["complex, all"]), ("simple", [])])
def test_each_step_adds_to_the_one_before(network: Network, own: list[str]) -> None:
    rows = rows_of(None, network)
    assert [row.name for row in rows] == [*FIRST, *own, *TRAINING, *(name for name in FURTHER if name != FRESH)]
    assert {row.real_share for row in rows} == {None}
    assert {row.network for row in rows[len(FIRST) :]} == {network}
    first = len(FIRST) + len(own)
    for before, row in zip(rows[first - 1 :], rows[first : first + len(TRAINING)], strict=False):
        assert row == before.model_copy(update={"name": row.name, **TRAINING[row.name]})
    before = last = rows[first + len(TRAINING) - 1]
    assert (last.epochs, last.methods) == (None, CandidateMethods())
    for row in rows[first + len(TRAINING) :]:
        change = FURTHER[row.name]
        assert row.methods.given == before.methods.given | change
        assert not before.methods.given.keys() & change.keys()
        same = {"name": last.name, "epochs": None, "methods": CandidateMethods()}
        assert row.model_copy(update=same) == last
        assert row.epochs == LONGER * 8
        before = row
    assert before.methods.distill_teachers == 3


def test_as_many_reals_are_in_every_epoch_before_and_after_fresh_ones_are_drawn() -> None:
    rows = rows_of(0.25)
    assert FRESH in [row.name for row in rows]
    place = next(place for place, row in enumerate(rows) if row.name == FRESH)
    assert {(row.real_share, row.methods.fresh_reals) for row in rows[:place]} == {(0.25, None)}
    assert {(row.real_share, row.methods.fresh_reals) for row in rows[place:]} == {(None, 0.25)}
    before, fresh = rows[place - 1 : place + 1]
    assert before.model_copy(update={"name": "", "real_share": None}) == fresh.model_copy(
        update={"name": "", "methods": CandidateMethods()}
    ), "the step changes the reals alone"
    plain = rows_of(None)
    assert rows[-1].methods.given == plain[-1].methods.given | {"fresh_reals": 0.25}


def test_chosen_steps_bring_the_one_before_in_the_ladder_s_order_and_with_the_same_settings() -> None:
    steps = list_steps(4, 0.5)
    names = list(steps)
    chosen = choose_steps(steps, [names[-1], names[3], names[2]])
    assert list(chosen) == [*names[1:4], *names[-2:]]
    assert all(chosen[name] == steps[name] for name in chosen), "rows that are there already are not trained again"
    assert list(choose_steps(steps, names[:1])) == names[:1]
    assert choose_steps(steps, None) == steps


def test_a_step_that_there_is_not_is_named_with_those_there_are() -> None:
    steps = list_steps(4, network="complex")
    with pytest.raises(StepError, match="there is no 'compound'; choose of") as refused:
        choose_steps(steps, ["complex, all", "compound"])
    assert json.loads(str(refused.value).partition("choose of ")[2]) == list(steps)
    with pytest.raises(StepError, match=r"'\+ fresh injections each epoch' needs fresh_reals"):
        choose_steps(steps, [FRESH])
    with pytest.raises(StepError, match="steps is empty"):
        choose_steps(steps, [])


def test_listing_the_steps_again_gives_the_same_steps() -> None:
    assert list_steps(4, 0.5) == list_steps(4, 0.5)
    assert list(list_steps(4).values())[: len(FIRST)] == list(FIRST.values())

"""The command that repeats a flow run: what the command line reads from it are the run's parameters."""

import shlex
from typing import Any

import pytest

from flows.cli.flow_catalogue import load_flow
from flows.cli.parameters import read_parameters
from tasks.candidates.methods import CandidateMethods
from tasks.runtime.flow_command import command_of, flow_command

GIVEN: list[tuple[str, dict[str, Any]]] = [
    ("train-realbogus", {}),
    ("train-realbogus", {"dataset": "my sky's", "epochs": 3, "loss_ce": 0.5, "seed": 0, "labels": None}),
    ("train-realbogus", {"methods": CandidateMethods(weight_average=0.998, average_views=True)}),
    ("label-noise-bench", {"matched": [0.1, 0.3], "handlings": ["none", "remove"], "seeds": [0, 1, 2]}),
    ("compare-trainings", {"dataset": "gz1", "sizes": [100, "all"], "seeds": [3]}),
    ("build-galaxy-dataset", {"columns": {"ra": "RA_fit"}, "max_rate_per_s": None, "allow_mixed": True}),
]


@pytest.mark.parametrize(("name", "given"), GIVEN)
def test_the_command_line_reads_the_same_parameters(name: str, given: dict[str, Any]) -> None:
    function = load_flow(name).fn
    program, run, flow, *words = shlex.split(command_of(name, function, given))
    assert (program, run, flow) == ("starloom", "run", name)
    assert set(words[::2]) <= {"-p"}
    read = read_parameters(function, words[1::2])
    assert read == {key: value for key, value in given.items() if key in read}
    defaults = read_parameters(function, [])
    assert not set(read) & set(defaults)


def test_parameters_of_the_defaults_are_left_out() -> None:
    def flow(dataset: str = "sky", seeds: list[int] = [0, 1], limit: int | None = None) -> None:  # noqa: B006
        pass

    assert command_of("f", flow, {"dataset": "sky", "seeds": [0, 1], "limit": None}) == "starloom run f"
    assert command_of("f", flow, {"seeds": [0], "limit": 4}) == "starloom run f -p 'seeds=[0]' -p limit=4"


def test_methods_are_those_that_were_given() -> None:
    given = {"methods": CandidateMethods(weight_average=0.998)}
    command = command_of("train-realbogus", load_flow("train-realbogus").fn, given)
    assert command == """starloom run train-realbogus -p 'methods={"weight_average": 0.998}'"""


def test_there_is_no_command_outside_of_a_flow() -> None:
    assert flow_command() is None

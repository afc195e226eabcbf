"""Ten points at which a build is disturbed: what is told, that all is whole, and that a rerun ends as if undisturbed.

The whole table of faults and flows is `make drill`. A killed training, a lost Prefect server, a damaged model and a
service that is down have tests of their own beside the code that answers for them.
"""

from collections.abc import Iterator

import pytest

from flows.build_realbogus_dataset import build_realbogus_dataset
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tests.drill.cases import Case, all_cases
from tests.drill.faults import FAULTS
from tests.drill.inputs import write_inputs
from tests.drill.trial import Drill

GALAXIES, CANDIDATES, EXPORT = "build-galaxy-dataset", "build-realbogus-dataset", "export-dataset"
BATCH, SHARD, PART = 0, 1, 2
"""Seeds that choose these points of a build: a batch staged, a shard written, a version half written."""
POINTS = [
    ("kill-flow", GALAXIES, BATCH),
    ("kill-dask-worker", GALAXIES, BATCH),
    ("kill-dask-scheduler", GALAXIES, BATCH),
    ("kill-flow", CANDIDATES, PART),
    ("fill-disk", CANDIDATES, BATCH),
    ("corrupt-ledger-part", CANDIDATES, BATCH),
    ("turn-clock", CANDIDATES, SHARD),
    ("two-builders", CANDIDATES, BATCH),
    ("move-workspace", CANDIDATES, SHARD),
    ("corrupt-shard", EXPORT, 0),
]


@pytest.fixture(scope="module")
def drill(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A drill whose flows share the suite's Prefect server, with the dataset ``made`` in its base workspace."""
    folder = tmp_path_factory.mktemp("drill")
    inputs = write_inputs(folder / "inputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT_NAME, str(folder / "base"))
        build_realbogus_dataset(dataset="made", source="triplets", path=str(inputs.survey))
        yield Drill(folder, Workspace.current().root, inputs, with_server=False)


@pytest.fixture(scope="module")
def cases(drill: Drill) -> dict[str, Case]:
    return {case.flow: case for case in all_cases(drill.inputs)}


@pytest.mark.parametrize(("name", "flow", "point"), POINTS, ids=[f"{name} {flow}" for name, flow, _ in POINTS])
def test_disturbed_and_run_again_it_ends_as_if_undisturbed(
    drill: Drill, cases: dict[str, Case], name: str, flow: str, point: int
) -> None:
    fault = next(fault for fault in FAULTS if fault.name == name)
    unfit = fault.unfit(cases[flow])
    if unfit is not None:
        pytest.skip(unfit)
    outcome = drill.run(fault, cases[flow], point)
    assert (outcome.verdict, outcome.complaints) == ("green", [])

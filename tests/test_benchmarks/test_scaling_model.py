"""The model of a build on many workers, against what can be computed by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.scaling_model import Load, simulated_s, speed_ups

seconds = st.lists(st.floats(0.01, 10), min_size=1, max_size=8).map(tuple)


@given(seconds, st.integers(1, 60), st.integers(1, 12))
def test_between_the_ideal_and_one_worker_and_within_grahams_bound(
    recorded: tuple[float, ...], batches: int, workers: int
) -> None:
    load = Load(batches, recorded)
    took = simulated_s(load, workers)
    assert load.ideal_s(workers) <= took * (1 + 1e-9)
    assert took <= load.work_s * (1 + 1e-9)
    # Graham 1966: handing out to whoever is free ends within the ideal and one batch more.
    assert took <= load.ideal_s(workers) + max(recorded) * (1 + 1e-9)


@given(seconds, st.integers(1, 60))
def test_one_worker_takes_the_sum(recorded: tuple[float, ...], batches: int) -> None:
    load = Load(batches, recorded, handing_s=0.5, alone_s=7.0)
    assert simulated_s(load, 1) == pytest.approx(load.work_s + 0.5 * batches + 7.0)


def test_batches_of_one_length_go_round_by_round() -> None:
    assert simulated_s(Load(10, (2.0,)), 4) == 6.0
    assert speed_ups(Load(10, (2.0,)), [4])[4]["of_ideal"] == pytest.approx(5 / 6)


def test_a_service_sets_the_pace_whatever_the_number_of_workers() -> None:
    load = Load(100, (1.0,), requests=50, rate_per_s=10.0)
    assert [simulated_s(load, workers) for workers in (1, 16, 256)] == [500.0, 500.0, 500.0]


def test_handing_out_sets_the_pace_of_many_workers() -> None:
    load = Load(1000, (1.0,), handing_s=0.1)
    assert simulated_s(load, 256) == pytest.approx(1000 * 0.1 + 1.0)


def test_without_a_recorded_batch_nothing_is_told() -> None:
    with pytest.raises(ValueError, match="no batch was recorded"):
        simulated_s(Load(1, ()), 1)

"""Memory in its three ranges; GPUs are looked for by TensorFlow only where the driver shows some."""

import sys

import pytest

from tasks.doctor.installation import TENSORFLOWS, installed_versions
from tasks.doctor.machine import check_gpus, check_machine, check_memory


def test_the_less_memory_is_available_the_worse() -> None:
    assert [check_memory(available, 16.0).state for available in (8.0, 2.0, 0.5)] == ["ok", "warning", "problem"]
    assert "8.0 of 16.0 GB" in check_memory(8.0, 16.0).value


def test_without_a_visible_gpu_tensorflow_is_not_started() -> None:
    before = "tensorflow" in sys.modules
    gpus = check_machine({"CUDA_VISIBLE_DEVICES": ""})[1]
    assert (gpus.state, gpus.value) == ("ok", "none visible; networks are trained on the processor")
    assert ("tensorflow" in sys.modules) is before


@pytest.mark.skipif("tensorflow-cpu" not in installed_versions(TENSORFLOWS), reason="TensorFlow with CUDA is installed")
def test_gpus_that_this_tensorflow_cannot_use_are_a_warning() -> None:
    found = check_gpus(["0", "1"])
    assert found.state == "warning"
    assert found.value.startswith("2 visible")
    assert "EXTRA=gpu" in found.remedy

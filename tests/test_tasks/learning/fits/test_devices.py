"""The device of a fit: its name, its precision by what the processor can, its strategy."""

from pathlib import Path

import pytest
import tensorflow as tf

from tasks.learning.fits import devices
from tasks.learning.fits.devices import FULL, HALF, Device, DeviceError, choose_device


@pytest.mark.parametrize(
    ("flags", "has_half"),
    [("fpu avx512_bf16 sse", True), ("fpu amx_bf16", True), ("fpu avx512f avx512_vnni", False), ("", False)],
)
def test_a_processor_with_bfloat16_fits_in_it(tmp_path: Path, flags: str, has_half: bool) -> None:
    description = tmp_path / "cpuinfo"
    description.write_text(f"processor : 0\nflags : {flags}\n")
    assert devices._processor_has_half(description) is has_half


def test_a_processor_without_a_description_fits_in_float32(tmp_path: Path) -> None:
    assert devices._processor_has_half(tmp_path / "absent") is False


def test_without_a_gpu_the_processor_fits_and_a_gpu_is_refused() -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    for wanted in ("auto", "cpu"):
        device = choose_device(wanted)
        assert (device.kind, device.names) == ("cpu", ("/cpu:0",))
        assert device.precision == (HALF if devices._processor_has_half() else FULL)
    assert choose_device("auto", "gpu").precision == choose_device("auto", "none").precision == FULL
    with pytest.raises(DeviceError, match="TensorFlow finds no GPU"):
        choose_device("gpu")


def test_a_device_names_kind_number_and_precision() -> None:
    assert str(Device("gpu", ("/gpu:0", "/gpu:1"), HALF)) == "gpu x2 (mixed_bfloat16)"
    assert str(Device("cpu", ("/cpu:0",), FULL)) == "cpu x1 (float32)"


def test_one_device_needs_no_strategy_of_its_own() -> None:
    if tf.config.list_logical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    assert Device("cpu", ("/cpu:0",), FULL).strategy() is tf.distribute.get_strategy()
    assert Device("gpu", ("/gpu:0",), FULL).strategy() is tf.distribute.get_strategy()

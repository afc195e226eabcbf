"""The device that a network is fitted on, and its precision."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tensorflow as tf

from tasks.learning.fits.fit_settings import DeviceName, MixedPrecision

FULL = "float32"
HALF = "mixed_bfloat16"

# Processors that multiply bfloat16 in hardware; on others TensorFlow emulates it, slower than float32.
_HALF_FLAGS = {"avx512_bf16", "amx_bf16"}
_HALF_CAPABILITY = (8, 0)  # NVIDIA Ampere


class DeviceError(RuntimeError):
    """The requested device is not available."""


@dataclass(frozen=True)
class Device:
    """A device to fit on.

    Attributes
    ----------
    kind : str
        cpu or gpu.
    names : tuple of str
        TensorFlow's names of the devices used.
    precision : str
        Keras dtype policy of the hidden layers; weights, logits and loss are float32 in any case.
    """

    kind: str
    names: tuple[str, ...]
    precision: str

    def __str__(self) -> str:
        return f"{self.kind} x{len(self.names)} ({self.precision})"

    def strategy(self) -> tf.distribute.Strategy:
        """Return the strategy in whose scope a model is built: mirrored over several devices, else plain."""
        if len(self.names) > 1:
            return _mirrored(self.names)
        if self.kind == "cpu" and tf.config.list_logical_devices("GPU"):
            return tf.distribute.OneDeviceStrategy(self.names[0])
        return tf.distribute.get_strategy()


@cache
def _mirrored(names: tuple[str, ...]) -> tf.distribute.Strategy:
    """Return the one strategy over these devices: two number their exchanges alike, and TensorFlow confuses them."""
    return tf.distribute.MirroredStrategy(names)


def choose_device(wanted: DeviceName, mixed_precision: MixedPrecision = "any", asked: str = "device=gpu") -> Device:
    """Return the device to fit on: every GPU there is, or the processor.

    Parameters
    ----------
    wanted : str
    mixed_precision : str
        Devices that fit in bfloat16 where they have it in hardware, as in `FitSettings`.
    asked : str
        How a GPU was requested, for the error.

    Raises
    ------
    DeviceError
        ``gpu`` was requested and TensorFlow finds none.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if wanted == "gpu" and not gpus:
        raise DeviceError(
            f"{asked}, but TensorFlow finds no GPU here: install the gpu extra and its driver, or ask for device=cpu"
        )
    if gpus and wanted != "cpu":
        names = tuple(f"/gpu:{number}" for number in range(len(gpus)))
        return Device("gpu", names, HALF if mixed_precision != "none" and _gpus_have_half(gpus) else FULL)
    return Device("cpu", ("/cpu:0",), HALF if mixed_precision == "any" and _processor_has_half() else FULL)


def _gpus_have_half(gpus: Sequence) -> bool:
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return all(detail.get("compute_capability", (0, 0)) >= _HALF_CAPABILITY for detail in details)


def _processor_has_half(description: Path = Path("/proc/cpuinfo")) -> bool:
    try:
        return bool(_HALF_FLAGS & set(description.read_text(encoding="ascii", errors="replace").split()))
    except OSError:
        return False

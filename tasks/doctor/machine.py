"""Processors, memory and GPUs of this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

import psutil

from tasks.doctor.finding import Finding, ok
from tasks.doctor.installation import TENSORFLOWS, installed_versions
from tasks.server.slots import visible_gpus

GB = 1e9
LITTLE_MEMORY_GB, TOO_LITTLE_MEMORY_GB = 3.0, 1.0
"""TensorFlow and a training take about 2 GB; the Prefect server and a build about 1 GB."""
_LOOK_S = 90.0
_COUNT_GPUS = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"


def check_machine(environment: Mapping[str, str]) -> list[Finding]:
    """Check memory and GPUs."""
    memory = psutil.virtual_memory()
    return [check_memory(memory.available / GB, memory.total / GB), check_gpus(visible_gpus(environment))]


def check_memory(available_gb: float, total_gb: float) -> Finding:
    """Check the memory that is available, in GB."""
    value = f"{available_gb:.1f} of {total_gb:.1f} GB available, {os.cpu_count() or 1} processors"
    remedy = "end other programs, or run on a larger machine"
    if available_gb < TOO_LITTLE_MEMORY_GB:
        return Finding("memory", "problem", value, remedy)
    if available_gb < LITTLE_MEMORY_GB:
        return Finding("memory", "warning", f"{value}; a training takes about 2 GB", remedy)
    return ok("memory", value)


def check_gpus(visible: Sequence[str]) -> Finding:
    """Check that TensorFlow finds the GPUs that the driver shows; it is started, for seconds, only if there are any."""
    if not visible:
        return ok("GPU", "none visible; networks are trained on the processor")
    shown = f"{len(visible)} visible{_described()}"
    if "tensorflow-cpu" in installed_versions(TENSORFLOWS):
        remedy = "`make install EXTRA=gpu` in a new environment"
        return Finding("GPU", "warning", f"{shown}, but tensorflow-cpu is installed, which cannot use them", remedy)
    found = _gpus_of_tensorflow()
    if found == 0:
        remedy = "compare the driver's CUDA version with TensorFlow's; until then trainings run on the processor"
        return Finding("GPU", "warning", f"{shown}, but TensorFlow finds none", remedy)
    if found is None:
        return Finding("GPU", "warning", f"{shown}; TensorFlow did not answer", "start a training with device=gpu")
    return ok("GPU", f"{shown}; TensorFlow finds {found}")


def _described() -> str:
    """Return names and memory of the GPUs by the driver's own program, in parentheses; empty without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    answer = _answer_of([program, "--query-gpu=name,memory.total", "--format=csv,noheader"], 10.0)
    return f" ({'; '.join(answer.split(chr(10)))})" if answer else ""


def _gpus_of_tensorflow() -> int | None:
    """Return the number of GPUs that TensorFlow finds in a process of its own, None without an answer."""
    answer = _answer_of([sys.executable, "-c", _COUNT_GPUS], _LOOK_S)
    last = answer.rpartition("\n")[2]
    return int(last) if last.isdigit() else None


def _answer_of(command: Sequence[str], limit_s: float) -> str:
    """Return what a program writes to stdout; empty if it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

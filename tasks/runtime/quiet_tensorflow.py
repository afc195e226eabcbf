"""Importing TensorFlow without its start-up messages; the import takes about 12 s, so only fitting and scoring pay."""

import os
import sys
from importlib import import_module
from pathlib import Path


def quiet_tensorflow() -> None:
    """Import TensorFlow with stderr closed: its C++ part writes start-up messages whatever the log level is."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import_module("tensorflow")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)

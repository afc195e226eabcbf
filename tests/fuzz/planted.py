"""Parsers that do what no parser may, so that the fuzzing itself can be tested."""

import time
from pathlib import Path

import numpy as np

from tests.fuzz.parsers import Parser


def _sample(folder: Path) -> dict[str, bytes]:
    return {"a.bin": b"whole, with 1 number"}


def _refusing(path: Path) -> None:
    if path.read_bytes() != b"whole, with 1 number":
        raise ValueError("not whole")


def _raising(path: Path) -> None:
    if path.read_bytes() != b"whole, with 1 number":
        raise KeyError("what")


def _hanging(path: Path) -> None:
    if path.read_bytes() != b"whole, with 1 number":
        time.sleep(60)


def _greedy(path: Path) -> None:
    if path.read_bytes() != b"whole, with 1 number":
        try:
            np.ones(1 << 30)
        except MemoryError as error:
            raise ValueError("too large") from error


def _refusals() -> tuple[type[Exception], ...]:
    return (ValueError,)


PARSERS = {
    name: Parser(name, _sample, read, _refusals)
    for name, read in (("hanging", _hanging), ("raising", _raising), ("greedy", _greedy), ("refusing", _refusing))
}

"""Errors of libraries are named; those of the machine and interrupts pass."""

import errno
import struct

import numpy as np
import pytest

from realbogus.library_faults import MACHINE_FAULTS, name_faults
from realbogus.records import SourceError


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (struct.error("unpack requires 8 bytes"), "unpack requires 8 bytes"),
        (np.linalg.LinAlgError("Singular matrix"), "Singular matrix"),
        (Exception("internal pixel buffer full"), "internal pixel buffer full"),
        (OSError(errno.EIO, "input/output error"), "input/output error"),
        (EOFError(), "EOFError"),
        (ValueError("ERROR 3 in wcsset() at line 1:\nMatrix is singular.\n"), "Matrix is singular."),
    ],
)
def test_whatever_a_library_raises_names_the_input(fault, said):
    with (
        pytest.raises(SourceError, match=rf"a\.fits cannot be read: .*{said}") as caught,
        name_faults(SourceError, "a.fits cannot be read"),
    ):
        raise fault
    assert caught.value.__cause__ is fault


@pytest.mark.parametrize("fault", [MemoryError(), KeyboardInterrupt(), SourceError("its own")])
def test_what_is_no_fault_of_the_input_passes(fault):
    with pytest.raises(type(fault)) as caught, name_faults(SourceError, "a.fits"):
        raise fault
    assert caught.value is fault


@pytest.mark.parametrize("number", sorted(MACHINE_FAULTS))
def test_a_full_disk_and_the_like_pass(number):
    with pytest.raises(OSError, match="machine") as caught, name_faults(SourceError, "a.fits"):
        raise OSError(number, "machine")
    assert caught.value.errno == number

"""Errors that libraries raise for an input that they cannot use, raised again as an error of ours that names the input.

It is for calls of libraries alone: an error in our own code must end the run.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

MACHINE_FAULTS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE))
"""Numbers of operating-system errors that no other input would avoid."""


@contextmanager
def name_faults(error: type[ValueError], subject: str) -> Iterator[None]:
    """Raise an error of the block as ``subject: what the library said``.

    Parameters
    ----------
    error : type
        The error to raise. An error of this type passes unchanged; so do `MemoryError`, `MACHINE_FAULTS` and whatever
        is not an `Exception`, such as an interrupt.
    subject : str
        The input, and what cannot be done with it.
    """
    try:
        yield
    except (error, MemoryError):
        raise
    except Exception as fault:  # sep raises plain `Exception`, astropy nearly any kind, for a broken input
        if isinstance(fault, OSError) and fault.errno in MACHINE_FAULTS:
            raise
        raise error(f"{subject}: {_say(fault)}") from fault


def _say(fault: Exception) -> str:
    """Return an error's message without wcslib's lines on its own source files; the name of its type if it has none."""
    lines = [line.strip() for line in str(fault).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("ERROR")) or type(fault).__name__

"""Whether a process of this machine still lives that is known by its number."""

import psutil

_CLOCK_S = 1.0
"""The clock by which Linux tells when a process began is coarse."""


def is_living(number: int, since: float) -> bool:
    """Return whether the process that had a number at a time still lives; a younger one may have its number by now.

    Parameters
    ----------
    number : int
    since : float
        Seconds since 1970.
    """
    try:
        return psutil.Process(number).create_time() <= since + _CLOCK_S
    except psutil.NoSuchProcess:
        return False

"""Settings of the process's memory allocators."""

import ctypes

import pyarrow as pa

M_MMAP_THRESHOLD = -3
LARGE_BYTES = 128 * 1024


def return_what_is_freed() -> None:
    """Make the allocators return large blocks to the system as soon as they are freed.

    By default they keep the memory of a large table for reuse, which adds up over the many tables of a build.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only; other C libraries keep less
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, LARGE_BYTES)

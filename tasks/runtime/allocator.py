"""What the allocators of a process do with memory that is freed."""

import ctypes

import pyarrow as pa

M_MMAP_THRESHOLD = -3
LARGE_BYTES = 128 * 1024


def return_what_is_freed() -> None:
    """Have large blocks go back to the system as soon as they are freed.

    Allocators keep what a large table took, in case another is as large; over a build's many tables that adds up.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's; other C libraries keep less
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, LARGE_BYTES)

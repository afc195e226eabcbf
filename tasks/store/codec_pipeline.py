"""The package `zarrs`: compiled codecs for whole shards, where it can be used.

Whole shards only: when it reads a part of a shard, it does not compare the checksums of the chunks. Its threads write
the chunks of a shard in the order in which they finish; with one thread a shard has the same bytes as from Zarr's own
codecs.
"""

import logging
import multiprocessing
import os
import warnings
from functools import cache
from importlib import import_module

import zarr
from zarr.core.array_spec import ArrayConfigParams

_PACKAGE, _PIPELINE = "zarrs", "zarrs.ZarrsCodecPipeline"


def compiled(
    array: zarr.Array, config: ArrayConfigParams | None = None, threads: int | None = None
) -> zarr.Array | None:
    """Return the array with compiled codecs, or None where they cannot be used.

    Parameters
    ----------
    array : zarr.Array
        In a local store.
    config : mapping, optional
        Settings of `zarr.Array.with_config`.
    threads : int, optional
        None: as many as there are processors.
    """
    if not can_compile():
        return None
    settings = {"codec_pipeline.path": _PIPELINE, "threading.max_workers": threads}
    with zarr.config.set(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an array of a kind that they do not know is left to Zarr's own codecs
        return array.with_config(config or {})


def can_compile() -> bool:
    """Tell whether the compiled codecs can be used by this process.

    Their threads do not survive a fork: a forked process would wait for them for ever.
    """
    return _is_installed() and os.getpid() == _first_process()


@cache
def _is_installed() -> bool:
    """Try to import the package; where that fails, one line in the log says so."""
    try:
        import_module(_PACKAGE)
    except ImportError as error:
        if multiprocessing.parent_process() is None:  # workers have the same packages and need not say it again
            logging.getLogger(__name__).warning("shards are read and written by Zarr's own slower codecs: %s", error)
        return False
    return True


@cache
def _first_process() -> int:
    """Return the process that asked first; it and none forked from it may use the threads."""
    return os.getpid()

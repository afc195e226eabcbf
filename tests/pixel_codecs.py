"""The implementations of the codecs, for tests that compare them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks.store import codec_pipeline


@contextmanager
def without_zarrs() -> Iterator[None]:
    """Read and write by Zarr's own codecs in this block, as where the package cannot be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec_pipeline, "_is_installed", lambda: False)
        yield

"""The two implementations of a shard's codecs, for tests that compare them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks.store.shards.shard_codec import ShardCodec


@contextmanager
def without_shard_codec() -> Iterator[None]:
    """Read and write by Zarr's own codecs the arrays that are opened in this block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShardCodec, "of", lambda array: None)
        yield

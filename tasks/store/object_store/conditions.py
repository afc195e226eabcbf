"""Whether an object store keeps the two conditions by which versions are published, found out by trying them."""

import os
import sys
import uuid
from functools import lru_cache

from tasks.store.errors import ObjectStoreError
from tasks.store.object_store.objects import ObjectFolder

POINTER_ENVIRONMENT_NAME = "STARLOOM_S3_POINTER"
UNCONDITIONAL = "unconditional"
PROBE_PATIENCE_S = 3.0
"""Short: a store that does not answer when a command starts is more often a wrong address than one that restarts."""
UNCONDITIONAL_NOTE = (
    "the object store ignores If-Match: one builder at a time keeps the pixel array and CURRENT right, two may not"
)


def require_conditions(address: str) -> bool:
    """Try the store at an address; return whether it keeps ``If-Match``. ``If-None-Match`` it has to keep.

    The store is asked once in each process.

    Raises
    ------
    ObjectStoreError
        It ignores a condition; ``If-Match`` may be ignored where ``STARLOOM_S3_POINTER=unconditional`` says so.
    """
    chosen = os.environ.get(POINTER_ENVIRONMENT_NAME) or "conditional"
    if chosen not in ("conditional", UNCONDITIONAL):
        raise ObjectStoreError(f"{POINTER_ENVIRONMENT_NAME}={chosen}: conditional or {UNCONDITIONAL}")
    creates, replaces = _kept(address, os.environ.get("AWS_ENDPOINT_URL"))
    if not creates:
        raise ObjectStoreError(
            f"the store of {address} ignores If-None-Match (a second PUT with `If-None-Match: *` replaced the object), "
            "so two builders would replace each other's versions; use a store that has conditional writes"
        )
    if not replaces and chosen != UNCONDITIONAL:
        raise ObjectStoreError(
            f"the store of {address} ignores If-Match (a PUT with a wrong entity tag replaced the object); use a store "
            f"that has conditional writes, or, where one builder runs at a time, set "
            f"{POINTER_ENVIRONMENT_NAME}={UNCONDITIONAL}"
        )
    if not replaces:
        _warn(address)
    return replaces


@lru_cache(maxsize=16)
def _kept(address: str, endpoint: str | None) -> tuple[bool, bool]:
    """Return whether a second creation, and a replacement under a wrong entity tag, are refused."""
    folder, key = ObjectFolder(address, PROBE_PATIENCE_S), f".starloom-probe/{uuid.uuid4().hex}"
    try:
        if not folder.create(key, b"first"):
            raise ObjectStoreError(f"{folder}/{key} cannot be created, though no such object can be there")
        creates = not folder.create(key, b"second")
        replaces = not folder.replace(key, b"third", '"00000000000000000000000000000000"')
    finally:
        folder.delete(key)
    return creates, replaces


@lru_cache(maxsize=16)
def _warn(address: str) -> None:
    print(f"warning: {address}: {UNCONDITIONAL_NOTE}", file=sys.stderr, flush=True)

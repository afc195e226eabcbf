"""Reproducible draws by hashing: a name and a seed give the same number, whatever else is drawn."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def hash_share(name: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on `name` and `seed` alone."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def hash_shares(names: Iterable[str], seed: int) -> NDArray[np.float64]:
    """Return the `hash_share` of each name, (n,)."""
    return np.fromiter((hash_share(name, seed) for name in names), np.float64)


def hash_stream(name: str) -> np.random.Generator:
    """Return the random stream that depends on `name` alone."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def hash_order(names: Iterable[str], seed: int) -> NDArray[np.int64]:
    """Return the positions of names in the order of their hash, (n,): a longer prefix holds the shorter ones."""
    return np.argsort(hash_shares(names, seed), kind="stable")

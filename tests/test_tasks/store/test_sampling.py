"""Draws by hashing: they depend on the name and the seed alone."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.store.sampling import hash_order, hash_share, hash_shares

names = st.lists(st.text(max_size=8), unique=True, max_size=30)


def test_the_share_is_the_hash_of_seed_and_name_over_its_range():
    first_eight = hashlib.blake2b(b"7/spiral", digest_size=8).digest()
    assert hash_share("spiral", 7) == int.from_bytes(first_eight, "big") / 256**8
    # Written down once: splits of published datasets rest on it.
    assert hash_share("spiral", 7) == 0.812682728028865
    assert hash_share("spiral", 8) != hash_share("spiral", 7)


def test_shares_are_uniform():
    shares = hash_shares((str(number) for number in range(20_000)), 1)
    assert shares.min() >= 0
    assert shares.max() < 1
    counts = np.histogram(shares, bins=10, range=(0, 1))[0]
    assert np.abs(counts - 2000).max() < 4 * np.sqrt(20_000 * 0.1 * 0.9)


@given(names, st.integers(0, 9))
def test_the_order_sorts_by_share_and_does_not_depend_on_the_order_given(drawn, seed):
    by_hash = [drawn[position] for position in hash_order(drawn, seed)]
    assert by_hash == sorted(drawn, key=lambda name: hash_share(name, seed))
    backwards = drawn[::-1]
    assert [backwards[position] for position in hash_order(backwards, seed)] == by_hash
    assert hash_shares(drawn, seed).tolist() == [hash_share(name, seed) for name in drawn]

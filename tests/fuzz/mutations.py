"""Files that are nearly right: cut, with bytes turned, sizes made extreme, and parts of one file put into another."""

import re
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

Change = Callable[[bytes], bytes]
_EXTREMES = (0, 1, 2**7 - 1, 2**15 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)
_NUMBER = re.compile(rb"-?\d+")
_WORDS = (b"999999999999", b"4294967296", b"2147483647", b"-1", b"0", b"1e308", b"nan", b"")


def _place(body: bytes, share: float) -> int:
    """Return a place in a file, most of them near its begin, where the headers are."""
    return min(len(body), int(share**2 * (len(body) + 1)))


def _cut(share: float) -> Change:
    return lambda body: body[: int((1 - share**2) * len(body))]


def _turn(share: float, mask: int) -> Change:
    def change(body: bytes) -> bytes:
        at = min(_place(body, share), len(body) - 1)
        return body[:at] + bytes([body[at] ^ mask]) + body[at + 1 :] if body else body

    return change


def _size(share: float, value: int, width: int, order: str) -> Change:
    packed = (value % 2 ** (8 * width)).to_bytes(width, "little" if order == "little" else "big")

    def change(body: bytes) -> bytes:
        at = _place(body, share)
        return body[:at] + packed + body[at + width :]

    return change


def _number(share: float, word: bytes) -> Change:
    """Return what writes a word in the place of a number of the text in a file."""

    def change(body: bytes) -> bytes:
        found = list(_NUMBER.finditer(body))
        if not found:
            return body
        one = found[min(int(share * len(found)), len(found) - 1)]
        return body[: one.start()] + word.rjust(len(one.group())) + body[one.end() :]

    return change


def _move(share: float, other: float, length: int, twice: bool) -> Change:
    """Return what takes a stretch out of a file, or puts it in at another place too."""

    def change(body: bytes) -> bytes:
        at, to = _place(body, share), _place(body, other)
        stretch = body[at : at + length]
        return body[:to] + stretch + body[to:] if twice else body[:at] + body[at + length :]

    return change


def _splice(other: bytes, share: float) -> Change:
    """Return what gives a file the begin of another."""
    return lambda body: other[: _place(other, share)] + body[_place(body, share) :]


def mutated(files: Sequence[bytes]) -> st.SearchStrategy[tuple[int, bytes]]:
    """Return a strategy of a file's number and its bytes after one to four changes."""
    shares = st.floats(0, 1)
    changes = st.one_of(
        shares.map(_cut),
        st.builds(_turn, shares, st.integers(1, 255)),
        st.builds(
            _size, shares, st.sampled_from(_EXTREMES), st.sampled_from((1, 2, 4, 8)), st.sampled_from(("little", "big"))
        ),
        st.builds(_number, shares, st.sampled_from(_WORDS)),
        st.builds(_move, shares, shares, st.integers(1, 64), st.booleans()),
        st.builds(_splice, st.sampled_from(files), shares),
    )

    def apply(number: int, chosen: list[Change]) -> tuple[int, bytes]:
        body = files[number]
        for change in chosen:
            body = change(body)
        return number, body

    return st.builds(apply, st.integers(0, len(files) - 1), st.lists(changes, min_size=1, max_size=4))

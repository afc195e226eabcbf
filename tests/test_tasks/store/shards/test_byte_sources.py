"""Ranges of a shard: a file and an object give the same bytes, an object in one request, and neither past its end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.store.object_store.objects import ObjectFolder
from tasks.store.shards.byte_sources import ByteSource, Place, open_bytes
from tests.memory_store import Memory

KEY = "pixels/c/0"
FOLDER = ObjectFolder("s3://bucket/w/sky/pixels.zarr")
Put = Callable[[bytes], Place]


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory()


@pytest.fixture(scope="module", params=["file", "object"])
def put(request: pytest.FixtureRequest, memory: Memory, tmp_path_factory: pytest.TempPathFactory) -> Put:
    """Writes some bytes, to a file or to an object, and returns where they are."""
    path = tmp_path_factory.mktemp("shard") / "0"

    def written(content: bytes) -> Place:
        if request.param == "file":
            path.write_bytes(content)
            return path
        FOLDER.put(KEY, content)
        return FOLDER.file(KEY)

    return written


@pytest.fixture(scope="module", autouse=True)
def connected(memory: Memory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        memory.connect(patch)
        yield


def read(source: ByteSource, offset: int, length: int) -> bytes:
    """Read a range into bytes that are all 255 before; return those that were there."""
    out = np.full(length, 255, np.uint8)
    count = source.read_into(offset, out)
    assert out[count:].tobytes() == b"\xff" * (length - count)
    return out[:count].tobytes()


CONTENT = bytes(range(200))
BORDERS = st.integers(0, 260)


@given(BORDERS, BORDERS, st.lists(st.tuples(BORDERS, BORDERS), max_size=4))
def test_what_lies_in_the_announced_range_is_read_up_to_the_end(
    put: Put, one: int, other: int, ranges: list[tuple[int, int]]
) -> None:
    begin, end = sorted((one, other))
    with open_bytes(put(CONTENT)) as source:
        assert source.tail(12) == CONTENT[-12:]
        source.expect(begin, end)
        for first, last in ranges:
            first, last = (min(max(border, begin), end) for border in sorted((first, last)))
            assert read(source, first, last - first) == CONTENT[first:last]


@given(st.binary(min_size=1, max_size=40), st.integers(1, 60))
def test_a_tail_is_the_end_or_all_there_is(put: Put, content: bytes, length: int) -> None:
    with open_bytes(put(content)) as source:
        assert source.tail(length) == content[-length:]


def test_a_range_is_announced_anew_and_read_again(put: Put) -> None:
    with open_bytes(put(CONTENT)) as source:
        source.tail(4)
        for begin in (150, 10, 150):
            source.expect(begin, begin + 20)
            assert read(source, begin, 20) == read(source, begin, 20) == CONTENT[begin : begin + 20]


@pytest.mark.parametrize(("begin", "end"), [(200, 300), (10**12, 10**13), (50, 50), (60, 50)])
def test_a_range_that_is_empty_or_behind_the_end_has_no_bytes(put: Put, begin: int, end: int) -> None:
    with open_bytes(put(CONTENT)) as source:
        source.tail(4)
        source.expect(begin, end)
        assert read(source, max(begin, 200), 8) == b""


def test_all_that_is_announced_of_an_object_is_one_request(memory: Memory) -> None:
    FOLDER.put(KEY, CONTENT)
    memory.asked.clear()
    with open_bytes(FOLDER.file(KEY)) as source:
        assert memory.asked[KEY] == 0
        source.tail(12)
        source.expect(20, 120)
        assert [read(source, offset, 5) for offset in (20, 70, 115)] == [CONTENT[n : n + 5] for n in (20, 70, 115)]
        assert memory.asked[KEY] == 2


def test_a_shard_that_is_not_there_is_missing_in_both(tmp_path: Path) -> None:
    for place in (tmp_path / "0", FOLDER.file("pixels/c/1")):
        with pytest.raises(FileNotFoundError), open_bytes(place) as source:
            source.tail(4)


def opened() -> set[Path]:
    """The files that this process has open."""
    return {link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}


def test_a_file_is_open_for_the_block_alone(tmp_path: Path) -> None:
    (tmp_path / "0").write_bytes(CONTENT)
    with open_bytes(tmp_path / "0"):
        assert tmp_path / "0" in opened()
    assert tmp_path / "0" not in opened()
    with pytest.raises(ValueError, match="damaged"), open_bytes(tmp_path / "0"):
        raise ValueError("damaged")
    assert tmp_path / "0" not in opened()

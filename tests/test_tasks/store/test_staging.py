"""Staged batches: complete or absent."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from tasks.store.errors import DamagedBatchError
from tasks.store.files import whole_folder
from tasks.store.staging import Staging, clear_others
from tests.small_ledgers import small_ledger


def test_a_batch_is_complete_or_absent(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    with pytest.raises(ValueError, match="2 stored rows and 1 samples"):
        staging.write(0, small_ledger(["a", "b"]), np.zeros((1, 4, 4, 3), np.uint8))
    with contextlib.suppress(KeyboardInterrupt), whole_folder(staging.batch(1)) as folder:
        (folder / "pixels.npy").write_bytes(b"half")
        raise KeyboardInterrupt
    assert not staging.is_finished(0)
    assert not staging.is_finished(1)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_comes_back_with_the_pixels_of_its_stored_rows(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "staging")
    assert staging.batch(7) == tmp_path / "staging" / "batch-000007"
    assert not staging.is_finished(7)
    images = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    staging.write(7, small_ledger(["a", "b"], status=["rejected", "stored"]), images[:, ::-1])
    assert staging.is_finished(7)
    assert staging.ledger(7)["id"].to_pylist() == ["a", "b"]
    assert np.array_equal(staging.pixels(7), images[:, ::-1])
    assert staging.pixels(7).dtype == np.float32
    with pytest.raises(ValueError, match="batch 7 has 1 stored rows and 2 samples"):
        staging.write(7, small_ledger(["a", "b"], status=["rejected", "stored"]), np.zeros((2, 4, 4, 1)))
    staging.clear()
    staging.clear()
    assert not staging.folder.exists()


def test_a_batch_that_a_lost_worker_wrote_stays_when_another_writes_it_again(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    first, second = np.zeros((1, 4, 4, 3), np.uint8), np.ones((1, 4, 4, 3), np.uint8)
    staging.write(0, small_ledger(["a"]), first)
    staging.write(0, small_ledger(["a"]), second)
    assert np.array_equal(staging.pixels(0), first)
    assert [path.name for path in tmp_path.iterdir()] == ["batch-000000"]
    staging.whole_ledger(0)


@pytest.mark.parametrize("name", ["pixels.npy", "ledger.parquet", "crc32.json"])
@pytest.mark.parametrize("at", [0.0, 0.5, 0.99])
def test_one_other_byte_of_a_batch_is_named_and_the_batch_is_absent(tmp_path: Path, name: str, at: float) -> None:
    staging = Staging(tmp_path)
    images = np.random.default_rng(0).integers(0, 255, (2, 4, 4, 3), np.uint8)
    for number in (0, 1):
        staging.write(number, small_ledger([f"a{number}", f"b{number}"]), images)
        staging.whole_ledger(number)
    file = staging.batch(1) / name
    content = bytearray(file.read_bytes())
    content[int(at * len(content))] ^= 0x01
    file.write_bytes(content)
    with pytest.raises(DamagedBatchError, match=r"batch-000001/[a-z0-9]+\.[a-z]+ was not as it was written"):
        staging.whole_ledger(1)
    assert not staging.is_finished(1)
    staging.whole_ledger(0)


def test_the_staging_of_other_requests_is_removed(tmp_path: Path) -> None:
    for name in ("mine", "theirs", "old"):
        (tmp_path / name / "batch-000000").mkdir(parents=True)
    clear_others(tmp_path, tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine" / "batch-000000").is_dir()

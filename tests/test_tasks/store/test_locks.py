"""One builder a dataset."""

import os
import threading
from pathlib import Path

import pytest

from tasks.store.errors import (
    DatasetBusyError,
)
from tasks.store.locks import builder_of, no_builder, one_builder


def test_a_second_builder_is_refused_and_told_who_builds(tmp_path: Path) -> None:
    with (
        one_builder(tmp_path / "d"),
        pytest.raises(DatasetBusyError, match="'d' is being built by process"),
        one_builder(tmp_path / "d"),
    ):
        pass
    with one_builder(tmp_path / "d"):
        pass


def test_the_refusal_names_the_process_that_holds_the_lock(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "d"
    with one_builder(folder):
        assert (folder / ".builder").read_text() == str(os.getpid())
        with pytest.raises(DatasetBusyError, match=f"process {os.getpid()}; wait"), one_builder(folder):
            pass
        # The refused one leaves the holder's name.
        (folder / ".builder").unlink()
        with pytest.raises(DatasetBusyError, match="process unknown"), one_builder(folder):
            pass
    assert not (folder / ".builder").exists()


def test_who_builds_is_told_without_the_lock_and_not_after_a_kill(tmp_path: Path) -> None:
    assert builder_of(tmp_path / "none") is None
    with one_builder(tmp_path / "d"):
        assert builder_of(tmp_path / "d") == os.getpid()
        holder = tmp_path / "d" / ".builder"
        os.utime(holder, (0, 0))  # as one that was killed before this process began left it
        assert builder_of(tmp_path / "d") is None
    assert builder_of(tmp_path / "d") is None


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), one_builder(tmp_path):
        raise RuntimeError
    assert not (tmp_path / ".builder").exists()
    with one_builder(tmp_path):
        pass


def test_where_nobody_may_build_a_builder_is_named_and_one_that_comes_waits(tmp_path: Path) -> None:
    datasets = tmp_path / "datasets"
    with (
        one_builder(datasets / "d"),
        one_builder(datasets / "e"),
        pytest.raises(DatasetBusyError, match="a dataset is being built"),
        no_builder(datasets),
    ):
        pass
    built = threading.Event()

    def build() -> None:
        with one_builder(datasets / "d"):
            built.set()

    with no_builder(datasets):
        builder = threading.Thread(target=build)
        builder.start()
        assert not built.wait(0.5)
    builder.join(30)
    assert built.is_set()

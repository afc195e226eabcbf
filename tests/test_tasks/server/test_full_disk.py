"""A full disk: it is named where a Prefect server fails on it, and who cannot sign a lock does not hold it."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tasks.runtime.addresses import AddressError
from tasks.server.flow_runs import cause_named
from tasks.server.group_server import PREFECT_VARIABLE
from tasks.server.process_guard import lock_file
from tasks.store.errors import DiskFullError
from tests.drill.small_disk import fill, free, no_mount, small_disk


def failure(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://127.0.0.1:1/api/flow_runs/1/set_state")
    return httpx.HTTPStatusError("it failed", request=request, response=httpx.Response(status, request=request))


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    unfit = no_mount()
    if unfit is not None:
        pytest.skip(unfit)
    with small_disk(tmp_path / "full", size_mb=1) as folder:
        yield folder


def test_a_lock_that_cannot_be_signed_is_not_held(full: Path) -> None:
    path = full / "in-use.lock"
    path.touch()
    fill(full)
    with pytest.raises(OSError, match="No space left"):
        lock_file(path, wait=False)
    free(full)
    descriptor = lock_file(path, wait=False)
    assert descriptor is not None
    os.close(descriptor)


def test_a_failing_server_is_explained_by_a_full_disk_alone(full: Path, tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match=f"no space left on the disk of {full}"), cause_named(full):
        raise failure(500)
    with pytest.raises(httpx.HTTPStatusError), cause_named(full):
        raise failure(404)
    with (
        small_disk(tmp_path / "roomy", size_mb=64) as roomy,
        pytest.raises(httpx.HTTPStatusError),
        cause_named(roomy),
    ):
        raise failure(500)


def test_a_failing_server_of_a_group_is_named_whatever_the_disk_has(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFECT_VARIABLE, "http://prefect.example:4200/api")
    said = rf"{PREFECT_VARIABLE}=http://prefect.example:4200 \(status 500 of /api/flow_runs"
    with pytest.raises(AddressError, match=said), cause_named(full):
        raise failure(500)

"""Locks that tell life from death, and the sure end of child processes."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tasks.server.process_guard import (
    ProcessEntry,
    end_process,
    guard_children,
    is_locked,
    living_processes,
    lock_file,
    lock_holder,
    locked_file,
    port_holder,
)

# Starts two children, one in a session of its own whose parent is gone, prints their ids and waits.
WITH_CHILDREN = """
import subprocess, sys, time
from tasks.server.process_guard import guard_children
lost = "import subprocess as s; print(s.Popen(['sleep', '600'], stdout=s.DEVNULL, start_new_session=True).pid)"
with guard_children():
    near = subprocess.Popen(["sleep", "600"]).pid
    far = int(subprocess.run([sys.executable, "-c", lost], stdout=subprocess.PIPE, check=True).stdout)
    print(near, far, flush=True)
    time.sleep(float(sys.argv[1]))
"""
HOLDING = "import sys, time; from pathlib import Path; from tasks.server.process_guard import lock_file; "
HOLDING += "lock_file(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone_soon(pids: list[int], patience_s: float = 10.0) -> bool:
    deadline = time.monotonic() + patience_s
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program that is surely ended, also when the test fails."""
    with subprocess.Popen([sys.executable, "-c", *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_lock_tells_its_holder_until_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.lock"
    assert lock_holder(path) is None
    with running(HOLDING, str(path)) as process:
        assert read_line(process) == "held\n"
        assert lock_holder(path) == process.pid
        assert lock_file(path, wait=False) is None
    assert not is_locked(path)
    with locked_file(path):
        assert lock_holder(path) == os.getpid()


def test_users_share_a_lock_and_keep_others_out(tmp_path: Path) -> None:
    path = tmp_path / "in-use.lock"
    first, second = lock_file(path, shared=True), lock_file(path, shared=True)
    assert first is not None
    assert second is not None
    assert lock_file(path, wait=False) is None
    os.close(first)
    assert lock_file(path, wait=False) is None
    os.close(second)
    assert not is_locked(path)


def test_the_living_are_those_whose_entry_is_locked(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text('{"pid": 1, "kind": "run"}')
    presence = ProcessEntry.announce(tmp_path, kind="run", flow="a long name")
    presence.add(flow="b")
    assert [(entry["pid"], entry["flow"]) for entry in living_processes(tmp_path)] == [(os.getpid(), "b")]
    assert not (tmp_path / "1.json").exists()
    presence.withdraw()
    assert living_processes(tmp_path) == []


@pytest.mark.parametrize(("seconds", "killed"), [("600", True), ("0", False)])
def test_no_child_outlives_the_guarded_block_or_its_process(seconds: str, killed: bool) -> None:
    with running(WITH_CHILDREN, seconds) as process:
        children = [int(pid) for pid in read_line(process).split()]
        assert len(children) == 2
        if killed:
            assert all(alive(pid) for pid in children)
        else:
            assert process.wait(30) == 0
    assert gone_soon(children)


def test_what_ignores_the_request_to_end_is_killed() -> None:
    with running(STUBBORN) as process:
        read_line(process)
        end_process(process.pid, patience_s=0.2)
        assert not alive(process.pid)


def test_processes_started_outside_the_block_are_left_alone() -> None:
    with subprocess.Popen(["sleep", "600"]) as outsider:
        with guard_children(), subprocess.Popen(["sleep", "600"]) as insider:
            insider.kill()
        assert alive(outsider.pid)
        outsider.kill()


def test_the_holder_of_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert f"process {os.getpid()} (" in port_holder(listener.getsockname()[1])


def test_a_block_inside_of_another_ends_nothing() -> None:
    with guard_children():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        with guard_children():
            pass
        assert child.poll() is None
    assert child.wait(10) is not None

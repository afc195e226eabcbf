"""One process at a time in a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.runtime.folder_lock import FolderBusyError, lock_folder

HOLD = """
import sys
from pathlib import Path
from tasks.runtime.folder_lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_that_another_process_holds_is_refused_until_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    words, root = [sys.executable, "-c", HOLD, str(folder)], Path(__file__).parents[3]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(FolderBusyError, match=str(folder)), lock_folder(folder):
            pass
        holder.kill()
        holder.wait()
        with lock_folder(folder):
            assert folder.is_dir()


def test_the_lock_is_released_on_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock_folder(tmp_path / "state"):
        raise KeyError
    with lock_folder(tmp_path / "state"):
        pass

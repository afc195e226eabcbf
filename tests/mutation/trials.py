"""Test runs on a copy of the checkout, each in a fork of this process.

The first run of a set of test files reports the libraries that it imported. This process then imports them too, but
nothing of the project, so that later runs start with TensorFlow and the rest in memory. A second run without a mutant
checks that the tests pass in such a fork, and measures their time.
"""

import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import hypothesis
import pytest

LEAST_TIMEOUT_S = 20.0
TIMES_UNMUTATED = 4.0
"""A mutant's run is stopped after the longer of the two."""


class Trial(NamedTuple):
    """Pytest's exit code, None for a timeout, and the run's time."""

    code: int | None
    seconds: float


class UnmutatedTestsFailError(RuntimeError):
    """The direct tests fail without a mutant."""


class Copy:
    """A copy of a checkout's files, on which mutants are tested."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self._checkout, self._folder, self.root = checkout, folder, folder / "checkout"
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        named = subprocess.run(listing, cwd=checkout, check=True, stdout=subprocess.PIPE, text=True).stdout
        for name in filter(None, named.split("\0")):
            if (checkout / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(checkout / name, self.root / name)
        (folder / "shared").symlink_to(checkout.parent / "shared")
        self._unmutated: dict[tuple[str, ...], float] = {}
        # The same examples in every run, without shrinking: only pass or fail matters.
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutation", database=None, derandomize=True, phases=phases)
        hypothesis.settings.load_profile("mutation")

    def try_mutant(self, module: str, code: str, tests: Sequence[str]) -> Trial:
        """Run tests against a mutated module, which is restored afterwards."""
        limit = max(LEAST_TIMEOUT_S, TIMES_UNMUTATED * self._unmutated_time(tests))
        path = self.root / module
        original = path.read_text(encoding="utf-8")
        # Bytecode is matched by the second and the size of its source alone.
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
        path.write_text(code, encoding="utf-8")
        try:
            return self._run(tests, limit)
        finally:
            path.write_text(original, encoding="utf-8")

    def _unmutated_time(self, tests: Sequence[str]) -> float:
        """Return the time of the tests without a mutant; on first use, import the libraries that they need."""
        if tuple(tests) not in self._unmutated:
            report = self._folder / "loaded.json"
            self._passed(tests, report)
            loaded = json.loads(report.read_text(encoding="utf-8"))
            os.environ |= loaded["environment"]
            for name in loaded["libraries"]:
                with suppress(Exception):  # some modules in sys.modules cannot be imported by name
                    import_module(name)
            self._unmutated[tuple(tests)] = self._passed(tests)
        return self._unmutated[tuple(tests)]

    def _passed(self, tests: Sequence[str], report: Path | None = None) -> float:
        trial = self._run(tests, None, report)
        if trial.code != 0:
            output = (self._folder / "output.txt").read_text(encoding="utf-8", errors="replace")
            raise UnmutatedTestsFailError(f"without a mutant, {' '.join(tests)} fails:\n{output[-3000:]}")
        return trial.seconds

    def _run(self, tests: Sequence[str], limit: float | None, report: Path | None = None) -> Trial:
        process = multiprocessing.get_context("fork").Process(target=self._in_fork, args=(tests, report))
        begin = time.monotonic()
        process.start()
        try:
            process.join(limit)
            return Trial(process.exitcode, time.monotonic() - begin)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid or 0, signal.SIGKILL)  # with any process that a test left running
            process.join()

    def _in_fork(self, tests: Sequence[str], report: Path | None) -> None:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        output = os.open(self._folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(output, stream)
        sys.modules["__main__"] = ModuleType("__main__")
        for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
            del sys.modules[name]
        sys.path[:] = [str(self.root), *(part for part in sys.path if Path(part).resolve() != self._checkout)]
        sys.dont_write_bytecode = report is None
        os.chdir(self.root)
        os.environ["PYTHONPATH"] = str(self.root)
        collected = _Collected()
        temporary = f"--basetemp={self._folder / 'temporary'}"
        words = ["-x", "--assert=plain", "-p", "no:cacheprovider", temporary, *tests]
        code = int(pytest.main(words, plugins=[collected]))
        if report:
            loaded = {"libraries": self._libraries(), "environment": collected.environment}
            report.write_text(json.dumps(loaded), encoding="utf-8")
        sys.stdout.flush()
        os._exit(code)

    def _libraries(self) -> list[str]:
        """Return the names of the imported modules outside the project, in order of import."""
        names = []
        for name, module in [*sys.modules.items()]:
            origin = getattr(getattr(module, "__spec__", None), "origin", None)
            if origin and not Path(origin).is_relative_to(self.root):
                names.append(name)
        return names


class _Collected:
    """A pytest plugin that records the environment variables set while test files are imported."""

    def __init__(self) -> None:
        self._before = dict(os.environ)
        self.environment: dict[str, str] = {}

    def pytest_collection_finish(self) -> None:
        new = os.environ.items() - self._before.items()
        self.environment = {name: value for name, value in new if not name.startswith("PYTEST_")}

"""Progress of a stage: items done, rate, remaining time and rejected items, on stderr and wherever else it is watched.

On a terminal it is one line that is drawn anew; in a file or a pipe it is a log line now and then, and one at the end.
Nothing is written unless the command shows such lines (`tasks.runtime.logs`).
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from tasks.runtime.json_lines import COUNTS, is_json

PROGRESS = "progress"
"""Attribute of the log records that are shown by default: lines of progress, and why a run waits."""
SHOWN = {PROGRESS: True}
"""``extra`` of such a record."""
WINDOW_S = 30.0
APART_S = 0.1
"""Least seconds between two samples of the rate, and between two calls that are shown: a call may be a step of 1 ms."""
BAR_WIDTH = 16
FIRST_LINE_S, LINES_APART, MOST_S_APART = 10.0, 1.5, 600.0
"""In a file: seconds to the first line; each next one at this multiple of the time, but no later than this."""

_LOG = logging.getLogger(__name__)


@dataclass
class StageProgress:
    """What is done of a stage; called with a count of items, it advances and tells its views.

    Attributes
    ----------
    label : str
    total : int, optional
        Items to do; None: unknown.
    clock : callable
        Returns seconds that never go back.
    done : int
        Items done, including the rejected ones and those of an earlier run.
    rejected : int, optional
        None for a stage that rejects nothing.
    note : str
        What else is to be shown, such as the metrics of the last epoch.
    """

    label: str
    total: int | None
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    rejected: int | None = None
    note: str = ""
    views: list["View"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started = self.clock()
        # Beginning with the first call: an earlier run's items come with it, and so does what is done only once.
        self._recent: deque[tuple[float, int]] = deque()
        self._shown_at = -math.inf

    def __call__(self, count: int, rejected: int | None = None) -> None:
        """Advance by `count` items, of which `rejected` were rejected."""
        self.done += count
        if rejected is not None:
            self.rejected = (self.rejected or 0) + rejected
        now = self.clock()
        while len(self._recent) > 1 and self._recent[0][0] < now - WINDOW_S:
            self._recent.popleft()
        if len(self._recent) > 1 and now < self._recent[-2][0] + APART_S:
            self._recent.pop()
        self._recent.append((now, self.done))
        if now >= self._shown_at + APART_S:
            self._shown_at = now
            self._show()

    def say(self, note: str) -> None:
        """Show a note behind the counts."""
        self.note = note
        self._show()

    def _show(self) -> None:
        for view in self.views:
            view.update(self)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stage began."""
        return self.clock() - self.started

    @property
    def rate_per_s(self) -> float | None:
        """Items a second of the last `WINDOW_S`; None before two calls."""
        if len(self._recent) < 2:
            return None
        (begun, before), (now, done) = self._recent[0], self._recent[-1]
        return (done - before) / (now - begun) if now > begun and done > before else None

    @property
    def remaining_s(self) -> float | None:
        """Seconds to the end at the present rate; None if that or the total is unknown."""
        rate = self.rate_per_s
        return None if rate is None or self.total is None else max(0, self.total - self.done) / rate

    @property
    def fraction(self) -> float:
        """Done part of the total, 0 to 1; 0 if the total is unknown."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def counts(self, ended: bool = False) -> str:
        """Return counts, rate, remaining time and rejected items; when ended, the time that it took."""
        rate, remaining = self.rate_per_s, self.remaining_s
        parts = [f"{self.done}" if self.total is None else f"{self.done} of {self.total}"]
        if ended:
            parts.append(f"in {format_duration(self.elapsed_s)}")
        if rate is not None:
            parts.append(format_rate(rate))
        if remaining is not None and not ended:
            parts.append(f"{format_duration(remaining)} left")
        if self.rejected is not None:
            parts.append(f"{self.rejected} rejected")
        return ", ".join(parts)

    def text(self, ended: bool = False) -> str:
        """Return counts and note."""
        return f"{self.counts(ended)}; {self.note}" if self.note else self.counts(ended)


class View(Protocol):
    """Shows the progress of one stage."""

    def update(self, stage: StageProgress) -> None:
        """Show the present counts."""
        ...

    def end(self, stage: StageProgress) -> None:
        """Show the last counts: the stage has ended or failed."""
        ...


_makers: list[Callable[[StageProgress], View | None]] = []


def watch_progress(make: Callable[[StageProgress], View | None]) -> None:
    """Show every later stage of this process by the view that `make` returns for it too; None: not this one."""
    if make not in _makers:
        _makers.append(make)


@contextmanager
def progress(label: str, total: int | None) -> Iterator[StageProgress]:
    """Show the progress of `total` items (None: unknown) and yield the function that advances it by a count."""
    stage = StageProgress(label, total)
    stage.views = [view for make in (_view_on_stderr, *_makers) if (view := make(stage)) is not None]
    try:
        yield stage
    finally:
        for view in stage.views:
            view.end(stage)


def _view_on_stderr(stage: StageProgress) -> View | None:
    if not _LOG.isEnabledFor(logging.INFO):
        return None
    console = Console(stderr=True)
    return TerminalBar(stage, console) if console.is_terminal and not is_json() else LogLines()


_drawn: list[Progress] = []
"""What is drawn of the outermost stage and of those within it."""


class TerminalBar:
    """One line of a terminal, cut at its width; that of a stage within a stage is below it, and goes with its end."""

    def __init__(self, stage: StageProgress, console: Console) -> None:
        self._is_outermost = not _drawn
        if self._is_outermost:
            text = TextColumn("{task.fields[text]}", markup=False)
            bars = Progress(TextColumn("{task.description:>12}"), BarColumn(BAR_WIDTH), text, console=console)
            _drawn.append(bars)
            bars.start()
        self._bars = _drawn[0]
        self._room = max(0, console.width - max(12, len(stage.label)) - BAR_WIDTH - 3)
        self._bar = self._bars.add_task(stage.label, total=stage.total, text="")
        self.update(stage)

    def update(self, stage: StageProgress) -> None:
        """Draw the line anew, with rich's next refresh."""
        self._draw(stage, ended=False)

    def end(self, stage: StageProgress) -> None:
        """Draw the last state and leave it there, or remove the line of a stage within a stage."""
        if not self._is_outermost:
            self._bars.remove_task(self._bar)
            return
        self._draw(stage, ended=True)
        self._bars.stop()
        _drawn.clear()

    def _draw(self, stage: StageProgress, ended: bool) -> None:
        self._bars.update(self._bar, completed=stage.done, text=stage.text(ended)[: self._room])


class LogLines:
    """Log lines, the further apart the longer the stage takes."""

    def __init__(self) -> None:
        self._next_s = FIRST_LINE_S

    def update(self, stage: StageProgress) -> None:
        """Write a line if it is time."""
        elapsed = stage.elapsed_s
        if elapsed >= self._next_s:
            self._next_s = min(elapsed * LINES_APART, elapsed + MOST_S_APART)
            self._write(stage, ended=False)

    def end(self, stage: StageProgress) -> None:
        """Write the last line."""
        self._write(stage, ended=True)

    def _write(self, stage: StageProgress, ended: bool) -> None:
        counts = {"done": stage.done, "total": stage.total, "rejected": stage.rejected, "ended": ended}
        _LOG.info("%s: %s", stage.label, stage.text(ended), extra=SHOWN | {COUNTS: counts})


def format_rate(rate_per_s: float) -> str:
    """Return a rate in the largest unit of time in which it is at least 1, such as ``12/s`` or ``3.5/min``."""
    for unit, seconds in (("s", 1.0), ("min", 60.0)):
        if rate_per_s * seconds >= 1:
            return f"{rate_per_s * seconds:.{0 if rate_per_s * seconds >= 10 else 1}f}/{unit}"
    return f"{rate_per_s * 3600:.1f}/h"


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units, such as ``48 s`` or ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def show_progress(shown: bool) -> None:
    """Choose whether progress is written to stderr."""
    _LOG.setLevel(logging.INFO if shown else logging.WARNING)

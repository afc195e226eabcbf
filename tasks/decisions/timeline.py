"""The figure of who was champion when."""

import re
from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from tasks.decisions.aliases import OUTSIDE
from tasks.decisions.decision import Decision
from tasks.reports.canvas import canvas
from tasks.reports.colours import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, VERMILION
from tasks.reports.drawing import Drawing

_MOST_LABELS = 16
_MARKS = {
    "promoted": ("PROMOTE", GREEN, "^"),
    "held": ("HOLD", ORANGE, "o"),
    "rejected": ("REJECT", VERMILION, "X"),
    "rolled back": ("rollback", BLUE, "v"),
    "accepted": ("ACCEPT", PURPLE, "s"),
    "moved outside the gate": (OUTSIDE, INK, "D"),
    "recorded": ("RECORD", GREY, "P"),
}
"""By what the legend says: the verdict, or the kind where that tells more; colour and marker."""


def champion_timeline(decisions: Sequence[Decision]) -> Drawing:
    """Draw the champion's version after each decision on one name, and the version that each decision was about.

    The decisions are evenly spaced in their order, so that 30 nights that were caught up in an hour are told apart as
    well as 30 that were not.
    """
    versions = [version_of(decision.champion_after) for decision in decisions]
    about = [version_of(decision.challenger or decision.champion_after) for decision in decisions]
    places = range(len(decisions))
    with canvas(8.8, 3.7) as (figure, finish):
        axes = figure.subplots()
        last = len(decisions) - 0.5
        steps = [*places, last]
        stands = [float("nan") if version is None else version for version in (*versions, versions[-1])]
        axes.step(steps, stands, where="post", color=INK, linewidth=2.2, label="champion", zorder=1)
        for text, (mark, color, marker) in _MARKS.items():
            chosen = [place for place in places if mark_of(decisions[place]) == mark and about[place] is not None]
            if chosen:
                heights = [about[place] for place in chosen]
                axes.scatter(chosen, heights, 42, color, marker=marker, label=text, zorder=2)
        every = -(-len(decisions) // _MOST_LABELS)
        shown = list(places)[::every]
        axes.set_xticks(shown, [_day(decisions[place]) for place in shown], rotation=45, ha="right", fontsize=8)
        axes.set(xlim=(-0.6, last + 0.1), ylabel="model version", xlabel="decision, by night or day")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.margins(y=0.12)
        figure.legend(loc="outside upper left", ncols=4, fontsize=8.5)
        return finish()


def version_of(address: str | None) -> int | None:
    """Return the version in ``models:/NAME/VERSION``; None of None."""
    found = re.fullmatch(r"models:/.+/(\d+)", address or "")
    return int(found[1]) if found else None


def mark_of(decision: Decision) -> str:
    """Return the kind of a rollback or of a move outside the gate, the verdict of any other decision."""
    return decision.kind if decision.kind in ("rollback", OUTSIDE) else decision.verdict


def _day(decision: Decision) -> str:
    return decision.night or f"{decision.at:%Y-%m-%d}"

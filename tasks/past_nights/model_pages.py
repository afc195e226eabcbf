"""The pages of nights and the models behind their scores: which are stale, which were scored or decided anew."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.night.models import NightModel
from tasks.past_nights.staleness import NightState, count_states
from tasks.reports.page import Block, Cell, Heading, Headline, Headlines, Table, Text, page
from tasks.store.files import whole_file

REASONS = {
    "other_model": "scored by another model, or another first model",
    "other_preprocessing": "another version of the preprocessing",
    "other_threshold": "its rule gives another threshold or calibration now",
    "changed_source": "the stamps of its source differ now",
    "no_record": "its scores have no record, or that of other scores",
    "source_missing": "its source is gone",
}
"""What each reason of `staleness.Reason` means, in words."""
_OUTCOMES = ("night", "state", "message", "model_before", "model", "threshold_before", "threshold")
_COUNTS = ("selected_before", "selected", "gained", "lost", "overlap_with_training")


def write_states_page(path: Path, states: Sequence[NightState], champion: NightModel) -> None:
    """Write the page of all nights with scores, stale ones first."""
    counts = count_states(states)
    headlines = [
        Headline("Current", counts["current"], f"of {len(states)} nights"),
        Headline("To rescore", counts["to_rescore"], "by the flow rescore"),
        Headline("To rethreshold", counts["to_rethreshold"], "by the flow rethreshold"),
        Headline("Stale for good", _stuck(states), "without a source, or a source that is not known"),
    ]
    reasons: list[Sequence[Cell]] = [[name, REASONS[name], count] for name, count in counts["reasons"].items()]
    columns = ["night", "state", "model", "preprocessing", "threshold", "version of the threshold", "why"]
    ordered = sorted(states, key=lambda state: (state.current, state.file.night))
    blocks: list[Block] = [Headlines(headlines), Heading("Nights")]
    if states:
        blocks.append(Table("Stale nights first", columns, [_state_row(state) for state in ordered]))
    else:
        blocks.append(Text("No night has scores yet."))
    if reasons:
        table = Table("A night may have several", ["reason", "meaning", "nights"], reasons)
        blocks += [Heading("Reasons"), table]
    facts = f"sha256 {champion.sha256[:8]}, preprocessing {champion.card['preprocessing_version']}"
    _write(path, "Which model made which scores", blocks, f"Today's model {champion.name}, {facts}")


def _stuck(states: Sequence[NightState]) -> int:
    return sum(not state.current and state.remedy == "none" for state in states)


def _state_row(state: NightState) -> list[Cell]:
    file = state.file
    word = "current" if state.current else {"none": "stale"}.get(state.remedy, f"to {state.remedy}")
    why = ", ".join(state.reasons) + (f" ({state.note})" if state.note else "")
    threshold = None if file.threshold is None else f"{file.threshold:.3f}"
    return [file.night, word, file.model, file.preprocessing_version, threshold, file.threshold_version, why or None]


def write_outcomes_page(path: Path, title: str, entries: Sequence[Mapping[str, Any]], champion: str) -> None:
    """Write the page of nights that were scored or decided anew, from the entries of their summary."""
    columns = [name for name in (*_OUTCOMES, *_COUNTS) if any(name in entry for entry in entries)]
    rows = [[entry.get(name) for name in columns] for entry in entries]
    blocks: list[Block] = [Heading("Nights")]
    words = [name.replace("_", " ") for name in columns]
    blocks.append(Table("Logits of thresholds", words, rows) if rows else Text("There was nothing to do."))
    _write(path, title, blocks, f"Today's model {champion}")


def _write(path: Path, title: str, blocks: Sequence[Block], subtitle: str) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_text(page(title, blocks, subtitle), encoding="utf-8")

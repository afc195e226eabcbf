"""The state of a workspace as text of aligned columns."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tasks.home import words
from tasks.home.status import (
    DatasetStatus,
    DecisionStatus,
    ModelStatus,
    NightStatus,
    QueueStatus,
    ReportStatus,
    RunStatus,
    ScoringStatus,
    Section,
    WorkspaceStatus,
)
from tasks.housekeeping.disk import size_text
from tasks.reports.page import cell_text

RowT = TypeVar("RowT")
Block = tuple[tuple[str, ...], list[str]]
"""Cells of a row, and lines below it."""
REPORTS_SHOWN = 8
NIGHTS_SHOWN = 3
"""Of datasets that hold one night; the page has all."""


def status_text(status: WorkspaceStatus) -> str:
    """Return the state of a workspace for the terminal."""
    lines = [f"{status.workspace}, {words.time_text(status.at)} UTC"]
    if status.begin:
        lines += ["", f"Nothing is here yet. Begin with: {status.begin}"]
    datasets = [row for row in status.datasets.rows if row.night is None]
    nights = [row for row in status.datasets.rows if row.night is not None]
    shown = status.datasets.model_copy(update={"rows": (*datasets, *nights[:NIGHTS_SHOWN])})
    reports = status.reports.model_copy(update={"rows": status.reports.rows[:REPORTS_SHOWN]})
    left_out = len(nights) - NIGHTS_SHOWN
    lines += [
        *_section("Services", status.services, lambda row: ((row.name, words.service_text(row)), [])),
        *_section("Newest night", status.nights, _night),
        *_section("Scores", status.scorings, _scoring),
        *_section("Champions and challengers", status.models, _model),
        *_section("Datasets", shown, _dataset),
        *([f"  and {left_out} older nights"] if left_out > 0 else []),
        *_section("Decisions", status.decisions, _decision),
        *_section("Flow runs", status.runs, _run),
        *_section("Queues of labels", status.queues, _queue),
        *_section("Reports", reports, _report),
        *_section("Disk", status.disk, lambda row: ((row.name, size_text(row.size)), [])),
        f"  {words.disk_text(status.disk)}",
    ]
    return "\n".join(lines)


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows of equally many cells as lines in which each column begins at one place."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _section(title: str, section: Section[RowT], block: Callable[[RowT], Block]) -> Iterator[str]:
    yield from ("", title)
    blocks = [block(row) for row in section.rows]
    for line, (_, below) in zip(aligned([cells for cells, _ in blocks]), blocks, strict=True):
        yield f"  {line}"
        yield from (f"      {text}" for text in below)
    if section.absent:
        yield f"  {section.absent}{f' Run: {section.command}' if section.command else ''}"
    yield from (f"  cannot be read: {fault}" for fault in section.faults)


def _night(night: NightStatus) -> Block:
    below = [f"at work: {night.unfinished}"] if night.unfinished else []
    if night.night is None:
        return (night.dataset, "", "", ""), below
    rejected = f" ({words.counts_text(night.rejected)} rejected)" if night.rejected else ""
    funnel = " > ".join(f"{cell_text(count)} {step}" for step, count in words.night_funnel(night))
    below += [night.message] if night.message else []
    below += [funnel + rejected]
    below += [words.figures_text(night.efficiency)] if night.efficiency else []
    below += [f"drift: {words.drift_text(night)}", f"gate: {words.gate_text(night)}"]
    below += [words.figures_text(night.gate)] if night.gate else []
    below += night.reasons
    return (night.dataset, night.night, night.words or "", f"{night.pixels} pixels" if night.pixels else ""), below


def _scoring(scoring: ScoringStatus) -> Block:
    selected = "" if scoring.selected is None else f"{cell_text(scoring.selected)} selected"
    left_out = "" if not scoring.not_scored else f"{cell_text(scoring.not_scored)} not scored"
    cells = (scoring.night, f"{cell_text(scoring.rows)} rows", selected, left_out, words.model_text(scoring.model))
    return (*cells, words.time_text(scoring.scored_at)), []


def _model(model: ModelStatus) -> Block:
    of = "" if model.count is None else f" on {cell_text(model.count)} test samples"
    origin = words.origin_text(model.pixels, model.labels)
    figures = f"{words.figures_text(model.figures)}{of}" if model.figures else "no figures of a test part"
    below = [f"{figures}{f' ({origin})' if origin else ''}"]
    return (f"{model.name}/{model.version}", ", ".join(model.aliases), model.dataset or ""), below


def _dataset(dataset: DatasetStatus) -> Block:
    building = [f"process {dataset.builder} is building"] if dataset.builder else []
    if dataset.version is None:
        return (dataset.name, "not published yet", ""), building
    funnel = " > ".join(f"{cell_text(count)} {step}" for step, count in words.funnel_of(dataset))
    below = [
        *([f"rejected: {words.counts_text(dataset.rejected)}"] if dataset.rejected else []),
        *(f"{scheme.name}: {words.counts_text(scheme.counts)}" for scheme in dataset.schemes if scheme.counts),
        *([f"parts: {words.counts_text(dataset.parts)}"] if dataset.parts else []),
        *building,
    ]
    return (words.dataset_name(dataset), words.origin_text(dataset.pixels, dataset.label_kind), funnel), below


def _decision(decision: DecisionStatus) -> Block:
    when = decision.night or words.time_text(decision.at)
    cells = (str(decision.sequence), when, decision.verdict, words.moved_text(decision), decision.by)
    return cells, [*([words.figures_text(decision.figures)] if decision.figures else []), *decision.reasons]


def _run(run: RunStatus) -> Block:
    process = "" if run.process is None else f"process {run.process}"
    return (run.group, run.flow, run.state, words.time_text(run.at), run.name, process), []


def _queue(queue: QueueStatus) -> Block:
    answered = f"{cell_text(queue.answered)} of {cell_text(queue.items)} answered"
    return (queue.dataset, queue.name, queue.source, answered, ", ".join(queue.labellers)), []


def _report(report: ReportStatus) -> Block:
    return (f"reports/{report.file}", report.title, words.time_text(report.written_at)), []

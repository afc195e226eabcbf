"""What the page and the terminal say of figures, counts, times and models."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from tasks.home.status import DatasetStatus, DecisionStatus, DiskStatus, Figure, NightStatus, ServiceStatus
from tasks.housekeeping.disk import size_text
from tasks.reports.page import cell_text

SERVICE_NAMES = {"home": "Home page", "prefect": "Prefect", "mlflow": "MLflow", "label": "Labelling"}
STARTED_BY = "starloom up"
"""Starts every service."""


def figure_text(figure: Figure) -> str:
    """Return the value with its interval, where it has one."""
    ends = "" if figure.low is None or figure.high is None else f" ({figure.low:.3g} to {figure.high:.3g})"
    return f"{figure.value:.3g}{ends}"


def figures_text(figures: Iterable[Figure]) -> str:
    """Return all figures in one line."""
    return "; ".join(f"{figure.name} {figure_text(figure)}" for figure in figures)


def counts_text(counts: Mapping[str, int]) -> str:
    """Return counts by name in one line."""
    return ", ".join(f"{name} {cell_text(count)}" for name, count in counts.items())


def time_text(at: datetime | None) -> str:
    """Return a time to the minute, UTC; a dash for None."""
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M}"


def model_text(address: str | None) -> str:
    """Return ``NAME/VERSION`` of a model's address; a dash for None."""
    return "–" if address is None else address.removeprefix("models:/")


def service_text(service: ServiceStatus) -> str:
    """Return the address of a service, or what it is at."""
    if service.address is not None:
        return service.address if service.state == "running" else f"{service.address}, {service.state}"
    return service.state if service.state == "starting" else f"not running; {STARTED_BY} starts it"


def dataset_name(dataset: DatasetStatus) -> str:
    """Return ``NAME@VERSION``."""
    return dataset.name if dataset.version is None else f"{dataset.name}@{dataset.version}"


def origin_text(pixels: str | None, labels: str | None) -> str:
    """Return where pixels and labels are from."""
    return ", ".join(f"{origin} {what}" for origin, what in ((pixels, "pixels"), (labels, "labels")) if origin)


def funnel_of(dataset: DatasetStatus) -> list[tuple[str, int]]:
    """Return the steps of a dataset from the samples that were asked for to those of each scheme that have a label."""
    labelled = [(f"labelled {scheme.name}", sum(scheme.counts.values())) for scheme in dataset.schemes if scheme.counts]
    return [("asked", dataset.asked), ("stored", dataset.stored), *labelled]


def night_funnel(night: NightStatus) -> list[tuple[str, int]]:
    """Return the steps of a night from what was delivered to what was selected; galaxies are not selected."""
    delivered = night.ingested + sum(night.rejected.values())
    selected = [] if night.selected is None else [("selected", night.selected)]
    return [("delivered", delivered), ("ingested", night.ingested), ("scored", night.scored), *selected]


def gate_text(night: NightStatus) -> str:
    """Return the gate's verdict with both models; that there was no challenger, else."""
    if night.decision is None:
        return "no challenger"
    return f"{night.decision}: {model_text(night.challenger)}; champion {model_text(night.champion)}"


def drift_text(night: NightStatus) -> str:
    """Return the verdict on drift and its reasons."""
    if night.drift is None:
        return "not checked"
    return "; ".join([night.drift, *night.drift_reasons])


def moved_text(decision: DecisionStatus) -> str:
    """Return ``1 → 2`` where the champion changed, else the challenger against the champion."""
    before, after = (model_text(each) for each in (decision.champion_before, decision.champion_after))
    if before != after:
        return f"{before} → {after}"
    return after if decision.challenger is None else f"{model_text(decision.challenger)} against {after}"


def disk_text(disk: DiskStatus) -> str:
    """Return how much the workspace holds, and what is free."""
    known = "" if disk.measured_at else ", and more that is being measured"
    free = "" if disk.free is None else f"; {size_text(disk.free)} free"
    return f"{size_text(disk.total)} in the workspace{known}{free}"

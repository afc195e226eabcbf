"""The page of a study of schemes: the table of class count against network, and what stands behind it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.galaxies.summed_answers import describe_sums
from tasks.learning.intervals import Interval
from tasks.reports import figures
from tasks.reports.page import Block, Cell, Figure, Heading, Table, Text, page
from tasks.runtime.provenance import code_version
from tasks.studies.galaxies.published_results import PUBLISHED
from tasks.studies.galaxies.scheme_study import TWO_CLASSES, SchemeStudy

ROW_COLUMNS = (
    "scheme", "arm", "seed", "accuracy", "low", "high", "macro_f1", "ece", "nll", "epochs", "fit_seconds", "run_id"
)  # fmt: skip
"""Columns of the table of all trainings."""
Compared = Mapping[str, Any]


def study_page(
    study: SchemeStudy, results: Sequence[Mapping[str, Any]], compared: Compared, tables: Mapping[str, Table]
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    study : SchemeStudy
    results : sequence of mapping
        As `scheme_training.train_schemes` returns them.
    compared : mapping
        As `scheme_table.compare_schemes` returns it.
    tables : mapping
        As `study_tables` returns them.
    """
    blocks: list[Block] = [Text(_introduction(study)), tables["accuracy"], *_notes(study), _overview(study, compared)]
    for scheme in study.schemes:
        blocks += [Heading(scheme), tables[scheme], _curves(study, scheme, results)]
    blocks += [Heading("Convergence and overfitting"), tables["convergence"]]
    if "hierarchical" in tables:
        blocks += [Heading("One model for all schemes"), tables["hierarchical"], *_sums_notes(study)]
    blocks += [Heading("Every training"), tables["rows"], Heading("Provenance"), tables["provenance"]]
    return page(f"Class schemes compared on {study.dataset.name}", blocks, _origin(study))


def study_tables(study: SchemeStudy, results: Sequence[Mapping[str, Any]], compared: Compared) -> dict[str, Table]:
    """Return the page's tables by the names under which MLflow records them too."""
    tables = {"accuracy": accuracy_table(study, compared)}
    tables |= {scheme: _scheme_table(study, scheme, compared[scheme]) for scheme in study.schemes}
    tables["convergence"] = _convergence_table(study, results)
    if study.sums:
        tables["hierarchical"] = _hierarchical_table(study, compared)
    rows = [[row.get(name, row.get(f"accuracy_{name}")) for name in ROW_COLUMNS] for row in results]
    tables["rows"] = Table("Accuracy with Wilson's interval; times in seconds", list(ROW_COLUMNS), rows)
    tables["provenance"] = _provenance(study)
    return tables


def accuracy_table(study: SchemeStudy, compared: Compared) -> Table:
    """Return the table of class count against network, published figures of other data beside it."""
    arms = [arm.name for arm in study.request.arms]
    rows: list[list[Cell]] = []
    for scheme, of in compared.items():
        majority = of["baselines"].get("majority class", {})
        own = [_percent(of["arms"][name]["own"], "accuracy") for name in arms]
        least = None if majority.get("accuracy") is None else f"{100 * majority['accuracy']:.1f}"
        rows.append([of["classes"], scheme, least, *own, *_published(scheme)])
    pixels = study.test_dataset.manifest["pixels"]
    seeds = ", ".join(map(str, study.request.seeds))
    return Table(
        f"Accuracy in per cent with 95 % intervals, means over seeds {seeds}; {_origin(study)}. Columns of other data "
        "hold published figures of other images: they say what was reached elsewhere and are no comparison.",
        [
            "classes",
            "scheme",
            f"majority class ({pixels})",
            *(f"{name} ({pixels})" for name in arms),
            "Barchi et al. 2020 (other data)",
            "deck Xception / ViT (other data)",
        ],
        rows,
    )


def _published(scheme: str) -> list[Cell]:
    published = PUBLISHED.get(scheme)
    if published is None:
        return [None, None]
    return [published.barchi, published.deck]


def _scheme_table(study: SchemeStudy, scheme: str, of: Mapping[str, Any]) -> Table:
    """Return the lines of one scheme, baselines first."""
    rows: list[list[Cell]] = []
    for name, line in of["baselines"].items():
        rows.append([name, _percent(line, "accuracy"), _number(line["macro_f1"]), None, None])
    if of["truth_agreement"]:
        rows.append(["labels against the hidden truth", _percent(of["truth_agreement"], "accuracy"), None, None, None])
    for name, arm in of["arms"].items():
        measured = [_percent(arm["own"], "accuracy"), _number(arm["own"]["macro_f1"])]
        rows.append([name, *measured, _points(arm.get("over_first")), _ratio(arm)])
    for name, arm in of["arms"].items():
        if true := arm.get("against_truth"):
            rows.append([f"{name}, against the hidden truth", _percent(true, "accuracy"), None, None, _ratio(true)])
    for name, arm in of["arms"].items():
        if arm["summed"]:
            summed = arm["summed"]
            line = f"{name}, summed from {study.finest}"
            rows.append([line, _percent(summed, "accuracy"), _number(summed["macro_f1"]), None, None])
    first = study.request.arms[0].name
    left_out = of["overlap_with_training"]
    return Table(
        f"{of['count']} tested galaxies, {left_out} left out that a training saw; {_origin(study)}. Differences and "
        "ratios are paired on the same galaxies, groups resampled.",
        [
            f"{of['classes']} classes",
            "accuracy (%)",
            "macro-F1",
            f"points above {first}",
            f"error as a multiple of {first}'s",
        ],
        rows,
    )


def _hierarchical_table(study: SchemeStudy, compared: Compared) -> Table:
    rows: list[list[Cell]] = []
    for scheme, of in compared.items():
        for name, arm in of["arms"].items():
            if arm["summed"]:
                own, summed = (_percent(arm[kind], "accuracy") for kind in ("own", "summed"))
                rows.append([scheme, name, own, summed, _points(arm["summed_over_own"])])
    return Table(
        f"One model of {study.finest}, whose probabilities are added up, beside a model of each scheme; accuracy in "
        f"per cent, {_origin(study)}",
        ["scheme", "network", "a model of the scheme", f"summed from {study.finest}", "points above it"],
        rows,
    )


def _convergence_table(study: SchemeStudy, results: Sequence[Mapping[str, Any]]) -> Table:
    rows: list[list[Cell]] = []
    for scheme in study.schemes:
        for arm in study.request.arms:
            of = [row for row in results if (row["arm"], row["scheme"]) == (arm.name, scheme)]

            def mean(name: str, of: list[Mapping[str, Any]] = of) -> float:
                return float(np.mean([row[name] for row in of]))

            epochs = [f"{mean(name):.1f}" for name in ("epochs", "best_epoch", "epoch_to_95pct")]
            rows.append([scheme, arm.name, *epochs, f"{100 * mean('generalisation_gap'):+.1f}".replace("-", "−")])
    return Table(
        "Means over seeds. The third count is the first epoch whose validation accuracy reaches 95 % of the kept "
        "epoch's; the gap is training minus validation accuracy at the kept epoch, in points. Training accuracy is "
        "measured on augmented images while the network changes.",
        ["scheme", "network", "epochs", "kept epoch", "epochs to 95 %", "gap (points)"],
        rows,
    )


def _overview(study: SchemeStudy, compared: Compared) -> Figure:
    curves: dict[str, list[tuple[float, Interval]]] = {arm.name: [] for arm in study.request.arms}
    for of in compared.values():
        for name, arm in of["arms"].items():
            curves[name].append((of["classes"], Interval.from_summary(arm["own"], "accuracy")))
    return Figure(
        f"Accuracy against the number of classes, 95 % intervals; {_origin(study)}.",
        figures.rates_figure(curves, "classes", "accuracy"),
        "accuracy against the number of classes",
    )


def _curves(study: SchemeStudy, scheme: str, results: Sequence[Mapping[str, Any]]) -> Figure:
    fits = {
        arm.name: [row["history"] for row in results if (row["arm"], row["scheme"]) == (arm.name, scheme)]
        for arm in study.request.arms
    }
    return Figure(
        f"Accuracy after each epoch on the validation part (solid) and the training part (dashed), one line a seed; "
        f"{_origin(study)}.",
        figures.epochs_figure(fits),
        f"curves of accuracy against epoch under {scheme}",
    )


def _introduction(study: SchemeStudy) -> str:
    tested = (
        "the test part of the same dataset"
        if study.request.test_dataset is None
        else f"all labelled galaxies of {study.test_dataset.name} that no training saw"
    )
    return (
        f"{len(study.request.arms)} networks under {len(study.schemes)} class schemes, trained on "
        f"{study.dataset.name}@{study.dataset.version} and tested on {tested}. Each scheme has its own model; epoch "
        "and temperature are chosen on the validation part, and the tested galaxies are scored once."
    )


def _notes(study: SchemeStudy) -> list[Block]:
    notes = []
    if study.test_dataset.manifest["pixels"] != "real":
        notes.append(
            "The images are simulated: these rates say that the chain trains and separates simulated classes, not how "
            "well it classifies real galaxies. What carries over is the ratio of errors between networks."
        )
    if TWO_CLASSES in study.schemes:
        notes.append(
            f"{TWO_CLASSES} is elliptical against spiral of Galaxy Zoo 2. The two classes of Barchi et al. and of the "
            "deck are those of Galaxy Zoo 1, another selection and another question: its row has no published figure."
        )
    return [Text(note, quiet=True) for note in notes]


def _sums_notes(study: SchemeStudy) -> list[Block]:
    return [Text(f"{scheme}: {' '.join(describe_sums(sums))}", quiet=True) for scheme, sums in study.sums.items()]


def _provenance(study: SchemeStudy) -> Table:
    dataset, tested = study.dataset, study.test_dataset
    facts = {
        "dataset": f"{dataset.name}@{dataset.version}",
        "dataset digest": dataset.digest,
        "split hash": dataset.manifest["split_hash"],
        "test dataset": f"{tested.name}@{tested.version}, part {study.test_part}",
        "test dataset digest": tested.digest,
        "pixels": f"{dataset.manifest['pixels']}, tested {tested.manifest['pixels']}",
        "labels": f"{dataset.manifest['label_kind']}, tested {tested.manifest['label_kind']}",
        "epochs": "each preset's rule" if study.request.epochs is None else str(study.request.epochs),
        "code": code_version(),
    } | {f"network: {arm.name}": json.dumps(arm.model_dump(exclude_defaults=True)) for arm in study.request.arms}
    return Table("Data and code of this study", ["what", "value"], [[name, value] for name, value in facts.items()])


def _origin(study: SchemeStudy) -> str:
    manifest = study.test_dataset.manifest
    return f"{manifest['pixels']} pixels, {manifest['label_kind']} labels"


def _percent(summary: Mapping[str, Any], name: str) -> str:
    """Return a rate with its interval in per cent, such as ``71.3 [69.8, 72.7]``."""
    if summary.get(name) is None:
        return "–"
    interval = Interval.from_summary(summary, name)
    return f"{100 * interval.value:.1f}{_ends(interval, '.1f')}"


def _points(summary: Mapping[str, Any] | None) -> str | None:
    """Return a difference of rates in percentage points with its interval; None is none."""
    if summary is None:
        return None
    interval = Interval.from_summary(summary, "difference")
    return f"{100 * interval.value:+.1f}{_ends(interval, '+.1f')}".replace("-", "−")


def _ratio(arm: Mapping[str, Any]) -> str | None:
    if arm.get("error_ratio") is None:
        return None
    interval = Interval.from_summary(arm, "error_ratio")
    return f"{interval.value:.2f}{_ends(interval, '.2f', 1)}"


def _ends(interval: Interval, spec: str, scale: float = 100) -> str:
    ends = Interval(*(scale * value for value in interval)).ends(spec, ", ")
    return "" if np.isnan(interval.low) else f" [{ends}]"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"

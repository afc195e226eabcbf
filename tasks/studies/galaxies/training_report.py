"""The page of a study of trainings: the curve over the number of training images, tables, differences, epoch curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.learning.intervals import Interval
from tasks.learning.split_parts import ALL
from tasks.reports import figures
from tasks.reports.page import Block, Cell, Figure, Heading, Table, Text, page
from tasks.runtime.provenance import code_version
from tasks.studies.galaxies.training_study import MAJORITY, TrainingStudy

Line = Mapping[str, Any]
_MINUS = "\N{MINUS SIGN}"


def study_page(study: TrainingStudy, tables: Mapping[str, Table], drawn: Mapping[str, Figure]) -> str:
    """Return the page as HTML; `tables` and `drawn` are those of `study_tables` and `study_figures`."""
    sizes = [f"size {size or ALL}" for size in reversed(study.sizes)]
    blocks: list[Block] = [
        Text(_introduction(study)),
        tables[sizes[0]],
        *([drawn["sizes"]] if "sizes" in drawn else []),
    ]
    sections: list[tuple[str, list[str]]] = [
        ("Differences on the same galaxies", ["differences"]),
        ("Ablation", ["ablation", "ablation_table"]),
        ("Fewer training images", sizes[1:]),
        ("Calibration", ["calibration"]),
        ("Convergence and overfitting", ["epochs", "convergence"]),
        ("Provenance", ["provenance"]),
    ]
    for heading, names in sections:
        section: list[Block] = [block for name in names for block in (drawn.get(name), tables.get(name)) if block]
        blocks += [Heading(heading), *section] if section else []
    return page(f"Ways to train, compared on {study.dataset.name}", blocks, _origin(study))


def study_tables(study: TrainingStudy, lines: Sequence[Line]) -> dict[str, Table]:
    """Return the page's tables by the names under which MLflow records them too."""
    tables = {
        f"size {size or ALL}": _rates_table(study, _in_order(study, _of_size(lines, size))) for size in study.sizes
    }
    tables["differences"] = _differences_table(study, lines)
    tables["calibration"] = _calibration_table(study, lines)
    if study.request.ablation is not None:
        tables["ablation_table"] = _ablation_table(study, _of_size(lines, study.sizes[-1]), study.request.ablation.name)
    if any("epoch_to_95pct" in line for line in lines):
        tables["convergence"] = _convergence_table(study, lines)
    tables["provenance"] = _provenance(study)
    return tables


def study_figures(
    study: TrainingStudy, lines: Sequence[Line], results: Sequence[Mapping[str, Any]]
) -> dict[str, Figure]:
    """Return the page's figures by name."""
    found = {}
    if len(study.sizes) > 1:
        found["sizes"] = _size_figure(study, lines)
    largest = study.sizes[-1]
    fitted = [result for result in results if result["size"] == (largest or ALL) and "history" in result]
    if fitted:
        found["epochs"] = _epochs_figure(study, fitted, largest)
    changed = [line for line in _of_size(lines, largest) if line["name"] in study.changes]
    if changed:
        found["ablation"] = _ablation_figure(study, changed)
    return found


def _epochs_figure(study: TrainingStudy, fitted: Sequence[Mapping[str, Any]], size: int | None) -> Figure:
    names = dict.fromkeys(result["name"] for result in fitted if result["name"] not in study.changes)
    curves = {name: [result["history"] for result in fitted if result["name"] == name] for name in names}
    return Figure(
        f"Accuracy on the validation part after each epoch, one line a fit, at {_size_words(size)}; {_origin(study)}.",
        figures.epochs_figure(curves),
        "validation accuracy against epoch",
    )


def _ablation_figure(study: TrainingStudy, changed: Sequence[Line]) -> Figure:
    bars = {study.changes[line["name"]]: Interval.from_summary(line, "accuracy_difference") for line in changed}
    base = study.references[changed[0]["name"]]
    return Figure(
        f"Accuracy minus that of {base}, on the same galaxies, groups resampled; {_origin(study)}.",
        figures.bars_figure(bars, f"accuracy minus that of {base}"),
        "differences with intervals",
    )


def _size_figure(study: TrainingStudy, lines: Sequence[Line]) -> Figure:
    titles = {"accuracy": "accuracy", "auc": "AUC"}
    panels: dict[str, dict[str, list[tuple[float, Interval]]]] = {}
    for measure, title in titles.items():
        for line in _in_order(study, lines):
            if measure in line and (line["name"], measure) != (MAJORITY, "auc"):  # 0.5 would stretch the axis
                point = line["trained_on"], Interval.from_summary(line, measure)
                panels.setdefault(title, {}).setdefault(line["name"], []).append(point)
    return Figure(
        f"Accuracy and AUC against the number of training images, means over seeds with 95 % intervals by resampling "
        f"groups; {_origin(study)}.",
        figures.size_figure(panels),
        "accuracy and AUC against the number of training images",
    )


def _rates_table(study: TrainingStudy, lines: Sequence[Line]) -> Table:
    two = any("auc" in line for line in lines)
    rows: list[list[Cell]] = [
        [
            line["name"],
            _percent(line, "accuracy"),
            _standard_deviation(line["accuracy_sd_over_seeds"]),
            *([_interval(line, "auc", ".3f")] if two else []),
            _interval(line, "macro_f1", ".3f"),
            _percent(line, "accuracy_at_80"),
        ]
        for line in lines
    ]
    auc = ["AUC"] if two else []
    repeats = "seeds" if study.request.scored_folds == "all" else "seeds and folds"
    return Table(
        f"Trained on {_size_words(_size_of(lines[0]), lines[0])}; {lines[0]['scored']} predictions; {_origin(study)}. "
        "Means over seeds; intervals of 95 % by resampling groups.",
        ["", "accuracy (%)", f"s.d. over {repeats} (points)", *auc, "macro-F1", "accuracy of the surest 80 % (%)"],
        rows,
    )


def _calibration_table(study: TrainingStudy, lines: Sequence[Line]) -> Table:
    rows: list[list[Cell]] = [
        [
            line["name"],
            line["trained_on"],
            _interval(line, "nll", ".3f"),
            f"{line['ece']:.3f}",
            f"{line['ece_of_perfect']:.3f}",
            f"{line['ece_of_perfect_high']:.3f}",
        ]
        for line in _in_order(study, lines)
    ]
    return Table(
        "Probabilities after the temperature that was fitted on the validation part; beside each ECE the one that a "
        "perfectly calibrated model would show with as many samples, and what 97.5 % of such models stay below",
        ["", "training images", "NLL (nats)", "ECE", "if calibrated perfectly", "at most"],
        rows,
    )


def _differences_table(study: TrainingStudy, lines: Sequence[Line]) -> Table:
    rows: list[list[Cell]] = [
        [
            line["name"],
            line["compared_with"],
            line["trained_on"],
            _points(line, "accuracy_difference"),
            _interval(line, "auc_difference", "+.3f") if "auc_difference" in line else None,
        ]
        for line in _in_order(study, lines)
        if line["compared_with"]
    ]
    return Table(
        "Paired: both on the same galaxies and seeds, groups resampled; intervals of 95 %",
        ["", "compared with", "training images", "accuracy (points)", "AUC"],
        rows,
    )


def _ablation_table(study: TrainingStudy, lines: Sequence[Line], base: str) -> Table:
    rows: list[list[Cell]] = [
        [
            study.changes.get(line["name"], line["name"]),
            _percent(line, "accuracy"),
            _points(line, "accuracy_difference") if line["name"] in study.changes else None,
            _interval(line, "auc_difference", "+.3f")
            if line["name"] in study.changes and "auc_difference" in line
            else None,
            f"{line['nll']:.3f}",
            f"{line['fit_seconds']:.0f}",
        ]
        for line in lines
        if line["name"] in {*study.changes, base}
    ]
    return Table(
        f"Every method of {base} changed alone, at "
        f"{_size_words(_size_of(lines[0]), lines[0])}; differences are paired on the same galaxies and seeds",
        ["", "accuracy (%)", "points above it", "AUC above it", "NLL (nats)", "seconds a fit"],
        rows,
    )


def _convergence_table(study: TrainingStudy, lines: Sequence[Line]) -> Table:
    rows: list[list[Cell]] = [
        [
            line["name"],
            line["trained_on"],
            line["validated_on"],
            f"{line['epoch_to_95pct']:.1f}",
            f"{100 * line['generalisation_gap']:+.1f}".replace("-", _MINUS),
            f"{line['fit_seconds']:.0f}",
            f"{line['seconds_beyond_epochs']:.0f}",
        ]
        for line in lines
        if "epoch_to_95pct" in line
    ]
    return Table(
        "Means over fits. The epoch at which the validation accuracy reaches 95 % of the kept epoch's; training minus "
        "validation accuracy there (training accuracy is that of augmented views); time of a fit, and of that what is "
        "not training epochs: tracing, validation, scoring",
        [
            "",
            "training images",
            "validation images",
            "epoch to 95 %",
            "gap (points)",
            "seconds a fit",
            "beyond epochs (s)",
        ],
        rows,
    )


def _provenance(study: TrainingStudy) -> Table:
    dataset, request, manifest = study.dataset, study.request, study.dataset.manifest
    rows: list[list[Cell]] = [
        ["dataset", f"{dataset.name}@{dataset.version}, digest {dataset.digest[:16]}"],
        ["scheme", f"{study.plain.scheme}: {', '.join(study.classes)}"],
        ["labelled images", len(study.part)],
        ["pixels, labels", f"{manifest['pixels']}, {manifest['label_kind']}"],
        ["folds", f"{request.folds}, scored: {_scored_words(study)}"],
        ["seeds", ", ".join(map(str, request.seeds))],
        ["epochs", "each preset's rule" if request.epochs is None else str(request.epochs)],
        ["code", code_version()],
    ]
    for arm in study.arms:
        start = study.trainings[arm.name].initial
        words = [f"network {arm.network}, preset {arm.preset}, weights {start.source}"]
        words += [f"sha256 {start.sha256[:16]}"] if start.sha256 else []
        words += [f"{name} {value}" for name, value in arm.methods.given.items()]
        words += ["frozen features and a logistic regression"] if arm.fitting == "head" else []
        rows.append([arm.name, ", ".join(words)])
    return Table("", ["", ""], rows)


def _introduction(study: TrainingStudy) -> str:
    request = study.request
    return (
        f"Cross-validation of {len(study.arms)} ways to train on the same galaxies of {study.dataset.name}: "
        f"{_scored_words(study)}, seeds {', '.join(map(str, request.seeds))}. A size takes whole groups of a fold's "
        "training part, and each size holds the smaller ones; the validation part, which chooses the epoch and the "
        "temperature, has at most a quarter of the size. The galaxies that are scored decide nothing."
    )


def _scored_words(study: TrainingStudy) -> str:
    if study.request.scored_folds == "all":
        return "every fold of each seed"
    return "one fold for each seed, of one division into folds"


def _origin(study: TrainingStudy) -> str:
    manifest = study.dataset.manifest
    return f"{manifest['pixels']} pixels, labels from {manifest['label_kind']}"


def _of_size(lines: Sequence[Line], size: int | None) -> list[Line]:
    return [line for line in lines if line["size"] == (size or ALL)]


def _size_of(line: Line) -> int | None:
    return None if line["size"] == ALL else int(line["size"])


def _size_words(size: int | None, line: Line | None = None) -> str:
    if size is not None:
        return f"{size} images"
    return "all images" if line is None else f"all images of the training part ({line['trained_on']} on average)"


def _in_order(study: TrainingStudy, lines: Sequence[Line]) -> list[Line]:
    """Return the lines arm by arm, each by size, without those of the ablation's changes."""
    names = [name for name in study.names if name not in study.changes]
    return [line for name in names for line in lines if line["name"] == name]


def _standard_deviation(value: float | None) -> Cell:
    return None if value is None else f"{100 * value:.1f}"


def _percent(line: Line, name: str) -> Cell:
    return _interval({key: None if line[key] is None else 100 * line[key] for key in _keys(name)}, name, ".1f")


def _points(line: Line, name: str) -> Cell:
    return _interval({key: None if line[key] is None else 100 * line[key] for key in _keys(name)}, name, "+.1f")


def _interval(line: Mapping[str, Any], name: str, spec: str) -> Cell:
    if line[name] is None:
        return None
    interval = Interval.from_summary(line, name)
    ends = interval.ends(spec, ",\N{NO-BREAK SPACE}")
    return f"{interval.value:{spec}} [{ends}]".replace("-", _MINUS)


def _keys(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"

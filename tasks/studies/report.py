"""The results of a study: each name's rates over its seeds, ratios between names on the same rows, and their page."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.learning import measures, operating_points
from tasks.learning.intervals import Interval, format_ends
from tasks.reports import figures
from tasks.reports.page import Block, Cell, Figure, Heading, Table, Text, page
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import whole_file
from tasks.store.schema import REALBOGUS
from tasks.studies.resumable_rows import row_name
from tasks.studies.rows import StudyRequest, StudyRow, StudySetup, study_folder
from tasks.tracking.study_runs import StudyRuns
from tasks.training.training_task import data_tags

REPEATS = 300
TPR = 0.9
RATIOS = {
    "previous": "times fewer than the line before",
    "plain": "times fewer than with the same labels untreated",
    "first": "times fewer than the first line",
}
"""Column of a study's table, by the name that a line is compared with."""
TESTED = ("auc", "fpr_at_tpr90", "bogus", "real")
"""Beginnings of the entries of a row's result that were measured on the test survey."""
OF_SUSPECTS = ("precision", "recall", "recall_at_precision_80")
"""Entries of a row's result on the labels that were taken for wrong."""
LEAST_RATE = 1e-5
"""Added to both rates of a ratio, so that it is finite if no bogus passes."""


@dataclass(frozen=True)
class StudyScores:
    """The logits of a study's rows on the m test rows.

    Attributes
    ----------
    logits : mapping of str to (seeds, m) float64
        By name of the rows.
    real : (m,) bool
    groups : sequence of str
        Sky cells of the test rows, which intervals resample.
    origins : (m,) str
        Their true origins.
    """

    logits: Mapping[str, NDArray[np.float64]]
    real: NDArray[np.bool_]
    groups: Sequence[str]
    origins: NDArray[np.str_]

    @classmethod
    def load(
        cls, workspace: Workspace, name: str, request: StudyRequest, results: Sequence[Mapping[str, Any]]
    ) -> "StudyScores":
        """Return the scores of a study's results, as `tasks.studies.row_training.run_rows` returns them."""
        setup = StudySetup(workspace, request, study_folder(workspace, name, request), InProcess())
        rows = [StudyRow(**{field: result[field] for field in StudyRow.model_fields}) for result in results]
        files: dict[str, list[Path]] = {}
        for row in rows:
            files.setdefault(row.name, []).append(setup.folder / f"scores-{row_name(row.model_dump())}.npy")
        logits = {
            which: np.stack([np.load(path, allow_pickle=False) for path in paths]) for which, paths in files.items()
        }
        return cls(logits, setup.test.real, setup.test.part.groups, setup.test.origins)

    def rate(self, which: str, rows: NDArray[np.int64]) -> float:
        """Return the false-positive rate of a name on some test rows, mean over its seeds."""
        real = self.real[rows]
        return float(np.mean([operating_points.fpr_at_tpr(seed[rows], real, TPR) for seed in self.logits[which]]))

    def passed(self, which: str) -> dict[str, float]:
        """Return the number of bogus of each true origin that pass with a name, mean over its seeds."""
        thresholds = [operating_points.threshold_for_tpr(seed[self.real], TPR) for seed in self.logits[which]]
        share = np.mean([seed >= threshold for seed, threshold in zip(self.logits[which], thresholds, strict=True)], 0)
        origins = sorted(set(self.origins[~self.real].tolist()))
        return {name: float(share[~self.real & (self.origins == name)].sum()) for name in origins}

    def ratio(self, other: str, which: str) -> Interval:
        """Return how many times fewer bogus pass than with `other`."""
        return self.resample(lambda rows: (self.rate(other, rows) + LEAST_RATE) / (self.rate(which, rows) + LEAST_RATE))

    def resample(self, measure: Callable[[NDArray[np.int64]], float]) -> Interval:
        """Return a measure of the test rows with its interval over resampled sky cells."""
        return measures.group_bootstrap(self.groups, measure, np.random.default_rng(0), REPEATS)


def compare_rows(
    workspace: Workspace,
    name: str,
    request: StudyRequest,
    results: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    plain: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return each name's rates over its seeds, and its ratios to other names on the same test rows.

    Intervals resample sky cells.

    Parameters
    ----------
    workspace : Workspace
    name : str
        Of the study.
    request : StudyRequest
    results : sequence of mapping
        As `tasks.studies.row_training.run_rows` returns them.
    names : sequence of str
        In the order of the table.
    plain : mapping of str to str, optional
        The untreated name to compare each name with; by default the name before it. The first name is always compared.

    Returns
    -------
    dict
        By name: ``fpr_at_tpr90`` (mean over seeds) with ``_low`` and ``_high``, ``per_seed``, ``auc``,
        ``passed_by_origin`` (numbers of bogus, means over seeds), and ``ratio_to_previous`` or ``ratio_to_plain``,
        ``ratio_to_first``: [value, low, high], how many times fewer bogus pass.
    """
    scores = StudyScores.load(workspace, name, request, results)
    compared: dict[str, Any] = {}
    for position, which in enumerate(names):
        compared[which] = {
            **scores.resample(partial(scores.rate, which)).to_summary("fpr_at_tpr90"),
            "per_seed": [operating_points.fpr_at_tpr(seed, scores.real, TPR) for seed in scores.logits[which]],
            "auc": float(np.mean([measures.auc(seed, scores.real) for seed in scores.logits[which]])),
            "passed_by_origin": scores.passed(which),
        }
        before = ("previous", names[max(position - 1, 0)]) if plain is None else ("plain", plain[which])
        for word, other in (before, ("first", names[0])):
            if other != which:
                compared[which][f"ratio_to_{word}"] = list(scores.ratio(other, which).to_summary("ratio").values())
    return compared


def publish_study(
    workspace: Workspace,
    name: str,
    request: StudyRequest,
    results: Sequence[Mapping[str, Any]],
    compared: Mapping[str, Any],
    remark: str,
    more: Sequence[Block] = (),
    more_metrics: Mapping[str, float | None] = MappingProxyType({}),
) -> dict[str, Any]:
    """Write a study's page, record it in MLflow, and return the summary.

    Parameters
    ----------
    workspace : Workspace
    name : str
    request : StudyRequest
    results : sequence of mapping
        As `tasks.studies.row_training.run_rows` returns them.
    compared : mapping
        As `compare_rows` returns it.
    remark : str
        The first sentence of the page.
    more : sequence of Block
        The study's own blocks, before the results of every row.
    more_metrics : mapping
        The study's own metrics for MLflow.
    """
    setup = StudySetup(workspace, request, study_folder(workspace, name, request), InProcess())
    dataset = Dataset.open(workspace, request.dataset)
    origin = f"{dataset.manifest['pixels']} pixels, truth labels"
    figure = rates_figure(compared, len(request.seeds), origin)
    real, bogus = int(setup.test.real.sum()), int((~setup.test.real).sum())
    blocks: list[Block] = [
        Text(
            f"{remark} Evaluated on {real} true transients that were not injected and {bogus} bogus of "
            f"{request.test_dataset}; {origin}. These rates are not those of a real survey."
        ),
        figure,
        rates_table(compared, request.seeds),
        origins_table(compared, setup.test.origins[~setup.test.real]),
        *more,
        Heading("Every row"),
        results_table(results),
    ]
    report = workspace.reports / f"{setup.folder.name}.html"
    with whole_file(report) as path:
        path.write_text(page(name.replace("-", " "), blocks, origin), encoding="utf-8")
    runs = study_runs(setup, name, results)
    with runs.open_study(f"{name} {dataset.name}", request.model_dump()) as run:
        run.log_metrics(more_metrics)
        run.log_table(rates_table(compared, request.seeds).by_column(), "compared")
        run.log_table({column: [row.get(column) for row in results] for column in results[0]}, "rows")
        run.log_figure(figure.pixels, "rates")
        for block in more:
            if isinstance(block, Figure):
                run.log_figure(block.pixels, block.alt.replace(" ", "-"))
        run.log_report(report)
    for result in results:
        record_row(runs, result)
    return {
        "rows": list(results),
        "compared": dict(compared),
        "report": str(report),
        "pixels": dataset.manifest["pixels"],
    }


def study_runs(setup: StudySetup, name: str, results: Sequence[Mapping[str, Any]]) -> StudyRuns:
    """Return the MLflow runs of a study with these rows; the same rows again have the same runs."""
    dataset = Dataset.open(setup.workspace, setup.request.dataset)
    tested = Dataset.open(setup.workspace, setup.request.test_dataset)
    tags = {
        **data_tags(dataset),
        "labels": "truth",
        "study": name,
        "test_dataset": f"{tested.name}@{tested.version}",
    }
    rows = [setup.request.model_dump_json(), *(row_name(settings_of(result)) for result in results)]
    digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()[:8]
    return StudyRuns(setup.workspace, REALBOGUS, setup.folder / f"runs-{digest}.json", dataset, tags)


def settings_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings among a row's result."""
    return {name: result[name] for name in StudyRow.model_fields if name in result}


def record_row(runs: StudyRuns, result: Mapping[str, Any]) -> None:
    """Record a row as a run below the study's: its settings as parameters, its numbers as metrics.

    What was measured on the test survey is called as after a training, such as ``test_auc``; how well suspects match
    the wrong labels begins with ``suspects_``. The memorised share has a step an epoch.
    """
    settings, name = settings_of(result), result["name"]
    with runs.open_row(f"{name}, seed {result['seed']}", name, settings) as run:
        run.log_tags({key: str(settings[key]) for key in ("seed", "network", "handling")})
        numbers = {key: value for key, value in result.items() if key not in settings}
        run.log_metrics({row_metric(key): value for key, value in numbers.items() if isinstance(value, int | float)})
        for step, share in enumerate(result.get("memorised_share", []), start=1):
            run.log_metrics({"memorised_share": share}, step)


def row_metric(name: str) -> str:
    """Return the metric of an entry of a row's result."""
    if name.startswith(TESTED):
        return f"test_{name}"
    return f"suspects_{name}" if name in OF_SUSPECTS else name


def metric_name(name: str) -> str:
    """Return a name as MLflow accepts it: a run of other characters than letters, digits, ``_./ -`` is one space."""
    return re.sub(r"[^\w./ -]+", " ", name)


def rates_figure(compared: Mapping[str, Any], seeds: int, origin: str) -> Figure:
    """Return the bar chart of the false-positive rates by name."""
    bars = {which: Interval.from_summary(of, "fpr_at_tpr90") for which, of in compared.items()}
    return Figure(
        f"False-positive rate at TPR {TPR}, mean over {seeds} seeds, 95 % intervals by resampling sky cells; {origin}.",
        figures.bars_figure(bars, f"false-positive rate at TPR {TPR}", logarithmic=True),
        "rates with intervals",
    )


def rates_table(compared: Mapping[str, Any], seeds: Sequence[int]) -> Table:
    """Return the table of rates and ratios, one line per name."""
    ratios = dict(RATIOS)
    del ratios["previous" if any("ratio_to_plain" in of for of in compared.values()) else "plain"]
    lines: list[list[Cell]] = [
        [
            which,
            f"{of['fpr_at_tpr90']:.3%}",
            format_ends(of["fpr_at_tpr90_low"], of["fpr_at_tpr90_high"], ".3%"),
            f"{of['auc']:.4f}",
            *(format_ratio(of.get(f"ratio_to_{word}")) for word in ratios),
        ]
        for which, of in compared.items()
    ]
    columns = ["name", f"FPR at TPR {TPR}", "95 % interval", "AUC", *ratios.values()]
    return Table(f"Means over seeds {', '.join(map(str, seeds))}", columns, lines)


def origins_table(compared: Mapping[str, Any], of_bogus: NDArray[np.str_]) -> Table:
    """Return the table of the bogus that pass, by their true origin, one line per name; `of_bogus` are all origins."""
    all_bogus = Counter(of_bogus.tolist())
    columns = ["name", *(f"{origin} (of {count:,})" for origin, count in all_bogus.most_common())]
    lines: list[list[Cell]] = [
        [which, *(f"{of['passed_by_origin'][origin]:.1f}" for origin, _ in all_bogus.most_common())]
        for which, of in compared.items()
    ]
    return Table(f"Bogus that pass at TPR {TPR}, by their true origin, means over the seeds", columns, lines)


def results_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Return the results, one line per row; settings that all rows share are left out."""
    columns = [
        name
        for name in results[0]
        if name not in StudyRow.model_fields or len({str(result[name]) for result in results}) > 1
    ]
    return Table("Results of every row", columns, [[_cell(row.get(column)) for column in columns] for row in results])


def format_ratio(ratio: Sequence[float | None] | None) -> str:
    """Return a ratio with its interval, a dash without one."""
    return "–" if ratio is None else f"{ratio[0]:.2f} ({format_ends(ratio[1], ratio[2], '.2f')})"


def _cell(value: Any) -> Cell:
    return value if isinstance(value, str | int | float) or value is None else json.dumps(value)

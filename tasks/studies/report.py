"""What a study has found: each name's rate over its seeds, ratios on the same rows, and the page that shows them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.learning import measures, operating_points
from tasks.learning.measures import Interval
from tasks.reports import figures
from tasks.reports.page import Figure, Heading, Table, Text, page
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import whole_file
from tasks.store.schema import REALBOGUS
from tasks.studies.resumable_rows import row_name
from tasks.studies.rows import Bench, Row, StudyRequest, study_folder
from tasks.tracking.mlflow_runs import open_run

REPEATS = 300
RATIOS = {
    "previous": "times fewer than the line before",
    "plain": "times fewer than with the same labels left alone",
    "first": "times fewer than the first line",
}
"""What a line is compared with -> column of a study's table."""


def compare_rows(
    workspace: Workspace,
    name: str,
    request: StudyRequest,
    results: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    plain: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return each name's figures over its seeds, and ratios to other names on the same rows; sky cells resampled.

    The others are the first name and the name before, or with `plain` in place of that the name that it holds.
    """
    bench = Bench(workspace, request, study_folder(workspace, name, request), InProcess())
    scores = {
        which: np.stack(
            [
                np.load(bench.folder / f"scores-{row_name(Row(**_settings(row)).model_dump())}.npy", allow_pickle=False)
                for row in results
                if row["name"] == which
            ]
        )
        for which in names
    }
    real, groups = bench.test.real, bench.test.part.groups

    def rate(which: str, rows: NDArray[np.int64]) -> float:
        return float(np.mean([operating_points.fpr_at_tpr(one[rows], real[rows], 0.9) for one in scores[which]]))

    found: dict[str, Any] = {}
    for at, which in enumerate(names):
        value = measures.group_bootstrap(groups, lambda rows, which=which: rate(which, rows), _rng(), REPEATS)  # type: ignore[misc]
        per_seed = [operating_points.fpr_at_tpr(one, real, 0.9) for one in scores[which]]
        found[which] = {
            "fpr_at_tpr90": value.value,
            "fpr_at_tpr90_low": value.low,
            "fpr_at_tpr90_high": value.high,
            "per_seed": per_seed,
            "auc": float(np.mean([measures.auc(one, real) for one in scores[which]])),
        }
        before = ("previous", names[max(at - 1, 0)]) if plain is None else ("plain", plain[which])
        for word, other in (before, ("first", names[0])):
            if other != which:
                found[which][f"ratio_to_{word}"] = _ratio(groups, rate, other, which)
    return found


def _ratio(groups: Sequence[str], rate: Any, other: str, which: str) -> list[float]:
    """Return how many times fewer bogus pass than by `other`, with its interval."""
    ratio = measures.group_bootstrap(
        groups, lambda rows: (rate(other, rows) + 1e-5) / (rate(which, rows) + 1e-5), _rng(), REPEATS
    )
    return [ratio.value, ratio.low, ratio.high]


def _settings(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in Row.model_fields}


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def publish_study(
    workspace: Workspace,
    name: str,
    request: StudyRequest,
    results: Sequence[Mapping[str, Any]],
    compared: Mapping[str, Any],
    remark: str,
) -> dict[str, Any]:
    """Write a study's page and table, record both in MLflow, and return the summary."""
    bench = Bench(workspace, request, study_folder(workspace, name, request), InProcess())
    dataset = Dataset.open(workspace, request.dataset)
    origin = f"{dataset.manifest['pixels']} pixels, truth labels"
    bars = {
        which: Interval(told["fpr_at_tpr90"], told["fpr_at_tpr90_low"], told["fpr_at_tpr90_high"])
        for which, told in compared.items()
    }
    figure = Figure(
        f"False-positive rate at TPR 0.9, mean over {len(request.seeds)} seeds, sky cells resampled; {origin}.",
        figures.bars_figure(bars, "false-positive rate at TPR 0.9", logarithmic=True),
        "rates with intervals",
    )
    ratios = dict(RATIOS)
    del ratios["previous" if any("ratio_to_plain" in told for told in compared.values()) else "plain"]
    rows = [
        [
            which,
            f"{told['fpr_at_tpr90']:.3%}",
            f"{told['fpr_at_tpr90_low']:.3%} to {told['fpr_at_tpr90_high']:.3%}",
            f"{told['auc']:.4f}",
            *(_times(told.get(f"ratio_to_{word}")) for word in ratios),
        ]
        for which, told in compared.items()
    ]
    real, bogus = int(bench.test.real.sum()), int((~bench.test.real).sum())
    columns = ["what", "FPR at TPR 0.9", "95 %", "AUC", *ratios.values()]
    every = [
        name_ for name_ in results[0] if name_ not in Row.model_fields or len({str(r[name_]) for r in results}) > 1
    ]
    blocks = [
        Text(
            f"{remark} Judged on {real} true transients that were not injected and {bogus} bogus of "
            f"{request.test_dataset}; {origin}. Nothing here says anything of a real survey's rates."
        ),
        figure,
        Table(f"Means over seeds {', '.join(map(str, request.seeds))}", columns, rows),
        Heading("Every row"),
        Table("As trained", every, [[_cell(row.get(column)) for column in every] for row in results]),
    ]
    report = workspace.reports / f"{bench.folder.name}.html"
    with whole_file(report) as path:
        path.write_text(page(name.replace("-", " "), blocks, origin), encoding="utf-8")  # type: ignore[arg-type]
    tags = {"kind": "study", "pixels": dataset.manifest["pixels"], "labels": "truth", "dataset_digest": dataset.digest}
    with open_run(
        workspace, problem=REALBOGUS, run_name=name, params=request.model_dump(), tags=tags, dataset=dataset
    ) as run:
        rates = {re.sub(r"[^\w./ -]+", " ", which): told["fpr_at_tpr90"] for which, told in compared.items()}
        run.log_metrics({f"{which} fpr_at_tpr90": rate for which, rate in rates.items()})
        run.log_table({column: [row.get(column) for row in results] for column in results[0]}, "rows")
        run.log_figure(figure.png, "rates")
        run.log_file(report, "report")
    return {
        "rows": list(results),
        "compared": dict(compared),
        "report": str(report),
        "pixels": dataset.manifest["pixels"],
    }


def _times(ratio: Sequence[float] | None) -> str:
    return "–" if ratio is None else f"{ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f})"


def _cell(value: Any) -> Any:
    return value if isinstance(value, str | int | float) or value is None else json.dumps(value)

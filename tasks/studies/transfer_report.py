"""The page, the MLflow run and the summary of `transfer-to-survey`."""

import time
from collections.abc import Mapping
from typing import Any

from tasks.learning.intervals import Interval, format_ends
from tasks.reports import figures
from tasks.reports.page import Block, Cell, Figure, Headline, Headlines, Table, Text, page
from tasks.runtime.workspace import Workspace
from tasks.store.files import whole_file
from tasks.store.schema import REALBOGUS
from tasks.studies.transfer import ALL_NIGHTS, STACK, Transfer, TransferRequest, measure_transfer, result_of
from tasks.tracking.mlflow_runs import PARENT, open_run

NAME = "transfer-to-survey"


def transfer_to_survey(workspace: Workspace, request: TransferRequest) -> dict[str, Any]:
    """Measure a transfer, write its page, record it in MLflow and return the summary."""
    started = time.monotonic()
    transfer = measure_transfer(workspace, request)
    target, ref = transfer.target, transfer.model.ref
    origin = f"{target.manifest['pixels']} pixels, {target.manifest['label_kind']} labels"
    figure = areas_figure(transfer, origin)
    left_out = "" if request.leave_out_night is None else f"-without-{request.leave_out_night}"
    report = workspace.reports / f"transfer-{target.name}-{str(transfer.model.card['sha256'])[:8]}{left_out}.html"
    title = f"From {transfer.source.name} to {target.name}"
    with whole_file(report) as path:
        path.write_text(page(title, blocks_of(transfer, request, figure), origin), encoding="utf-8")
    tags = {
        "kind": "study",
        PARENT: ref.run_id,
        "pixels": target.manifest["pixels"],
        "labels": target.manifest["label_kind"],
        "dataset_digest": target.digest,
    }
    with open_run(
        workspace, problem=REALBOGUS, run_name=NAME, params=request.model_dump(), tags=tags, dataset=target
    ) as run:
        run.log_metrics({metric_of(result): result["auc"] for result in transfer.results})
        run.log_table({name: [result[name] for result in transfer.results] for name in transfer.results[0]}, "rows")
        run.log_figure(figure.pixels, "areas")
        run.log_report(report)
    return {
        "model": ref.uri,
        "source": f"{transfer.source.name}@{transfer.source.version}",
        "dataset": f"{target.name}@{target.version}",
        "left_out_night": request.leave_out_night,
        "count": sum(transfer.counts[ALL_NIGHTS]),
        "counts": {scope: list(counts) for scope, counts in transfer.counts.items()},
        "rows": transfer.results,
        "untrained": transfer.untrained,
        "weights": transfer.weights,
        "source_auc": transfer.source_auc,
        "pixels": target.manifest["pixels"],
        "labels": target.manifest["label_kind"],
        "report": str(report),
        "seconds": round(time.monotonic() - started, 1),
    }


def blocks_of(transfer: Transfer, request: TransferRequest, figure: Figure) -> list[Block]:
    """Return the blocks of the page."""
    least = request.labels[0]
    first = result_of(transfer.results, ALL_NIGHTS, STACK, least)
    source, target = transfer.source, transfer.target
    lead = format_ends(first["lead_low"], first["lead_high"], "+.3f")
    labels = "without one label of the target" if least == 0 else f"with {least} labels of the target"
    blocks: list[Block] = [
        Headlines(
            [
                Headline(
                    f"AUC of the stack {labels}",
                    f"{first['auc']:.3f}",
                    f"95 % interval {format_ends(first['auc_low'], first['auc_high'], '.3f')}",
                ),
                Headline(
                    "Lead over the best score without training",
                    f"{first['lead']:+.3f}",
                    f"95 % interval {lead}; {first['best_untrained']}",
                ),
            ]
        ),
        Text(
            f"{transfer.model.label} was trained on {source.name} ({source.manifest['pixels']} pixels). The stack is "
            f"fitted to the validation part of {source.name}, and refitted where labels of {target.name} are given: "
            f"{request.draws} draws, from other groups than those that are judged, for one night from other nights. "
            "The best score without training is chosen, with its sign, on the judged rows themselves, which favours it."
        ),
        figure,
    ]
    blocks += [results_table(transfer, scope) for scope in transfer.counts]
    areas: list[list[Cell]] = [[name, *of_scope.values()] for name, of_scope in transfer.untrained.items()]
    weights, on_source = list(transfer.weights.items()), list(transfer.source_auc.items())
    blocks += [
        Table("AUC of scores that need no training", ["score", *transfer.counts], areas),
        Table("Weights of the stack before any label of the target", ["score", "weight"], weights),
        Table(f"AUC on the test part of {source.name}", ["score", "AUC"], on_source),
    ]
    return blocks


def results_table(transfer: Transfer, scope: str) -> Table:
    """Return the table of one scope: a line for each score and number of labels."""
    real, bogus = transfer.counts[scope]
    lines = [
        [
            result["score"],
            result["labels"],
            f"{result['auc']:.3f}",
            format_ends(result["auc_low"], result["auc_high"], ".3f"),
            f"{result['auc_10']:.3f} to {result['auc_90']:.3f}" if result["draws"] > 1 else None,
            f"{result['lead']:+.3f}",
            format_ends(result["lead_low"], result["lead_high"], "+.3f"),
        ]
        for result in transfer.results
        if result["scope"] == scope
    ]
    best = next(result["best_untrained"] for result in transfer.results if result["scope"] == scope)
    columns = ["score", "labels", "AUC", "95 % interval", "10 to 90 % of draws", f"lead over {best}", "95 % interval "]
    return Table(f"{scope[:1].upper()}{scope[1:]}: {real} real, {bogus} bogus; medians over draws", columns, lines)


def areas_figure(transfer: Transfer, origin: str) -> Figure:
    """Return the bar chart of the AUC by scope, score and number of labels."""
    bars = {
        f"{result['scope']}: {result['score']}, {result['labels']} labels": Interval.from_summary(result, "auc")
        for result in transfer.results
    }
    caption = f"AUC with 95 % intervals by resampling groups and draws of labels; {origin}."
    return Figure(caption, figures.bars_figure(bars, "AUC"), "areas with intervals")


def metric_of(result: Mapping[str, Any]) -> str:
    """Return the name of a result's metric in MLflow."""
    return f"{result['scope']} {result['score']} {result['labels']} labels auc".replace(",", "")

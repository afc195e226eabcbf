"""The page of a comparison of predicted classes with a published catalogue."""

import json
from collections.abc import Mapping
from typing import Any

from tasks.reports.page import Block, Cell, Heading, Headline, Headlines, Table, Text, page

_FACTS = (
    *("model", "predictions", "predictions_sha256", "catalog", "catalog_sha256", "understood", "radius_arcsec"),
    *("count", "matched", "not_compared"),
)


def comparison_page(result: Mapping[str, Any], classes: list[str]) -> str:
    """Return the HTML of a comparison's result, as its JSON file holds it, for a model of these classes."""
    blocks: list[Block] = [
        Headlines(
            [
                Headline("Compared", result["compared"], f"of {result['count']:,} predictions"),
                Headline("Agreement", result["agreement"], _interval(result, "agreement")),
                Headline("Cohen's kappa", result["kappa"], _interval(result, "kappa")),
            ]
        ),
        Text(_overlap_text(result["unseen"])),
        Text("A catalogue's classes are an opinion like the model's: this is agreement, not accuracy."),
        Heading("Agreement matrix"),
        _matrix(result["matrix"], classes),
        Heading("What was compared"),
        Table(
            "Predictions, catalogue and their rows",
            ["what", "value"],
            [[name.replace("_", " "), _text(result[name])] for name in _FACTS],
        ),
    ]
    return page(f"Predictions and {result['catalog'].rsplit('/', 1)[-1]}", blocks, f"Model {result['model']}")


def _matrix(counts: Mapping[str, Mapping[str, int]], classes: list[str]) -> Table:
    caption = (
        "Counts: the catalogue's classes along rows, the model's along columns. Rows of classes that the model lacks "
        "are in no figure."
    )
    rows: list[list[Cell]] = [[name, *(row[column] for column in classes)] for name, row in counts.items()]
    return Table(caption, ["catalogue", *classes], rows)


def _overlap_text(unseen: Mapping[str, Any] | None) -> str:
    if unseen is None:
        return "Which of these objects the model was trained on is unknown, or it was trained on all of them."
    return (
        f"Without the objects that the model was trained on: {unseen['compared']:,} compared, agreement "
        f"{unseen['agreement']:.3f} ({_interval(unseen, 'agreement')}), kappa {_number(unseen['kappa'])} "
        f"({_interval(unseen, 'kappa')})."
    )


def _interval(figures: Mapping[str, Any], name: str) -> str:
    low, high = figures[f"{name}_low"], figures[f"{name}_high"]
    return "no interval" if low is None else f"95 %: {low:.3f} to {high:.3f}"


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

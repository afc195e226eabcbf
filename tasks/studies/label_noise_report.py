"""What `label-noise-bench` reports beside rates: how well wrong labels are found, and how fast they are memorised."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.reports.page import Block, Cell, Heading, Table, Text

FINDER = "recall_at_precision_80"


def noise_finder(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return how many of the wrong labels are found at a precision of 0.8, by name of the rows that have suspects.

    Parameters
    ----------
    results : sequence of mapping
        As `tasks.studies.row_training.run_rows` returns them.

    Returns
    -------
    dict
        By name: ``recall_at_precision_80``, the mean over seeds (None without wrong labels), and ``per_seed``.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["name"] for row in results if FINDER in row):
        per_seed = [row[FINDER] for row in results if row["name"] == name]
        known = [recall for recall in per_seed if recall is not None]
        found[name] = {FINDER: float(np.mean(known)) if known else None, "per_seed": per_seed}
    return found


def memorised_by_epoch(results: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the memorised share of the wrong labels by epoch, mean over seeds, by name of the rows that have any."""
    shares: dict[str, list[list[float]]] = {}
    for row in results:
        by_epoch = row.get("memorised_share") or [None]
        if None not in by_epoch:
            shares.setdefault(row["name"], []).append(by_epoch)
    return {name: np.mean(of_seeds, axis=0).tolist() for name, of_seeds in shares.items()}


def noise_blocks(results: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Return the blocks of the page with the reached noise, `noise_finder` and `memorised_by_epoch`."""
    finder, memorised = noise_finder(results), memorised_by_epoch(results)
    lines = [
        _noise_line(
            name,
            [row for row in results if row["name"] == name],
            finder.get(name, {}).get("per_seed", []),
            memorised.get(name, []),
        )
        for name in dict.fromkeys(row["name"] for row in results)
    ]
    columns = ["name", "noise", "largest flip rate of a bin", "recall at precision 0.8, by seed", "memorised, by epoch"]
    return [
        Heading("Wrong labels"),
        Text(
            "Noise is the share of labels flipped, one-sided noise that of the bogus labels. Where more than half of "
            "a bin is flipped, the labels there point the wrong way. The memorised share is how often the network "
            "predicts the given label where it is wrong, among the labels that it was trained on, mean over seeds."
        ),
        Table("Wrong labels, found and memorised", columns, lines),
    ]


def _noise_line(
    name: str, rows: Sequence[Mapping[str, Any]], recalls: Sequence[float | None], memorised: Sequence[float]
) -> list[Cell]:
    """Return a line of the table: the rows of one name, its recall by seed, its memorised share by epoch."""
    rates = [row["largest_bin_rate"] for row in rows if row.get("largest_bin_rate") is not None]
    return [
        name,
        f"{np.mean([row['noise_reached'] for row in rows]):.1%}",
        f"{max(rates):.0%}" if rates else "–",
        ", ".join("–" if recall is None else f"{recall:.2f}" for recall in recalls) or "–",
        ", ".join(f"{share:.2f}" for share in memorised) or "–",
    ]

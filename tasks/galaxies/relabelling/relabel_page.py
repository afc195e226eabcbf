"""The page of a relabelling: the most suspect galaxies, suspects by class and quantity, and both trainings compared."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.galaxies.atlas.covariate_bins import covariate_bins, covariate_table
from tasks.galaxies.relabelling.paired_accuracy import PairedAccuracy
from tasks.learning import measures
from tasks.learning.intervals import Interval
from tasks.learning.labels.suspects import confident_joint, estimated_errors
from tasks.learning.predictions import SEED
from tasks.learning.split_parts import UNLABELLED, SplitPart
from tasks.reports import figures as draw
from tasks.reports.image_figures import image_strip
from tasks.reports.page import Block, Cell, Figure, Heading, Headline, Headlines, Link, Table, Text, page

SHOWN = 24
"""Galaxies with images, the most suspect first."""
DEPTHS = (10, 20, 50, 100, 200, 500)
"""Lengths of the queue's head in which wrong labels are counted."""
REPEATS = 200
HANDLINGS = {
    "keep": "keep their labels",
    "remove": "take no part in the second training",
    "weight": "count less in the second training's loss",
    "relabel": "have the suggested class in the second training",
    "soft": "have shares of several classes as target of the second training",
}


@dataclass(frozen=True)
class RelabelResults:
    """What the page of a relabelling shows.

    Attributes
    ----------
    name, scheme : str
        Of the dataset, with its version, and of its class scheme.
    origin : str
        Such as ``real pixels, votes labels``.
    classes : list of str
    request : mapping
        Settings of the relabelling: ``rule``, ``handling``, ``folds``, ...
    part : SplitPart
        The n labelled galaxies of the training part, with the labels that were scored, in the order of the arrays.
    probabilities : (n, classes)
        Out of fold.
    suspect : (n,) bool
    queue : Table
        As `label_queue` returns it, with ``vote_fraction``.
    covariates : dict of axis title to (n,) float
    truth : (n,) int, optional
        Position of the true class; -1 where it is unknown.
    compared : dict of str to PairedAccuracy
        Both trainings by what they are compared with; empty before the second training.
    images : (shown, height, width, channel) uint8
        Of the first rows of the queue.
    facts : mapping
        The table of provenance.
    """

    name: str
    scheme: str
    origin: str
    classes: Sequence[str]
    request: Mapping[str, Any]
    part: SplitPart
    probabilities: NDArray
    suspect: NDArray[np.bool_]
    queue: pa.Table
    covariates: Mapping[str, NDArray]
    truth: NDArray | None
    compared: Mapping[str, PairedAccuracy]
    images: NDArray
    facts: Mapping[str, str]

    @cached_property
    def share(self) -> Interval:
        """Fraction of the labels that is suspect, Wilson's interval."""
        return measures.rate(int(self.suspect.sum()), len(self.suspect))

    @cached_property
    def joint(self) -> NDArray[np.int64]:
        """Counts (classes, classes) by label and by the class that the networks are confident of."""
        return confident_joint(self.probabilities, self.part.labels)

    @cached_property
    def estimated_errors(self) -> Interval:
        """Share of wrong labels as confident learning estimates it, groups resampled."""
        labels, probabilities = self.part.labels, self.probabilities

        def errors(rows: NDArray[np.int64]) -> float:
            return estimated_errors(probabilities[rows], labels[rows])

        return measures.group_bootstrap(self.part.groups, errors, np.random.default_rng(SEED), REPEATS)

    @cached_property
    def wrong(self) -> NDArray[np.bool_] | None:
        """Whether each label is wrong by the truth, (n,); None without one."""
        return None if self.truth is None else (self.truth != UNLABELLED) & (self.truth != self.part.labels)


def relabel_page(results: RelabelResults, queue_address: str) -> str:
    """Return the page as HTML; `queue_address` is the queue's file, relative to the page."""
    request = results.request
    suspects = int(results.suspect.sum())
    blocks: list[Block] = [
        Headlines(_headlines(results)),
        Text(
            f"Each of the {len(results.part)} labels of the training part was judged by networks that were fitted "
            f"without its galaxy, in {request['folds']} folds. Rule {request['rule']}: {suspects} labels are suspect "
            f"and {HANDLINGS[request['handling']]}. Test and validation parts keep their labels."
        ),
        Heading("The most suspect labels"),
        Text("Ordered by margin: the probability of the label minus that of the most probable other class."),
        _sheet(results),
        Link("The queue of all labels (Parquet)", queue_address),
        *_comparison_blocks(results),
        *_truth_blocks(results),
        Heading("Suspects by class"),
        _class_table(results),
        Figure(
            "Labels (rows) against the class that the networks are confident of (columns): the confident joint of "
            "Northcutt et al. 2021, whose off-diagonal labels are the suspects of rule confident.",
            draw.confusion_figure(results.joint, list(results.classes), "networks confident of"),
            "confident joint",
        ),
        *_covariate_blocks(results),
        Heading("Provenance"),
        Table("Dataset, relabelling and code", ["what", "value"], list(results.facts.items())),
    ]
    title = f"Suspect labels of {results.name}"
    return page(title, blocks, f"{results.scheme}, {results.origin}")


def _headlines(results: RelabelResults) -> list[Headline]:
    share, errors = results.share, results.estimated_errors
    headlines = [
        Headline(
            "Suspect labels",
            f"{share.value:.1%}",
            f"{int(results.suspect.sum())} of {len(results.suspect)}; {share.ends('.1%', '–')}",
        ),
        Headline(
            "Wrong labels, estimated",
            f"{errors.value:.1%}",
            f"{errors.ends('.1%', '–')}; by confident learning, too high where networks are often wrong",
        ),
    ]
    for against, paired in results.compared.items():
        headlines.append(
            Headline(
                f"Second minus first training, test {against}",
                _signed(f"{paired.difference.value:+.3f}"),
                _signed(f"{paired.difference.ends('+.3f')} in accuracy; {paired.count} galaxies, paired"),
            )
        )
    return headlines


def _sheet(results: RelabelResults) -> Figure:
    rows = results.queue.slice(0, len(results.images)).to_pylist()
    truth = results.truth
    place = {name: position for position, name in enumerate(results.part.ids)}
    captions = []
    for row in rows:
        suggested = results.probabilities[place[row["id"]], results.classes.index(row["suggested"])]
        known = [] if row["vote_fraction"] is None else [f"votes {row['vote_fraction']:.2f}"]
        if truth is not None and truth[place[row["id"]]] != UNLABELLED:
            known.append(f"truly {[*results.classes, 'another'][truth[place[row['id']]]]}")
        lines = [
            f"{row['rank']}: {row['id']}",
            f"labelled {row['label']} {row['self_confidence']:.2f}",
            f"suggested {row['suggested']} {suggested:.2f}" if row["suspect"] else "not suspect",
            ", ".join(known),
        ]
        captions.append("\n".join(lines).rstrip())
    return Figure(
        "Rank and id; the label and the suggested class with their out-of-fold probabilities; the volunteers' vote "
        f"fraction of the label. {results.origin.capitalize()}.",
        image_strip(results.images, captions),
        f"images of the {len(rows)} most suspect galaxies",
    )


def _class_table(results: RelabelResults) -> Table:
    labels, queue = results.part.labels, results.queue.filter(results.queue["suspect"])
    rows: list[list[Cell]] = []
    for position, name in enumerate(results.classes):
        of_class = labels == position
        count, labelled = int((results.suspect & of_class).sum()), int(of_class.sum())
        rate = measures.rate(count, labelled)
        shown: list[Cell] = [f"{rate.value:.3f}", rate.ends(".3f", "–")] if labelled else [None, None]
        suggested = Counter(
            row["suggested"] for row in queue.select(["label", "suggested"]).to_pylist() if row["label"] == name
        )
        words = ", ".join(f"{other} {number}" for other, number in suggested.most_common(4))
        rows.append([name, labelled, count, *shown, words or None])
    columns = ["class", "labels", "suspect", "share", "95 %", "suggested instead"]
    return Table("Labels of the training part, Wilson's interval", columns, rows)


def _covariate_blocks(results: RelabelResults) -> list[Block]:
    panels = covariate_bins(results.covariates, ~results.suspect)
    if not panels:
        return []
    drawn = {title: [(part.median, part.error) for part in bins] for title, bins in panels.items()}
    return [
        Heading("Suspects by quantity"),
        Figure(
            f"Share of suspects in bins of equally many labels, with 95 % intervals; {results.origin}.",
            draw.covariate_figure(drawn, "share of suspects"),
            f"share of suspects against {', '.join(panels)}",
        ),
        covariate_table(panels, "suspects", "share"),
    ]


def _truth_blocks(results: RelabelResults) -> list[Block]:
    wrong, truth = results.wrong, results.truth
    if wrong is None or truth is None:
        return []
    known = truth != UNLABELLED
    found, suspects = int((wrong & results.suspect).sum()), int((known & results.suspect).sum())
    rates = [
        ("labels that are wrong", int(wrong.sum()), int(known.sum())),
        ("suspects that are wrong (precision)", found, suspects),
        ("wrong labels that are suspect (recall)", found, int(wrong.sum())),
    ]
    place = {name: position for position, name in enumerate(results.part.ids)}
    order = np.array([place[name] for name in results.queue["id"].to_pylist()])
    order = order[known[order]]
    depths = [depth for depth in DEPTHS if depth <= len(order)]
    rates += [
        (f"wrong among the first {depth} of the queue", int(wrong[order[:depth]].sum()), depth) for depth in depths
    ]
    rows: list[list[Cell]] = []
    for what, count, of in rates:
        rate = measures.rate(count, of)
        rows.append([what, count, of, f"{rate.value:.3f}" if of else None, rate.ends(".3f", "–")])
    return [
        Heading("Against the hidden truth"),
        Table(
            "Simulated galaxies; no fit and no rule reads the truth", ["what", "labels", "of", "share", "95 %"], rows
        ),
    ]


def _comparison_blocks(results: RelabelResults) -> list[Block]:
    if not results.compared:
        return []
    rows: list[list[Cell]] = []
    for against, paired in results.compared.items():
        for name, accuracy, alone in (
            ("first", paired.first, paired.first_only),
            ("second", paired.second, paired.second_only),
        ):
            right = round(accuracy.value * paired.count)
            rows.append([against, name, right, paired.count, f"{accuracy.value:.3f}", accuracy.ends(".3f", "–"), alone])
        ends = _signed(paired.difference.ends("+.3f", " to "))
        difference = _signed(f"{paired.difference.value:+.3f}")
        rows.append([against, "second − first, paired", None, paired.count, difference, ends, None])
    columns = ["compared with", "training", "right", "of", "accuracy", "95 %", "right alone"]
    return [
        Heading("Both trainings on the same test galaxies"),
        Table("Accuracy on the test part; the interval of the difference resamples groups", columns, rows),
        Text(
            "Both trainings have the same settings and seed and differ in the labels of the training part. The "
            "interval holds the scatter among galaxies, not that between seeds: repeat the run with other seeds before "
            "you believe a difference. Test labels that are wrong in the way of the training labels reward that error.",
            quiet=True,
        ),
    ]


def _signed(text: str) -> str:
    return text.replace("-", "−")

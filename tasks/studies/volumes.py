"""Learning curves: one network trained on n reals and m bogus, and the power law of its false-positive rate.

Three curves share their last point: more reals beside all bogus, more bogus beside all reals, and both together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realbogus.models.network_settings import Network
from tasks.learning.intervals import Interval, format_ends
from tasks.reports.page import Block, Cell, Figure, Heading, Table, Text
from tasks.reports.power_law_figure import PowerLaw, fit_power_law, power_law_figure
from tasks.studies.report import LEAST_RATE, TPR, StudyScores
from tasks.studies.rows import StudyRow


@dataclass(frozen=True)
class Volume:
    """Numbers of training triplets by label."""

    reals: int
    bogus: int

    @property
    def name(self) -> str:
        """Name of the rows with these numbers."""
        return f"{self.reals} reals, {self.bogus} bogus"


def volume_curves(reals: Sequence[int], bogus: Sequence[int]) -> dict[str, dict[int, Volume]]:
    """Return the volumes of each curve by the number that varies: ``reals``, ``bogus``, or ``both`` for their sum.

    Parameters
    ----------
    reals, bogus : sequence of int
        As many numbers of each; the i-th smallest of both make a point of the curve in which both grow.

    Raises
    ------
    ValueError
        The lists differ in length, have fewer than two numbers, or repeat one.
    """
    rising = {"reals": sorted(set(reals)), "bogus": sorted(set(bogus))}
    lengths = {name: len(numbers) for name, numbers in rising.items()}
    if lengths != {"reals": len(reals), "bogus": len(bogus)} or lengths["reals"] != lengths["bogus"]:
        raise ValueError(f"reals={list(reals)}, bogus={list(bogus)}: give as many numbers of each, all different")
    if lengths["reals"] < 2:
        raise ValueError(f"reals={list(reals)}: a curve has at least two points")
    most_reals, most_bogus = rising["reals"][-1], rising["bogus"][-1]
    together = [Volume(*pair) for pair in zip(rising["reals"], rising["bogus"], strict=True)]
    return {
        "reals": {count: Volume(count, most_bogus) for count in rising["reals"]},
        "bogus": {count: Volume(most_reals, count) for count in rising["bogus"]},
        "both": {volume.reals + volume.bogus: volume for volume in together},
    }


def volume_rows(
    curves: Mapping[str, Mapping[int, Volume]], network: Network, seeds: Sequence[int]
) -> tuple[list[str], list[StudyRow]]:
    """Return the names of all volumes, the smallest first, and a row for each of them and each seed."""
    volumes = {volume for points in curves.values() for volume in points.values()}
    rising = sorted(volumes, key=lambda volume: (volume.reals + volume.bogus, volume.reals))
    rows = [
        StudyRow(name=volume.name, seed=seed, network=network, train_reals=volume.reals, train_bogus=volume.bogus)
        for seed in seeds
        for volume in rising
    ]
    return [volume.name for volume in rising], rows


def fit_exponents(scores: StudyScores, curves: Mapping[str, Mapping[int, Volume]]) -> dict[str, Any]:
    """Return the exponent of each curve with its interval: the rate falls as the number to the power of minus that.

    Returns
    -------
    dict
        By curve: ``exponent, exponent_low, exponent_high`` (sky cells resampled) and ``scale``.
    """
    fitted: dict[str, Any] = {}
    for name, points in curves.items():

        def law(rows: NDArray[np.int64], points: Mapping[int, Volume] = points) -> tuple[float, float]:
            rates = [scores.rate(volume.name, rows) + LEAST_RATE for volume in points.values()]
            return fit_power_law(list(points), rates)

        interval = scores.resample(lambda rows, law=law: law(rows)[0])  # type: ignore[misc]
        fitted[name] = {**interval.to_summary("exponent"), "scale": law(np.arange(len(scores.real)))[1]}
    return fitted


def volume_blocks(
    curves: Mapping[str, Mapping[int, Volume]], compared: Mapping[str, Any], fitted: Mapping[str, Any], origin: str
) -> list[Block]:
    """Return the blocks of the page with the curves and their exponents.

    Parameters
    ----------
    curves : mapping
        As `volume_curves` returns them.
    compared : mapping
        As `tasks.studies.report.compare_rows` returns it.
    fitted : mapping
        As `fit_exponents` returns it.
    origin : str
        Whose pixels and labels they are.
    """
    laws = {
        name: PowerLaw(
            list(points),
            [Interval.from_summary(compared[volume.name], "fpr_at_tpr90") for volume in points.values()],
            fitted[name]["exponent"],
            fitted[name]["scale"],
        )
        for name, points in curves.items()
    }
    lines: list[list[Cell]] = [
        [
            name,
            f"{min(points):,} to {max(points):,}",
            f"{fitted[name]['exponent']:.2f}",
            format_ends(fitted[name]["exponent_low"], fitted[name]["exponent_high"], ".2f"),
        ]
        for name, points in curves.items()
    ]
    return [
        Heading("Power laws"),
        Text(
            "The false-positive rate falls as the number to the power of minus the exponent. Where reals vary, all "
            "bogus are there, and the other way round. Intervals resample sky cells, not trainings."
        ),
        Figure(
            f"False-positive rate at TPR {TPR} against the training triplets that vary, means over seeds; {origin}.",
            power_law_figure(laws, "training triplets that vary", f"false-positive rate at TPR {TPR}"),
            "rates against volume",
        ),
        Table("Exponents", ["curve", "numbers", "exponent", "95 % interval"], lines),
    ]

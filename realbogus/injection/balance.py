"""Which kind of injection a chip-visit lacks, and how many, to have the wanted share near galaxies among the stored."""

from dataclasses import dataclass

from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION


@dataclass(frozen=True)
class InjectionCounts:
    """Numbers of injections of a chip-visit by kind.

    Attributes
    ----------
    hosted : int
        Near galaxies.
    random : int
        At random places.
    """

    hosted: int
    random: int

    def join(self, other: "InjectionCounts") -> "InjectionCounts":
        """Return the numbers of both together."""
        return InjectionCounts(self.hosted + other.hosted, self.random + other.random)


def missing_injections(stored: InjectionCounts, galaxy_fraction: float) -> tuple[str, int]:
    """Return the kind of injection that is stored too seldom, and how many of it are missing.

    With h stored near galaxies of n and a wanted fraction f, m more near galaxies meet it exactly where
    h + m = f (n + m), so m = (f n - h) / (1 - f), rounded; where h > f n, (h - f n) / f more are missing at random
    places. If none is missing, h is within 1/2 of f n.

    Parameters
    ----------
    stored : InjectionCounts
    galaxy_fraction : float
        f; at 0 and 1 all injections are of one kind, so none is missing.

    Returns
    -------
    kind : str
    count : int
        0 where the fraction is met.
    """
    if not 0 < galaxy_fraction < 1:
        return RANDOM_INJECTION, 0
    short = galaxy_fraction * (stored.hosted + stored.random) - stored.hosted
    if short > 0:
        return GALAXY_INJECTION, round(short / (1 - galaxy_fraction))
    return RANDOM_INJECTION, round(-short / galaxy_fraction)

"""Candidates of a night whose truth is known, by which the decisions of two models are told apart."""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from realbogus.records import BOGUS
from tasks.night.operations import ground_truth
from tasks.night.simulated import MADE
from tasks.night.sources import DatasetNight, NightSource, ZarrNight
from tasks.store.columns import to_bool, to_text


@dataclass(frozen=True)
class KnownTruth:
    """What is known of the candidates of a night.

    Attributes
    ----------
    transient : (n,) bool
        True transients that were not injected.
    injected : (n,) bool
        Injected by the survey itself.
    bogus : (n,) bool
    group : (n,) str
        By which intervals are resampled: the sky cell, or the sample that a candidate was drawn from.
    origin : str
        Where the truth comes from, in words.
    """

    transient: NDArray[np.bool_]
    injected: NDArray[np.bool_]
    bogus: NDArray[np.bool_]
    group: NDArray[np.str_]
    origin: str

    def words(self) -> NDArray[np.str_]:
        """Return the truth of each candidate, (n,): transient, injection, bogus, or empty where it is unknown."""
        kinds = [self.transient, self.injected, self.bogus]
        return np.select(kinds, ["transient", "injection", "bogus"], "")


def known_truth(source: NightSource) -> KnownTruth | None:
    """Return a dataset's hidden truth or its matches with known transients, a drawn night's truth, or None."""
    if isinstance(source, ZarrNight):
        return _drawn(source)
    truth = ground_truth(source)
    if truth is None or not isinstance(source, DatasetNight):
        return None
    hidden = source.dataset.truth()
    bogus = np.zeros(len(truth.injected), bool)
    if hidden is not None:
        ids = hidden.filter(pc.equal(hidden["truth"], BOGUS))["id"].combine_chunks()
        bogus = to_bool(pc.is_in(source.ledger["id"], value_set=ids)) & ~truth.injected
    return KnownTruth(truth.transient, truth.injected, bogus, truth.group, truth.origin)


def _drawn(source: ZarrNight) -> KnownTruth | None:
    """Return the truth of a night of `make-night`; None for another array, or an unfinished one."""
    if not (source.path / MADE).is_file():
        return None
    made = pq.read_table(source.path / MADE, columns=["id", "real"])
    if made.num_rows != source.count:
        return None
    real = to_bool(made["real"])
    return KnownTruth(real, np.zeros(len(real), bool), ~real, to_text(made["id"]), "the survey that it was drawn from")

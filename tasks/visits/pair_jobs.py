"""The work on one pair of frames of a visit. Workers run this module; it does not import Prefect."""

from dataclasses import dataclass

from realbogus.sources.pair_tables import PairFiles
from tasks.candidates.building.collect import PairVisits
from tasks.candidates.building.staged_rows import StagedBatch


@dataclass(frozen=True)
class PairJob:
    """The subtraction and detection of a pair, by the numbers of its visit and of the pair in it."""

    visit: int
    pair: int
    files: PairFiles
    collector: PairVisits


def collect_pair(job: PairJob) -> tuple[int, int, StagedBatch]:
    """Find the detections of a pair; return them with both numbers."""
    return job.visit, job.pair, job.collector.collect(job.files)

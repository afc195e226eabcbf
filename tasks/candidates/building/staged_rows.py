"""Ledger rows of candidates as a batch leaves them in staging: columns, rows of a chip-visit, rows of a failed one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from realbogus.frames import FrameError
from realbogus.injection.candidate_table import CANDIDATES
from realbogus.injection.chip_visit import WorkedVisit
from realbogus.injection.inject import InjectionError
from realbogus.psf.extraction import ExtractionError
from realbogus.psf.measure import PsfError
from realbogus.readings import Reading
from realbogus.records import NO_EPOCH, SourceError
from realbogus.sources.fits_images import SkyMappingError
from realbogus.sources.frame_files import PaddingError
from realbogus.sources.frame_pairs import NoOverlapError
from realbogus.sources.known_objects import NoEpochError
from realbogus.stamps import pixel_digests
from realbogus.subtraction.alignment import AlignmentError
from realbogus.subtraction.fit_inputs import LevelFitError
from realbogus.subtraction.kernel_fit import KernelFitError
from realbogus.subtraction.subtract import SubtractionError
from tasks.store.merging import with_columns
from tasks.store.schema import LEDGER, REJECTED, STORED

_OF_CANDIDATES = [item for item in CANDIDATES if item.name not in {"number", "label", *LEDGER.names}]
LEDGER_COLUMNS = pa.schema(
    [
        *LEDGER,
        pa.field("detector", pa.string()),
        pa.field("night", pa.string()),
        pa.field("visit", pa.int32()),
        pa.field("batch", pa.string()),
        pa.field("seeing_fwhm_arcsec", pa.float64(), metadata={b"unit": b"arcsec"}),
        *_OF_CANDIDATES,
    ]
)
STAGED_COLUMNS = pa.schema(
    [*LEDGER_COLUMNS, pa.field("label", pa.string()), pa.field("truth", pa.string()), pa.field("origin", pa.string())]
)
"""The ledger's columns, the label, and the hidden truth with its origin."""

VISIT_FAULTS: dict[type[ValueError], str] = {
    SkyMappingError: "bad_wcs",
    PaddingError: "mostly_padding",
    NoOverlapError: "no_overlap",
    NoEpochError: NO_EPOCH,
    SourceError: "unreadable_frame",
    FrameError: "empty_frame",
    ExtractionError: "not_extracted",
    InjectionError: "not_injected",
    AlignmentError: "not_aligned",
    PsfError: "no_psf",
    KernelFitError: "no_kernel",
    LevelFitError: "no_level",
    SubtractionError: "not_subtracted",
}
"""Errors for which a whole chip-visit is rejected, and the reason in its ledger row; the first that fits."""
PADDED, PADDED_FRAMES = "padded_fraction", ("new", "reference")
"""Key of the fractions of a visit's frames that are padding, in ``parameters`` and in the summary; and their keys."""
FAULTY_VISIT = "visit"
"""Kind of the one ledger row of a rejected chip-visit."""
INJECTION_ROUND = "injection_round"
"""Key in ``parameters`` of the round, from 2, in which a further injection was laid into the same frame."""


@dataclass(frozen=True)
class StagedBatch:
    """Candidates of one batch.

    Attributes
    ----------
    table : Table
        `STAGED_COLUMNS`, one row per candidate.
    pixels : (n, y, x, 3) float32
        Of the rows with status stored, in their order.
    reading : Reading
        What was understood of the batch's frames or rows.
    epoch_mjd : float or None
        UTC, of a chip-visit in files.
    """

    table: pa.Table
    pixels: np.ndarray
    reading: Reading = field(default_factory=Reading)
    epoch_mjd: float | None = None


@dataclass(frozen=True)
class VisitFacts:
    """Values shared by all candidates of a chip-visit.

    Attributes
    ----------
    name : str
        Prefix of the ids, and the name of the batch.
    sky_cell : str
        The group.
    night, detector : str
    visit : int
    padded : tuple of float
        Fractions of the new and the reference frame that are padding.
    injection_round : int
        1, or the number of a further round of injections.
    """

    name: str
    sky_cell: str
    night: str
    detector: str
    visit: int
    padded: tuple[float, float] = (0.0, 0.0)
    injection_round: int = 1

    @property
    def columns(self) -> dict[str, Any]:
        """The values by column."""
        return {
            "group": self.sky_cell,
            "night": self.night,
            "detector": self.detector,
            "visit": self.visit,
            "batch": self.name,
        }

    @property
    def parameters(self) -> dict[str, Any]:
        """What every candidate's column ``parameters`` holds."""
        fractions = dict(zip(PADDED_FRAMES, (round(fraction, 4) for fraction in self.padded), strict=True))
        padded = {PADDED: fractions} if any(self.padded) else {}
        return padded if self.injection_round == 1 else {**padded, INJECTION_ROUND: self.injection_round}

    def ids(self, count: int) -> list[str]:
        """Return the ids of n candidates."""
        return [f"{self.name}-{number:04d}" for number in range(count)]


def stage_visit(
    facts: VisitFacts, worked: WorkedVisit, truths: Sequence[str | None], origins: Sequence[str | None]
) -> StagedBatch:
    """Return the staged rows of a chip-visit with one round of injections.

    Parameters
    ----------
    facts : VisitFacts
    worked : WorkedVisit
        n candidates, in the order of their numbers.
    truths, origins : (n,)
        None where unknown.
    """
    table, count = worked.table, worked.table.num_rows
    seeing = worked.psf.fwhm_px * worked.difference.pair.new.pixel_arcsec
    values: dict[str, Sequence[Any]] = {
        **{name: [value] * count for name, value in facts.columns.items()},
        "id": facts.ids(count),
        "seeing_fwhm_arcsec": [seeing] * count,
        "parameters": [json.dumps(facts.parameters)] * count,
        "truth": truths,
        "origin": origins,
    }
    return StagedBatch(complete_rows(table, values, worked.pixels), worked.pixels)


def join_rounds(facts: VisitFacts, rounds: Sequence[StagedBatch], rng: np.random.Generator) -> StagedBatch:
    """Join the staged rounds of a chip-visit, at least one.

    Rows of several rounds are shuffled and numbered anew, else a high number would reveal an injection.

    Parameters
    ----------
    facts : VisitFacts
    rounds : sequence of StagedBatch
    rng : Generator
        Draws the order.
    """
    if len(rounds) == 1:
        return rounds[0]
    table = pa.concat_tables([batch.table for batch in rounds])
    pixels = np.concatenate([batch.pixels for batch in rounds])
    is_stored = np.array([status == STORED for status in table["status"].to_pylist()])
    order = rng.permutation(table.num_rows)
    position = np.cumsum(is_stored) - 1
    table = with_columns(table.take(pa.array(order)), {"id": facts.ids(table.num_rows)})
    return StagedBatch(table, pixels[position[order[is_stored[order]]]])


def injection_rounds(parameters: Sequence[str | None]) -> list[int]:
    """Return the round of injections of each row from its column ``parameters``; 1 where there was no other."""
    return [int(json.loads(text or "{}").get(INJECTION_ROUND, 1)) for text in parameters]


def stage_fault(facts: VisitFacts, fault: Exception, stamp_px: int, file: str | None = None) -> StagedBatch:
    """Return the one row of a chip-visit that failed; its parameters hold the error, and the file if it is not named.

    Parameters
    ----------
    facts : VisitFacts
    fault : Exception
        One of `VISIT_FAULTS`.
    stamp_px : int
    file : str, optional
    """
    reason = next(reason for kind, reason in VISIT_FAULTS.items() if isinstance(fault, kind))
    message = str(fault) if file is None or file in str(fault) else f"{file}: {fault}"
    row: dict[str, Any] = {
        **facts.columns,
        "id": f"{facts.name}-visit",
        "kind": FAULTY_VISIT,
        "reason": reason,
        "parameters": json.dumps({"fault": message}),
    }
    pixels = np.zeros((0, stamp_px, stamp_px, 3), np.float32)
    values = {name: [value] for name, value in row.items()}
    return StagedBatch(complete_rows(pa.table({"kind": [FAULTY_VISIT]}), values, pixels), pixels)


def complete_rows(table: pa.Table, values: Mapping[str, Sequence[Any]], pixels: np.ndarray) -> pa.Table:
    """Return `STAGED_COLUMNS` for n rows.

    A column is taken from `values`, else from `table`, else it is null. Status and pixel digest follow from the column
    ``reason``: a row without a reason is stored.

    Parameters
    ----------
    table : Table
        n rows.
    values : mapping
        Column to (n,) values.
    pixels : (m, y, x, 3) float32
        Of the m rows without a reason, in their order.
    """
    count = table.num_rows
    columns: dict[str, Any] = {}
    for item in STAGED_COLUMNS:
        if item.name in values:
            columns[item.name] = pa.array(values[item.name], item.type)
        elif item.name in table.column_names:
            columns[item.name] = table[item.name].combine_chunks().cast(item.type)
        else:
            columns[item.name] = pa.nulls(count, item.type)
    reasons = columns["reason"].to_pylist()
    digests = iter(pixel_digests(pixels))
    columns["status"] = pa.array([STORED if reason is None else REJECTED for reason in reasons])
    columns["pixel_sha256"] = pa.array([next(digests) if reason is None else None for reason in reasons], pa.string())
    columns["attempts"] = pa.array([1] * count, pa.int32())
    columns["finished_at"] = pa.array([datetime.now(UTC)] * count, STAGED_COLUMNS.field("finished_at").type)
    return pa.table(columns, schema=STAGED_COLUMNS)


def padded_fractions(staged: pa.Table) -> dict[str, float]:
    """Return the mean fraction of the new and of the reference frames that is padding, over the visits of staged rows.

    Parameters
    ----------
    staged : Table
        Columns batch, kind, parameters; rejected visits are left out.
    """
    rows = staged.filter(pc.not_equal(staged["kind"], FAULTY_VISIT)).select(["batch", "parameters"])
    visits = rows.group_by("batch").aggregate([("parameters", "min")])["parameters_min"].to_pylist()
    padded = [json.loads(text).get(PADDED, {}) for text in visits]
    return {
        frame: round(sum(fractions.get(frame, 0.0) for fractions in padded) / max(len(padded), 1), 4)
        for frame in PADDED_FRAMES
    }


def visit_faults(staged: pa.Table) -> list[str]:
    """Return reason and error of each rejected chip-visit among staged rows (`STAGED_COLUMNS`)."""
    rows = staged.filter(pc.equal(staged["kind"], FAULTY_VISIT)).select(["reason", "parameters"]).to_pylist()
    return [f"{row['reason']}: {json.loads(row['parameters'])['fault']}" for row in rows]

"""The samples of a dataset as the page shows them: pixels, facts, light history, and what lies around."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.labelling.problems import LabellingProblem, problem_of
from tasks.store.columns import align_column, to_float, to_text
from tasks.store.dataset import Dataset
from tasks.store.sky_coordinates import chord, separations_arcsec, unit_vectors
from tasks.store.versions import stored_rows

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

NEIGHBOUR_ARCSEC = 60.0
MOST_NEIGHBOURS = 8
MOST_OF_HISTORY = 200


@dataclass(frozen=True)
class Samples:
    """The stored samples of a dataset version."""

    dataset: Dataset

    @cached_property
    def problem(self) -> LabellingProblem:
        """What its problem tells of samples."""
        return problem_of(self.dataset)

    @cached_property
    def table(self) -> pa.Table:
        """The ledger's stored rows."""
        return stored_rows(self.dataset.samples()).combine_chunks()

    @cached_property
    def positions(self) -> dict[str, int]:
        """Row of the table by id."""
        return {name: row for row, name in enumerate(self.table["id"].to_pylist())}

    def pixels(self, sample: str) -> NDArray:
        """Return the pixels of a sample, (y, x, channel): uint8 as it is, else float32."""
        row = int(self.table["row"][self.positions[sample]].as_py())
        images = np.asarray(self.dataset.pixels[row : row + 1])[0]
        return images if images.dtype == np.uint8 else images.astype(np.float32)

    def row(self, sample: str) -> dict[str, Any]:
        """Return the ledger row of a sample by column."""
        return dict(self.table.slice(self.positions[sample], 1).to_pylist()[0])

    def facts(self, sample: str) -> list[tuple[str, Any]]:
        """Return the name and the value of what the ledger knows of a sample."""
        row = self.row(sample)
        return [(text, row[name]) for name, text in self.problem.FACTS.items() if row.get(name) is not None]

    def detectors(self, ids: list[str]) -> NDArray[np.str_]:
        """Return the detector of each of some samples, (n,); empty where none is known."""
        if "detector" not in self.problem.FACTS:
            return np.full(len(ids), "")
        return to_text(align_column(self.table, "detector", ids))

    def directions(self, ids: list[str]) -> NDArray[np.float64]:
        """Return the unit vectors, (n, 3), of the positions of some samples; NaN where there is none."""
        ra_deg, dec_deg = (to_float(align_column(self.table, name, ids)) for name in ("ra_deg", "dec_deg"))
        return unit_vectors(ra_deg, dec_deg)

    def known_object(self, sample: str) -> str | None:
        """Return the known object that a sample was matched with."""
        return self.problem.known_object(self.row(sample))

    def around(self, sample: str, radius_arcsec: float) -> list[tuple[str, float]]:
        """Return the other samples within a radius and their separations in arcsec, the nearest first."""
        rows, tree, points = self._sky
        place = np.flatnonzero(rows == self.positions[sample])
        if tree is None or not len(place):
            return []
        here = points[place[0]]
        near = np.array(tree.query_ball_point(here, chord(radius_arcsec)), int)
        near = near[near != place[0]]
        apart = separations_arcsec(points[near], np.broadcast_to(here, (len(near), 3)))
        names = self.table["id"]
        return [(names[int(rows[near[k]])].as_py(), float(apart[k])) for k in np.argsort(apart, kind="stable")]

    def history(self, sample: str) -> list[dict[str, Any]]:
        """Return the detections at a sample's place in the order of time, by `HISTORY`; none where there is none."""
        columns = self.problem.HISTORY
        if not columns:
            return []
        names = [sample, *(name for name, _ in self.around(sample, self.problem.SAME_PLACE_ARCSEC))]
        rows = [self.row(name) for name in names[:MOST_OF_HISTORY]]
        points = [{"id": row["id"], **{name: row.get(name) for name in columns}} for row in rows]
        return sorted(points, key=lambda point: (point["night"] or "", point["visit"] or 0, point["id"]))

    @cached_property
    def _sky(self) -> tuple[NDArray[np.int64], "cKDTree | None", NDArray[np.float64]]:
        """Rows that have a position, and their unit vectors, (n, 3), in a tree."""
        from scipy.spatial import cKDTree  # an idle page does without its memory

        vectors = unit_vectors(to_float(self.table["ra_deg"]), to_float(self.table["dec_deg"]))
        rows = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        return rows, cKDTree(vectors[rows]) if len(rows) else None, vectors[rows]

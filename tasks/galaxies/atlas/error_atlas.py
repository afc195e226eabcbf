"""The error atlas of a galaxy model: structure of its confusions, shapes, images of its mistakes, what it looked at."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxy.images.shapes import RECIPE, Shapes, measure_shapes
from tasks.galaxies.atlas.confusion_structure import ConfusionStructure
from tasks.galaxies.atlas.e7_study import E7Study, study_e7
from tasks.learning import measures
from tasks.learning.occlusion import occlusion_maps
from tasks.learning.predictions import Predictions
from tasks.learning.scoring import Scorer, image_blocks
from tasks.learning.split_parts import SplitPart
from tasks.reports import image_figures as draw
from tasks.reports.page import Cell, Figure, Table, Text
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import EvaluationError

BLOCK_IMAGES = 64
PAIRS_SHOWN, PAIR_IMAGES = 5, 6
"""Most frequent pairs of label and prediction, and images of each."""
MAPS_BY_DEFAULT, MOST_MAPS = 6, 24


@dataclass(frozen=True)
class HeatMaps:
    """Occlusion maps of chosen images.

    Attributes
    ----------
    positions : (n,) int64
        In the predictions.
    images : (n, height, width, channel) uint8
    maps : (n, height, width)
        Fall of the predicted class's probability where the image is covered.
    """

    positions: NDArray[np.int64]
    images: NDArray[np.uint8]
    maps: NDArray[np.float64]


@dataclass(frozen=True)
class ErrorAtlas:
    """What the atlas shows of a model's predictions.

    Attributes
    ----------
    model : Predictions
    origin : str
        Of pixels and labels.
    shapes : Shapes
        Of every sample.
    e7 : E7Study, optional
        None for a scheme without E7.
    strips : dict of name to dict of title to (positions, images)
        Rows of images by the name of their figure.
    heat : HeatMaps
    """

    model: Predictions
    origin: str
    shapes: Shapes
    e7: E7Study | None
    strips: Mapping[str, Mapping[str, tuple[NDArray[np.int64], NDArray[np.uint8]]]]
    heat: HeatMaps

    @property
    def structure(self) -> ConfusionStructure:
        """The confusions by kind."""
        return ConfusionStructure(self.model.confusion, self.model.classes)

    def summary(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        reasons = self.shapes.reason[self.shapes.reason != ""]
        return {
            "confusions": self.structure.summary() if self.structure.is_informative else None,
            "e7": self.e7.summary() if self.e7 else None,
            "shapes": {
                "measured": len(self.shapes.reason) - len(reasons),
                "not_measured": dict(sorted(Counter(reasons.tolist()).items())),
                "recipe": dict(RECIPE),
            },
            "heat_maps": [self.model.part.ids[position] for position in self.heat.positions],
        }

    def tables(self) -> dict[str, Table]:
        """Return the tables by name."""
        tables = self.structure.tables() if self.structure.is_informative else {}
        pairs = _pairs_table(self.model)
        return {**tables, **({"pairs": pairs} if pairs.rows else {}), **(self.e7.tables() if self.e7 else {})}

    def figures(self) -> dict[str, Figure]:
        """Return the figures by name."""
        captions = {
            "pairs": "The most frequent mistakes, the most confident of each: id and confidence",
            "e7_images": "E7, the most confident predictions of each kind: id, prediction, circularity, aspect ratio",
        }
        captioned = {"pairs": self._pair_caption, "e7_images": self._e7_caption}
        figures = {
            name: Figure(
                f"{captions[name]}; {self.origin}.",
                draw.image_rows(
                    {title: (images, [captioned[name](at) for at in rows]) for title, (rows, images) in kinds.items()}
                ),
                "images in rows",
            )
            for name, kinds in self.strips.items()
            if kinds
        }
        if len(self.heat.positions):
            figures["heat_maps"] = self._heat_figure()
        return {**figures, **(self.e7.figures() if self.e7 else {})}

    def notes(self) -> dict[str, list[Text]]:
        """Return what has to be said in the sections of the report, by section."""
        return {"e7": self.e7.notes() if self.e7 else []}

    def _heat_figure(self) -> Figure:
        heat, model = self.heat, self.model
        captions = [
            f"{model.part.ids[at]}\n{model.classes[model.part.labels[at]]} as {model.classes[model.predicted[at]]}\n"
            f"falls by up to {max(float(fall.max()), 0):.3f}"
            for at, fall in zip(heat.positions, heat.maps, strict=True)
        ]
        return Figure(
            "Where a patch of sky over the image lowers the probability of the predicted class (orange) or raises it "
            f"(blue), each image in its own scale: id, label and prediction, largest fall; {self.origin}.",
            draw.heat_map_strip(heat.images, heat.maps, captions),
            "images, and below each its occlusion map",
        )

    def _pair_caption(self, at: int) -> str:
        return f"{self.model.part.ids[at]}\nat {self.model.calibrated[at].max():.3f}"

    def _e7_caption(self, at: int) -> str:
        shape = f"{self.shapes.circularity[at]:.2f}, {self.shapes.aspect_ratio[at]:.2f}"
        return f"{self.model.part.ids[at]}\n{self.model.classes[self.model.predicted[at]]}; {shape}"


def draw_atlas(
    model: Predictions, scorer: Scorer, dataset: Dataset, origin: str, explained: NDArray[np.int64]
) -> ErrorAtlas:
    """Measure the shapes, and read the images that the atlas shows.

    Parameters
    ----------
    model : Predictions
    scorer : Scorer
        The model that made the predictions.
    dataset : Dataset
    origin : str
    explained : (m,)
        Positions of the samples that get a heat map.
    """
    blocks = [measure_shapes(images) for images in image_blocks(dataset.pixels, model.part.rows, BLOCK_IMAGES)]
    shapes = Shapes(
        *(
            np.concatenate([getattr(block, name) for block in blocks])
            for name in ("circularity", "aspect_ratio", "reason")
        )
    )
    e7 = study_e7(model, shapes, origin)
    chosen = {"pairs": _frequent_pairs(model), "e7_images": e7.chosen() if e7 else {}}
    strips = {
        name: {title: (rows, _images(dataset, model.part, rows)) for title, rows in kinds.items()}
        for name, kinds in chosen.items()
    }
    images = _images(dataset, model.part, explained)
    heat = HeatMaps(explained, images, occlusion_maps(scorer, images, model.predicted[explained]))
    return ErrorAtlas(model, origin, shapes, e7, strips, heat)


def positions_to_explain(part: SplitPart, ids: Sequence[str]) -> NDArray[np.int64]:
    """Return the positions of samples by id.

    Raises
    ------
    EvaluationError
        An id is not among the evaluated samples, or there are too many.
    """
    if len(ids) > MOST_MAPS:
        raise EvaluationError(f"explain names {len(ids)} images, at most {MOST_MAPS} get a heat map")
    position_of = {name: position for position, name in enumerate(part.ids)}
    unknown = [name for name in ids if name not in position_of]
    if unknown:
        raise EvaluationError(
            f"explain names {', '.join(map(repr, unknown[:5]))}, not among the {len(part)} evaluated samples: "
            "take ids from the table of predictions, or another split"
        )
    return np.array([position_of[name] for name in ids], np.int64)


def shape_covariates(shapes: Shapes) -> dict[str, NDArray[np.float64]]:
    """Return the shapes as quantities that errors may depend on, by axis title."""
    return {"circularity": shapes.circularity, "aspect ratio": shapes.aspect_ratio}


def _confused_pairs(model: Predictions) -> list[tuple[int, int]]:
    """Return (label, predicted) of the most frequent mistakes."""
    wrong = model.confusion - np.diag(np.diagonal(model.confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS_SHOWN]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [(int(label), int(predicted)) for label, predicted in pairs if wrong[label, predicted]]


def _frequent_pairs(model: Predictions) -> dict[str, NDArray[np.int64]]:
    """Return positions of the most confident of the most frequent mistakes, by what they are."""
    confidence, found = model.calibrated.max(axis=1), {}
    for label, predicted in _confused_pairs(model):
        rows = np.flatnonzero((model.part.labels == label) & (model.predicted == predicted))
        shown = rows[np.argsort(-confidence[rows], kind="stable")][:PAIR_IMAGES]
        found[f"{model.classes[label]} as\n{model.classes[predicted]}, {len(rows)}"] = shown
    return found


def _pairs_table(model: Predictions) -> Table:
    rows: list[list[Cell]] = []
    for label, predicted in _confused_pairs(model):
        count, labelled = int(model.confusion[label, predicted]), int(model.confusion[label].sum())
        share = measures.rate(count, labelled)
        rows.append(
            [
                f"{model.classes[label]} as {model.classes[predicted]}",
                count,
                labelled,
                f"{share.value:.3f}",
                share.ends(".3f", "–"),
            ]
        )
    return Table("The most frequent mistakes", ["mistake", "count", "labelled so", "share", "95 %"], rows)


def _images(dataset: Dataset, part: SplitPart, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the images (n, height, width, channel) at `positions` (n,)."""
    images = [np.asarray(dataset.pixels[int(row)]) for row in part.rows[positions]]
    return np.array(images, np.uint8).reshape(-1, *dataset.pixels.shape[1:])

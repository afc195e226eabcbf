"""What any network has to beat: S/N alone, and forests on a few scalars of the catalogue or of the difference.

Tables of scalars are (n, columns) float64 where NaN is a value that is missing. A score is the higher the
likelier real.
"""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from realbogus.audits.difficulty import DIFFERENCE_SCALARS, SCALARS

FORESTS: dict[str, tuple[str, ...]] = {
    "forest on ten catalogue scalars": SCALARS,
    "forest on three numbers of the difference": DIFFERENCE_SCALARS,
}
"""Name of the baseline -> columns of the ledger."""
PACKET_FORESTS: dict[str, tuple[str, ...]] = {
    "date alone": ("jd",),
    "template scalars alone": ("distnr", "magnr", "sgscore1", "distpsnr1", "sgmag1", "srmag1", "chinr", "sharpnr"),
    "numbers of the packet": ("fwhm", "elong", "scorr", "nbad"),
}
"""The same of the fields of an alert packet."""
PACKET_SCORES = ("rb",)
"""Fields of a packet that are a classifier's score themselves."""
PACKET_NUMBERS = ("scorr", "fwhm", "elong", "sigmapsf", "nbad", "ndethist")
"""Fields that tell something of a candidate without any training."""
CENTRE_SCALARS = ("S/N in the middle", "deepest pixel", "concentration")
FOREST_ROWS = 8000
_BORDER_PX = 6
_CORE_PX, _WIDE_PX = 2, 5


def predict_by_forest(train: NDArray, train_real: NDArray, judged: NDArray, seed: int) -> NDArray[np.float64]:
    """Return each judged row's chance to be real, (n,), by a random forest fitted on the training rows."""
    forest = RandomForestClassifier(200, min_samples_leaf=3, random_state=seed)
    forest.fit(_known(train), train_real)
    return np.asarray(forest.predict_proba(_known(judged))[:, 1])


def _known(scalars: NDArray) -> NDArray[np.float32]:
    return np.nan_to_num(np.asarray(scalars, np.float32), nan=-1e6, posinf=1e6, neginf=-1e6)


def read_packet_fields(parameters: Sequence[str], names: Sequence[str]) -> NDArray[np.float64] | None:
    """Return fields of alert packets from their JSON, (n, names); None where no packet has any of them."""
    told = [json.loads(text) for text in parameters]
    columns = np.array([[_number(fields.get(name)) for name in names] for fields in told], float)
    return columns if np.isfinite(columns).any() else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan


def measure_borders(triplets: NDArray) -> NDArray[np.float64]:
    """Return mean, scatter and extremes of each plane of (n, s, s, 3) stamps without their centre, (n, 12)."""
    rim = np.ones(triplets.shape[1:3], bool)
    rim[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = False
    pixels = np.where(np.isfinite(triplets), triplets, 0.0)[:, rim]
    statistics = (pixels.mean(axis=1), pixels.std(axis=1), pixels.min(axis=1), pixels.max(axis=1))
    return np.concatenate(statistics, axis=1).astype(float)


def measure_centres(triplets: NDArray) -> NDArray[np.float64]:
    """Return `CENTRE_SCALARS` of the difference in (n, s, s, 3) stamps, (n, 3).

    The sum of the middle 5 x 5 pixels over its noise; the lowest of the middle 11 x 11 pixels in the noise of one; and
    the share of the light in the middle 11 x 11 that lies in the middle 5 x 5. Noise is the scatter of the border.
    """
    difference = np.nan_to_num(triplets[..., 2].astype(float))
    rim = np.ones(difference.shape[1:], bool)
    rim[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = False
    middle = (difference.shape[1] - 1) // 2
    core, wide = (
        difference[:, middle - half : middle + half + 1, middle - half : middle + half + 1]
        for half in (_CORE_PX, _WIDE_PX)
    )
    noise = np.maximum(difference[:, rim].std(axis=1), 1e-6)
    light = np.maximum(np.abs(wide).sum(axis=(1, 2)), 1e-6)
    summed = core.sum(axis=(1, 2))
    return np.stack([summed / (noise * (2 * _CORE_PX + 1)), wide.min(axis=(1, 2)) / noise, summed / light], axis=1)

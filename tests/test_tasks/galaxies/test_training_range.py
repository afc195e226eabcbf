"""What a card says of the training images, and which images are unlike them."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from tasks.galaxies.training_range import find_training_range, measure_training_range, outside_reasons
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.small_galaxies import card_of, publish_galaxies


@pytest.fixture(scope="module")
def dataset(tracked_workspace: Workspace) -> Dataset:
    return publish_galaxies(tracked_workspace, "ranged", count=40)


def test_the_range_is_that_of_the_given_samples_alone(dataset: Dataset) -> None:
    measured = measure_training_range(dataset, ["ranged-0009", "ranged-0005", "ranged-0003"])
    ranges = measured["training_range"]
    assert ranges["redshift"] == pytest.approx([0.03 + 0.0003 * 3, 0.03 + 0.0003 * 5]), "of 0009 it is unknown"
    assert ranges["r_mag"] is ranges["width_arcsec"] is ranges["image_px"] is None, "the ledger has no such column"
    assert measured["crop_fraction"] == 1.0


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [({"request_px": 424}, [424.0, 424.0]), ({"size_px": 128, "crop_fraction": 0.5}, None)],
)
def test_the_images_of_a_service_have_one_size(dataset: Dataset, manifest: dict[str, Any], expected: Any) -> None:
    changed = replace(dataset, manifest=dataset.manifest | manifest)
    assert measure_training_range(changed, ["ranged-0001"])["training_range"]["image_px"] == expected


def test_the_range_of_an_older_card_follows_from_its_dataset_or_is_unknown(
    tracked_workspace: Workspace, dataset: Dataset
) -> None:
    card = card_of(dataset)
    found, crop = find_training_range(tracked_workspace, card)
    train = [number for number in range(40) if number % 10 < 8 and number % 9]
    assert found is not None
    assert found["redshift"] == pytest.approx([0.03 + 0.0003 * train[0], 0.03 + 0.0003 * train[-1]])
    assert crop == 1.0
    assert find_training_range(tracked_workspace, card | {"dataset": "gone"}) == (None, None)
    assert find_training_range(tracked_workspace, card | {"dataset_digest": "other"}) == (None, None)
    own = card | {"training_range": {"r_mag": [14, 17]}, "crop_fraction": 0.7, "dataset": "gone"}
    assert find_training_range(tracked_workspace, own) == ({"r_mag": [14, 17]}, 0.7)


def test_each_quantity_outside_is_named_with_its_value_and_the_limit() -> None:
    facts = pa.table({"redshift": [0.05, 0.31, None], "r_mag": [18.25, 12.0, 99.0], "image_px": [64.0, 63.0, None]})
    ranges = {"redshift": [0.02, 0.25], "r_mag": [14.0, 17.5], "image_px": [64, None], "width_arcsec": None}
    assert outside_reasons(facts, ranges) == [
        "r_mag 18.25 above 17.5",
        "image_px 63 below 64; redshift 0.31 above 0.25; r_mag 12 below 14",
        "r_mag 99 above 17.5",
    ]
    assert outside_reasons(facts, None) == [None] * 3
    assert outside_reasons(facts.select(["image_px"]), {"image_px": [1, 64.0]}) == [None] * 3

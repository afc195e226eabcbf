"""What a fit is made of: defaults of its description, and its number of samples."""

import numpy as np

from tasks.learning.fits.fit_spec import FitData, FitSpec, classifier
from tasks.learning.split_parts import SplitPart


def test_by_default_views_come_from_stored_images_and_batches_are_as_drawn() -> None:
    spec = FitSpec(build=lambda precision: None, random_view=lambda images, seed: images, plain_view=abs, classes=2)
    assert spec.prepare is None
    assert spec.trainer is classifier
    assert spec.even_classes is False


def test_the_samples_of_a_fit_are_those_of_both_parts() -> None:
    train, validation = (
        SplitPart([""] * count, np.zeros(count, np.int64), np.zeros(count, np.int32), [""] * count) for count in (5, 2)
    )
    assert len(FitData(None, train, validation)) == 7

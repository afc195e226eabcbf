"""The atlas of a small dataset: shapes of its discs, images of its mistakes, where its model looks."""

import numpy as np
import pytest

from tasks.galaxies.atlas.error_atlas import MAPS_BY_DEFAULT, MOST_MAPS, draw_atlas, positions_to_explain
from tasks.galaxies.evaluation import confident_mistakes
from tasks.learning.predictions import Predictions
from tasks.learning.scoring import IMAGE_BATCH, score
from tasks.learning.split_parts import part_rows
from tasks.runtime.workspace import Workspace
from tasks.training.evaluation_record import EvaluationError
from tests.small_galaxies import CLASSES, SCHEME, SIZE, Threshold, publish_galaxies


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return publish_galaxies(Workspace(tmp_path_factory.mktemp("atlas")), "home", count=80)


@pytest.fixture(scope="module")
def model(home):
    part = part_rows(home, SCHEME, "all")
    return Predictions(part, CLASSES, score(Threshold(), home.pixels, part.rows, IMAGE_BATCH), 2.0)


@pytest.fixture(scope="module")
def atlas(home, model):
    mistakes = confident_mistakes(model)
    return draw_atlas(model, Threshold(), home, "simulated pixels", mistakes[:MAPS_BY_DEFAULT])


def test_every_sample_has_a_shape_or_a_reason(atlas, model):
    shapes = atlas.shapes
    assert len(shapes.reason) == len(model.part)
    assert (np.isfinite(shapes.circularity) == (shapes.reason == "")).all()
    assert np.nanmedian(shapes.circularity) == pytest.approx(1, abs=0.02)
    assert atlas.summary()["shapes"]["measured"] == np.count_nonzero(shapes.reason == "")


def test_strips_hold_the_images_of_the_mistakes_that_they_name(atlas, home, model):
    (title, (rows, images)), *_ = atlas.strips["pairs"].items()
    label, predicted = title.split(",")[0].split(" as\n")
    assert {CLASSES[position] for position in model.part.labels[rows]} == {label}
    assert {CLASSES[position] for position in model.predicted[rows]} == {predicted}
    assert (np.diff(model.calibrated[rows].max(axis=1)) <= 0).all()
    assert len(rows) > 1
    np.testing.assert_array_equal(images[0], home.pixels[int(model.part.rows[rows[0]])])


def test_maps_show_the_middle_that_the_model_reads(atlas):
    heat = np.abs(atlas.heat.maps)
    assert len(heat) == min(MAPS_BY_DEFAULT, np.count_nonzero(~atlas.model.correct))
    is_bright = atlas.model.predicted[atlas.heat.positions] == CLASSES.index("bright")
    falls = atlas.heat.maps[:, 7:9, 7:9].mean(axis=(1, 2))
    assert ((falls > 0) == is_bright).all()  # sky over the middle makes it faint
    assert 0 < is_bright.sum() < len(heat)
    assert not heat[:, :4].any()
    assert heat.shape[1:] == (SIZE, SIZE)


def test_a_scheme_without_scales_or_e7_has_pairs_and_maps_alone(atlas):
    assert set(atlas.tables()) == {"pairs"}
    assert set(atlas.figures()) == {"pairs", "heat_maps"}
    assert atlas.summary()["confusions"] is None
    assert atlas.summary()["e7"] is None


def test_samples_to_explain_are_found_by_id_in_the_order_asked(model):
    ids = [model.part.ids[7], model.part.ids[2]]
    assert positions_to_explain(model.part, ids).tolist() == [7, 2]
    assert positions_to_explain(model.part, []).tolist() == []


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["home-0000", "nowhere"], "'nowhere', not among the 80"),
        (["home-0000"] * (MOST_MAPS + 1), "25 images, at most 24"),
    ],
)
def test_samples_that_cannot_be_explained_are_named(model, ids, says):
    with pytest.raises(EvaluationError, match=says):
        positions_to_explain(model.part, ids)

"""Objects of a plan: which are requested, with which frame and label, and which a limit takes."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.images.cutouts import PETROSIAN_WIDTH_R90
from tasks.galaxies.building.planned_objects import limit_objects, object_frames, object_state, planned_rows
from tests.small_galaxies import CATALOG, build_request


@pytest.mark.parametrize(
    ("published", "left_out", "retry_rejected", "state"),
    [
        (None, None, False, "ask"),
        (("stored", None), None, False, "stored"),
        (("stored", None), None, True, "stored"),
        (("rejected", None), None, False, "ask"),
        (("rejected", "http_404"), None, False, "rejected"),
        (("rejected", "blank"), None, False, "rejected"),
        (("rejected", "duplicate_pixels"), None, False, "rejected"),
        (("rejected", "http_404"), None, True, "ask"),
        (("rejected", "http_503"), None, False, "ask"),
        (("rejected", "timeout"), None, False, "ask"),
        (("rejected", "no_image"), None, False, "ask"),
        (("rejected", "scheme:too_few_votes"), None, False, "ask"),
        (("rejected", "redshift_missing"), None, False, "ask"),
        (None, "scheme:artifact", False, "rejected"),
        (("stored", None), "scheme:artifact", True, "rejected"),
        (("rejected", "timeout"), "no_position", True, "rejected"),
    ],
)
def test_an_object_is_requested_unless_it_is_stored_left_out_or_rejected_for_good(
    published: tuple[str, str | None] | None, left_out: str | None, retry_rejected: bool, state: str
) -> None:
    assert object_state(published, left_out, retry_rejected=retry_rejected) == state


def test_a_frame_needs_the_radius_and_a_position() -> None:
    scale, clipped, reasons = object_frames(CATALOG, build_request())
    assert reasons == [None, "petro_r90_arcsec_missing", "no_position", "petro_r90_arcsec_not_positive"]
    assert scale[0] == pytest.approx(PETROSIAN_WIDTH_R90 * 5 / 100)
    assert np.isnan(scale[[1, 3]]).all()
    assert not clipped.any()


def test_an_archive_has_frames_of_its_own() -> None:
    scale, clipped, reasons = object_frames(CATALOG, build_request(source="archive", images="folder"))
    assert np.isnan(scale).all()
    assert not clipped.any()
    assert reasons == [None] * 4


def test_a_fixed_scale_needs_no_radius_but_a_position() -> None:
    scale, _, reasons = object_frames(CATALOG, build_request(field="fixed", scale_arcsec_per_px=0.4))
    assert scale.tolist() == [0.4] * 4
    assert reasons == [None, None, "no_position", None]


def test_planned_rows_hold_frame_state_and_nulls_for_absent_columns() -> None:
    rows = planned_rows(CATALOG, build_request(), None)
    assert rows["state"].to_pylist() == ["ask", "rejected", "rejected", "rejected"]
    assert rows["width_arcsec"].to_pylist()[0] == pytest.approx(PETROSIAN_WIDTH_R90 * 5)
    assert rows["width_arcsec"].to_pylist()[1] is None
    assert rows["left_out"].to_pylist()[0] is None
    assert rows["redshift"].null_count == rows["asset_id"].null_count == 4
    assert (rows.schema.field("redshift").type, rows.schema.field("asset_id").type) == (pa.float64(), pa.int64())
    assert "label" not in rows.column_names


def test_the_scheme_labels_or_leaves_out_before_the_frame_does() -> None:
    table = CATALOG.append_column("gz1_majority", pa.array(["elliptical", "merger", "merger", "clockwise"]))
    rows = planned_rows(table, build_request(scheme="gz1-majority-2class"), None)
    assert rows["label"].to_pylist() == ["elliptical", None, None, "spiral"]
    assert rows["left_out"].to_pylist() == [None, "scheme:merger", "scheme:merger", "petro_r90_arcsec_not_positive"]
    assert rows["state"].to_pylist() == ["ask", "rejected", "rejected", "rejected"]


@given(st.lists(st.text("abcdef0123456789", min_size=1), unique=True, min_size=1), st.data())
def test_a_larger_limit_holds_the_smaller_in_order_of_id(ids: list[str], data: st.DataObject) -> None:
    table = pa.table({"id": ids})
    small = data.draw(st.integers(1, len(ids)))
    large = data.draw(st.integers(small, len(ids)))
    few, many = (limit_objects(table, limit, 3)["id"].to_pylist() for limit in (small, large))
    assert (len(few), len(many)) == (small, large)
    assert few == sorted(few)
    assert set(few) <= set(many)
    assert limit_objects(table, None, 3)["id"].to_pylist() == sorted(ids)


def test_known_objects_count_first_and_all_of_them() -> None:
    table = pa.table({"id": [f"{number:03d}" for number in range(200)]})
    known = pa.chunked_array([[f"{number:03d}" for number in range(0, 60, 2)]])
    assert limit_objects(table, 20, 0, known)["id"].to_pylist() == known.to_pylist()
    more = set(limit_objects(table, 50, 0, known)["id"].to_pylist())
    others = [name for name in table["id"].to_pylist() if name not in known.to_pylist()]
    twenty = limit_objects(pa.table({"id": others}), 20, 0)["id"].to_pylist()
    assert more == {*known.to_pylist(), *twenty}
    assert limit_objects(table, None, 0, known).equals(table)


def test_another_seed_takes_other_objects() -> None:
    table = pa.table({"id": [f"{number:03d}" for number in range(200)]})
    assert limit_objects(table, 50, 0)["id"].to_pylist() != limit_objects(table, 50, 1)["id"].to_pylist()

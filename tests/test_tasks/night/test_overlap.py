"""Which candidates of a night a model was trained on: by id, stamp, place, or the sample a row was drawn from."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.learning.training_overlap import COLUMNS
from tasks.night.overlap import trained_on
from tasks.night.sources import ArrayNight, ZarrNight
from tasks.store import pixels
from tests.small_candidates import draw_stamps
from tests.small_night import SIDE, make_model

TRAINING = pa.table(
    {"id": ["c1", "x"], "pixel_sha256": ["p1", "p2"], "ra_deg": [None, 5.0], "dec_deg": [None, 5.0]}
).select(list(COLUMNS))


def scores_file(path: Path) -> Path:
    rows = {
        "id": ["c0", "c1", "c2", "c3"],
        "stamp_sha256": ["s", "s", "p2", "s"],
        "ra_deg": [None, None, None, 5.0001],
        "dec_deg": [None, None, None, 5.0],
    }
    pq.write_table(pa.table(rows), path)
    return path


def test_id_stamp_and_place_tell_what_a_model_has_seen(tmp_path: Path) -> None:
    model = replace(make_model("a"), training_samples=TRAINING)
    source = ArrayNight.__new__(ArrayNight)
    seen = trained_on(model, source, scores_file(tmp_path / "s.parquet"))
    assert seen is not None
    assert seen.tolist() == [False, True, True, True]
    assert trained_on(make_model("a"), source, tmp_path / "s.parquet") is None


def test_rows_of_a_made_night_are_known_by_the_samples_they_were_drawn_from(tmp_path: Path) -> None:
    stamps = draw_stamps([True] * 3)
    array = pixels.create(tmp_path / "n.zarr", (SIDE, SIDE, 3), "float32")
    pixels.grow(array, 3)
    pixels.write_shard(array, 0, stamps)
    array.resize(stamps.shape)
    pq.write_table(pa.table({"id": ["x", "new", "c1"], "real": [True] * 3}), tmp_path / "n.zarr" / "made.parquet")
    model = replace(make_model("a"), training_samples=TRAINING)
    seen = trained_on(model, ZarrNight(tmp_path / "n.zarr", SIDE), tmp_path / "none.parquet")
    assert seen is not None
    assert seen.tolist() == [True, False, True]

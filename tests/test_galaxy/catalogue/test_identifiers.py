"""Object ids: damage by float64, ids for tables without any, safe names."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.identifiers import (
    LONGEST_ID,
    DamageWatch,
    find_unsafe,
    ids_from_files,
    ids_from_positions,
    split_suffix,
)

MULTIPLES = [128 * (2**53 // 128 + step) for step in (1, 2, 3)]


def watch(*batches: list[int | str | None]) -> None:
    """Pass batches of ids through one watch, to its end."""
    damage = DamageWatch(Path("t.csv"), "objid")
    for ids in batches:
        damage.see(pa.array([None if item is None else str(item) for item in ids], pa.string()))
    damage.finish()


def test_three_long_ids_that_are_all_multiples_of_128_are_damaged() -> None:
    with pytest.raises(CatalogueError, match="all 3 ids are multiples of 128"):
        watch(MULTIPLES)
    with pytest.raises(CatalogueError, match=r"t\.csv: id column 'objid' went through float64"):
        watch(MULTIPLES[:1], MULTIPLES[1:])


def test_two_of_them_or_one_odd_id_among_them_are_not() -> None:
    watch(MULTIPLES[:2])
    watch([*MULTIPLES, MULTIPLES[0] + 1])


def test_ids_that_float64_holds_exactly_do_not_count() -> None:
    watch([2**53, 2**53 - 128, 2**53 - 256, 1280])
    with pytest.raises(CatalogueError):
        watch([2**53 + 128, 2**53 + 256, 2**53 + 384])


def test_long_ids_among_other_texts_are_counted() -> None:
    with pytest.raises(CatalogueError, match="all 3 ids"):
        watch(["J1", None, *MULTIPLES])
    watch(["J1", MULTIPLES[0] + 1, *MULTIPLES])


@pytest.mark.parametrize("text", ["5.87722e+17", "587722952767439450.0", "1E5", "12345678."])
def test_an_id_written_as_a_float_is_refused(text: str) -> None:
    with pytest.raises(CatalogueError, match="it holds"):
        watch(["x", text])


@pytest.mark.parametrize("text", ["1234567.0", "12345678", "e5", "1.5"])
def test_other_texts_are_ids(text: str) -> None:
    watch(["x", text])


def test_ids_of_files_are_their_stems_and_paths_out_of_the_folder_stay_unsafe() -> None:
    files = pa.array(["a/b/NGC-1.fits.jpg", "m31.jpeg", "no_suffix", "../x.jpg", "/x.jpg", None])
    ids = ids_from_files(files)
    assert ids.to_pylist() == ["NGC-1.fits", "m31", "no_suffix", "../x.jpg", "/x.jpg", None]
    assert find_unsafe(ids).tolist() == [False, False, False, True, True, False]


def test_a_dot_that_no_known_suffix_follows_belongs_to_the_id() -> None:
    files = ["J1034.28-0051.6", "d/m51.north", "d\\m51.south.TIF", "x.fits", "y.JPG", "C:\\y.jpg", "a..b.jpg"]
    ids = ids_from_files(pa.array(files))
    assert ids.to_pylist() == ["J1034.28-0051.6", "m51.north", "m51.south", "x", "y", "C:\\y.jpg", "a..b"]
    assert find_unsafe(ids).tolist() == [False] * 5 + [True] * 2
    assert [split_suffix(name) for name in ("m51.south.TIF", "m51.north", ".jpg")] == [
        ("m51.south", ".tif"),
        ("m51.north", ""),
        ("", ".jpg"),
    ]


def test_ids_of_positions_have_five_decimals() -> None:
    ids = ids_from_positions(np.array([10.0, 359.999994, np.nan, 1.0]), np.array([-5.25, 89.0, 0.0, np.inf]))
    assert ids.to_pylist() == ["J010.00000-05.25000", "J359.99999+89.00000", None, None]


@pytest.mark.parametrize(
    ("text", "unsafe"),
    [
        ("a" * LONGEST_ID, False),
        ("a" * (LONGEST_ID + 1), True),
        ("J12.5+3.1", False),
        ("a..b", True),
        (".a", True),
        ("-a", True),
        ("a/b", True),
        ("a.", True),
        (None, False),
    ],
)
def test_safe_ids_may_name_a_file(text: str | None, unsafe: bool) -> None:
    assert LONGEST_ID == 128
    assert find_unsafe(pa.array([text, "x y"], pa.string())).tolist() == [unsafe, True]


def test_plain_numbers_are_safe() -> None:
    assert find_unsafe(pa.array(["1", "2"])).tolist() == [False, False]


def test_two_to_the_53_is_exact_and_does_not_count() -> None:
    watch([2**53, 2**53 + 128, 2**53 + 256])

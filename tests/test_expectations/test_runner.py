"""The runner: what a frame's failures become, with real Great Expectations."""

import json

import numpy as np
import pandas as pd
import pytest

from expectations import suites
from expectations.runner import validate_frame, write_docs

IDS = [f"5877229817361203{number:02d}" for number in range(40)]


def images(**changed):
    """Return 40 faultless images with some columns replaced."""
    columns = {
        "id": IDS,
        "blank_fraction": np.zeros(40),
        "std": np.full(40, 12.5),
        "finite_fraction": np.ones(40),
        "pixel_sha256": [f"{number:064x}" for number in range(40)],
    }
    return pd.DataFrame(columns | changed)


def judged(frame):
    return validate_frame(frame, suites.images(frame.columns))


def replaced(values, **at):
    values = list(values)
    for position, value in at.items():
        values[int(position[1:])] = value
    return values


def result_of(verdict, name):
    (found,) = [result for result in verdict.results if result["name"] == name]
    return found


def test_a_faultless_frame_passes():
    verdict = judged(images())
    assert verdict.row_failures == {}
    assert verdict.set_failures == []
    assert all(result["success"] and result["failed"] == 0 for result in verdict.results)
    assert {result["checked"] for result in verdict.results} == {40}


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [("blank_fraction", 0.51, "blank"), ("std", 0.0, "constant"), ("finite_fraction", 0.97, "nan")],
)
def test_a_bad_image_is_named_with_its_reason(column, value, reason):
    frame = images()
    frame.loc[17, column] = value
    verdict = judged(frame)
    assert verdict.row_failures == {IDS[17]: reason}
    assert verdict.set_failures == []


def test_half_blank_is_still_an_image():
    assert judged(images(blank_fraction=np.full(40, 0.5))).row_failures == {}


def test_the_first_expectation_that_fails_names_the_reason():
    black = images(blank_fraction=replaced(np.zeros(40), _3=1.0), std=replaced(np.ones(40), _3=0.0))
    assert judged(black).row_failures == {IDS[3]: "blank"}


def test_every_failing_row_is_reported_not_only_the_examples():
    verdict = judged(images(blank_fraction=np.ones(40)))
    assert verdict.row_failures == dict.fromkeys(IDS, "blank")
    assert result_of(verdict, "blank")["examples"] == IDS[:10]


def test_missing_pixels_are_a_set_failure_and_no_duplicates():
    verdict = judged(images(pixel_sha256=[None, None, *[f"{number:064x}" for number in range(38)]]))
    assert verdict.row_failures == {}
    assert len(verdict.set_failures) == 1
    assert "pixel_sha256_missing" in verdict.set_failures[0]
    assert IDS[0] in verdict.set_failures[0]


def test_a_failing_set_names_suite_expectation_and_at_most_ten_rows():
    frame = pd.DataFrame({"id": IDS, "ra_deg": np.full(40, 360.0), "dec_deg": np.zeros(40)})
    verdict = validate_frame(frame, suites.catalogue(frame.columns))
    (message,) = verdict.set_failures
    assert "catalogue: ra_range" in message
    assert "40 of 40 fail" in message
    assert IDS[9] in message
    assert IDS[10] not in message
    assert "and 30 more" in message


def test_a_missing_column_is_a_failure_that_names_it():
    frame = images().drop(columns="pixel_sha256")
    verdict = validate_frame(frame, suites.images(images().columns))
    assert any("the table has no column pixel_sha256" in text for text in verdict.set_failures)


def test_values_that_cannot_be_judged_fail_and_do_not_pass():
    verdict = judged(images(std=["wide"] * 40))
    assert not result_of(verdict, "constant")["success"]
    assert len(verdict.set_failures) == 1
    assert "constant" in verdict.set_failures[0]


def test_a_condition_limits_the_rows_that_are_judged():
    ledger = pd.DataFrame(
        {
            "id": IDS[:4],
            "status": ["stored", "rejected", "stored", "rejected"],
            "row": [0, None, 1, None],
            "group": IDS[:4],
            "reason": [None, "blank", None, None],
            "raw_sha256": ["a" * 64] * 4,
            "pixel_sha256": ["a" * 64, None, "b" * 64, None],
        }
    )
    verdict = validate_frame(ledger, suites.ledger(array_rows=2))
    assert [text.split(" (")[0] for text in verdict.set_failures] == ["ledger: rejected_reason"]
    assert result_of(verdict, "rejected_reason")["examples"] == [IDS[3]]
    assert result_of(verdict, "stored_row")["checked"] == 2


def test_docs_and_results_are_written_and_capped(tmp_path):
    frame = pd.concat([images(id=[f"{turn}-{name}" for name in IDS]) for turn in range(50)], ignore_index=True)
    verdict = judged(frame.assign(blank_fraction=1.0))
    write_docs([verdict, judged(images())], tmp_path)
    results = json.loads((tmp_path / "validation.json").read_text())
    assert [result["name"] for result in results[:4]] == ["nan", "blank", "constant", "duplicate_pixels"]
    assert results[1]["failed"] == 2000
    assert results[1]["success"] is False
    assert len(results[1]["examples"]) == 10
    pages = list((tmp_path / "data_docs" / "validations").rglob("*.html"))
    assert len(pages) == 2
    assert "images" in (tmp_path / "data_docs" / "index.html").read_text()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 2_000_000

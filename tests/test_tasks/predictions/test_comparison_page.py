"""The page of a comparison: the matrix as it was counted, what has no interval or value in words, text escaped."""

from typing import Any

import pytest

from tasks.predictions.comparison_page import comparison_page
from tests.page_tables import tables_of

CLASSES = ["E", "S"]
# The matrix: six E, of which the model takes four for E; five S, all found; two of a class that the model lacks.
MATRIX = {"E": {"E": 4, "S": 2}, "S": {"E": 0, "S": 5}, "<Irr>": {"S": 2, "E": 0}}
FIGURES = {
    "compared": 11,
    "agreement": 9 / 11,
    "agreement_low": 0.523,
    "agreement_high": 0.949,
    "kappa": 0.645,
    "kappa_low": 0.2,
    "kappa_high": 1.0,
}
FACTS = {
    "model": "galaxy-deck-3/1",
    "predictions": "scores/sky.parquet",
    "predictions_sha256": "a" * 64,
    "catalog": "catalogs/below/de v.csv",
    "catalog_sha256": "b" * 64,
    "understood": {"class": "kind"},
    "radius_arcsec": 2.0,
    "count": 1234,
    "matched": {"by_id": 13, "by_position": 0},
    "not_compared": {"no_match": 1221, "other_class": 2},
}


def page_of(unseen: dict[str, Any] | None = None, **figures: Any) -> str:
    return comparison_page({**FACTS, **FIGURES, "matrix": MATRIX, "unseen": unseen, **figures}, CLASSES)


def table_of(page: str, caption: str) -> list[list[str]]:
    return next(rows for name, rows in tables_of(page).items() if name.startswith(caption))


def test_the_matrix_has_the_catalogue_s_classes_along_rows_and_the_model_s_in_their_order() -> None:
    rows = table_of(page_of(), "Counts")
    assert rows == [["catalogue", "E", "S"], ["E", "4", "2"], ["S", "0", "5"], ["<Irr>", "0", "2"]]
    counts = [[int(cell) for cell in row[1:]] for row in rows[1:3]]
    assert sum(map(sum, counts)) == FIGURES["compared"]
    assert (counts[0][0] + counts[1][1]) / sum(map(sum, counts)) == FIGURES["agreement"]


def test_every_fact_of_the_comparison_is_on_the_page() -> None:
    rows = dict(table_of(page_of(), "Predictions")[1:])
    assert set(rows) == {name.replace("_", " ") for name in FACTS}
    assert rows["matched"] == '{"by_id": 13, "by_position": 0}'
    assert (rows["model"], rows["radius arcsec"]) == ("galaxy-deck-3/1", "2.0")
    assert "<title>Predictions and de v.csv</title>" in page_of()
    assert "<Irr>" not in page_of()


def test_figures_have_their_intervals_and_one_that_is_not_defined_has_none() -> None:
    page = page_of()
    for text in ("0.8182", "95 %: 0.523 to 0.949", "0.645", "95 %: 0.200 to 1.000", "of 1,234 predictions"):
        assert text in page
    undefined = page_of(kappa=None, kappa_low=None, kappa_high=None)
    assert "95 %: 0.200 to 1.000" not in undefined
    assert undefined.count("no interval") == 1


@pytest.mark.parametrize("kappa", [None, 0.5])
def test_what_the_model_was_not_trained_on_is_told_apart_or_said_to_be_unknown(kappa: float | None) -> None:
    assert "is unknown, or it was trained on all of them." in page_of()
    ends = dict.fromkeys(("kappa_low", "kappa_high"), kappa)
    page = page_of(FIGURES | {"compared": 4000, "agreement": 0.75, "kappa": kappa, **ends})
    text = "kappa not defined (no interval)" if kappa is None else "kappa 0.500 (95 %: 0.500 to 0.500)"
    assert f"4,000 compared, agreement 0.750 (95 %: 0.523 to 0.949), {text}." in page
    assert "is unknown" not in page

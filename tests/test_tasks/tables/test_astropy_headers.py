"""The YAML header of ECSV and Parquet files: what astropy writes is read back, and anything else refused in words."""

import io

import numpy as np
import pytest
from astropy.table import Table

from tasks.tables.astropy_headers import parse_header


def header_of(table: Table) -> list[str]:
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    return [line.removeprefix("# ") for line in text.getvalue().splitlines() if line.startswith("#")][1:]


def test_types_and_units_are_those_of_the_table() -> None:
    table = Table({"id": np.arange(2), "ra": [1.5, 2.5], "flux": np.ones((2, 3), np.float32), "z": [1j, 2j]})
    table["ra"].unit = "deg"
    found = {column.name: column for column in parse_header(header_of(table))}
    assert {name: column.kind for name, column in found.items()} == {
        "id": "int64",
        "ra": "float64",
        "flux": "float32[3]",
        "z": "complex128",
    }
    assert {name: column.unit for name, column in found.items() if column.unit} == {"ra": "deg"}
    assert {name: column.why_not_flat() for name, column in found.items() if column.why_not_flat()} == {
        "flux": "it holds arrays or objects (float32[3])",
        "z": "it holds complex numbers",
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["---", "datatype: [}"], "parsing"),
        (["---", "meta: {}"], "lacks 'datatype'"),
        (["---", "datatype:", "- {name: ra, unit: deg}"], "lacks 'datatype'"),
        (["---", "datatype: [ra, dec]"], "no list of columns"),
        (["---", "datatype: 3"], "no list of columns"),
        (["- datatype"], "no list of columns"),
        ([], "no list of columns"),
    ],
)
def test_another_header_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_header(lines)

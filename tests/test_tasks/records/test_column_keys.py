"""Names of columns as they are compared with synonyms."""

import pytest

from tasks.records.column_keys import column_keys


@pytest.mark.parametrize(
    ("columns", "nested", "keys"),
    [
        (["mjd (tai)", "ra [deg]", "dec_(icrs)"], False, ["mjd", "ra", "dec"]),
        (["discovery date (ut)", "obj. type", "(x)"], True, ["discovery date", "obj. type", "(x)"]),
        (["candidate.jd", "i:fid", "a.b.ra"], True, ["jd", "fid", "ra"]),
        (["candidate.jd"], False, ["candidate.jd"]),
        (["candidate.ra", "prv.ra", "ra (a)", "ra (b)"], True, ["candidate.ra", "prv.ra", "ra (a)", "ra (b)"]),
        (["jd", "candidate.jd"], True, ["jd", "candidate.jd"]),
    ],
)
def test_a_key_is_the_name_without_what_surrounds_it(columns: list[str], nested: bool, keys: list[str]) -> None:
    assert column_keys(columns, nested=nested) == dict(zip(keys, columns, strict=True))

"""Builds that need a column which the catalogue lacks are refused with the remedy."""

import pytest

from galaxy.catalogue.errors import CatalogueError
from galaxy.labels.schemes import load_scheme
from tasks.ingest.needs import frame_columns, require_columns

FRAME = ("ra_deg", "dec_deg", "petro_r90_arcsec")


def refusal(columns: list[str], account: dict, *, scheme: str | None = None, frame: tuple[str, ...] = ()) -> str:
    with pytest.raises(CatalogueError) as refused:
        require_columns(columns, scheme and load_scheme(scheme), frame, account, "c.parquet")
    return str(refused.value)


def test_a_catalogue_with_all_columns_passes() -> None:
    barchi = load_scheme("barchi-9")
    columns = ["gz2_class_derived", "redshift", "r_mag", "galactic_latitude_deg", *FRAME]
    require_columns(columns, barchi, FRAME, {}, "c.parquet")
    require_columns([], None, (), {}, "c.parquet")


@pytest.mark.parametrize(
    ("source", "field", "columns"),
    [
        ("archive", "petrosian", ()),
        ("sdss", "petrosian", FRAME),
        ("simulated", "redshift", ("ra_deg", "dec_deg", "redshift")),
        ("legacy", "fixed", ("ra_deg", "dec_deg")),
    ],
)
def test_a_frame_needs_what_its_rule_reads(source: str, field: str, columns: tuple[str, ...]) -> None:
    assert frame_columns(source, field) == columns


def test_the_column_that_may_be_meant_is_told_with_what_became_of_it() -> None:
    text = refusal(["id", "ra_deg", "dec_deg"], {"kept": ["petroR90_i", "note"]}, frame=FRAME)
    assert "needs column 'petro_r90_arcsec', which catalogue c.parquet lacks" in text
    assert "The table's column 'petroR90_i' was kept as text" in text
    assert """columns='{"petro_r90": "petroR90_i"}'""" in text


def test_a_z_beside_bands_is_told_as_what_it_was_taken_for() -> None:
    text = refusal(["id", "gz2_class"], {"kept": ["u", "z"]}, scheme="barchi-9")
    assert "the cut of scheme barchi-9 on redshift needs column 'redshift'" in text
    assert "'z' was kept as text, since u beside it give" in text
    assert """columns='{"redshift": "z"}'""" in text


def test_a_column_that_was_not_read_is_told_with_the_reason() -> None:
    account = {"kept": [], "why_ignored": {"it holds vectors": ["GZ1_Class"]}}
    text = refusal(["id"], account, scheme="gz1-2class")
    assert "scheme gz1-2class needs column 'gz1_class'" in text
    assert "'GZ1_Class' was not read (it holds vectors)" in text
    assert "made of the flags spiral, elliptical and uncertain" in text


def test_a_scheme_of_one_s_own_is_told_the_columns_that_there_are(tmp_path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'name = "own"\ndescription = ""\ncolumns = ["morphology"]\ngrammar = "text"\nclasses = ["S", "E"]\n'
        'rules = [{label = "S", when = {text = "S"}}, {label = "E", when = {text = "E"}}]\n'
    )
    text = refusal(["id", "bar", "ring"], {"kept": ["Bar", "Ring"]}, scheme=str(path))
    assert "No table has a column known as morphology. Other columns of the tables: Bar, Ring." in text
    assert 'columns = ["' in text
    assert "'Morphologie' was kept as text" in refusal(["id"], {"kept": ["Morphologie"]}, scheme=str(path))

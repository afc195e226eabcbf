"""The kind of a table, and which of its columns holds what, from the header alone."""

from pathlib import Path

import pytest

from galaxy.catalogue.columns import BY_NAME, COLUMNS, MAJORITY_BUTTONS, VOTE_MEASURES, Layout, recognise
from galaxy.catalogue.errors import CatalogueError
from galaxy.labels.votes import STEMS
from tasks.galaxies.table_rows import CATALOGUE_ROLES
from tasks.tables.roles import find_roles

VOTES = [f"{stem}_{measure}" for stem in STEMS for measure in VOTE_MEASURES]
GZ1 = ["objid", "ra", "dec", "nvote", *MAJORITY_BUTTONS, "p_cs", "p_el_debiased", "p_cs_debiased"]
GZ1 += ["spiral", "elliptical", "uncertain"]


def recognised(*names: str) -> Layout:
    path = Path("t.csv")
    return recognise(path, names, find_roles(path, names, CATALOGUE_ROLES))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["dr7objid", "ra", "dec", *VOTES], "gz2-hart16"),
        (["dr8objid", "ra", "dec", *VOTES], "gz2-willett13"),
        (["specobjid", "dr7objid", "ra", "dec", *VOTES], "gz2-willett13"),
        (GZ1, "gz1-table2"),
        (["objid", "sample", "asset_id"], "filename-mapping"),
        (["objid", "asset_id", "note"], "labels-by-id"),
        (["objid", "petromag_r", "wvt_bin"], "gz2sample"),
        (["objid", "wvt_bin"], "labels-by-id"),
        (["objid", "petror90_r", "z"], "gz1-metadata"),
        (["petror90_r", "redshift", "ra", "dec"], "gz1-metadata"),
        (["objid", "petror90_r"], "labels-by-id"),
        (["id", "my_class"], "labels-by-id"),
        (["ra", "dec", "my_class"], "labels-by-position"),
        (["file", "my_class"], "labels-by-file"),
    ],
)
def test_the_kind_follows_from_the_columns(names: list[str], kind: str) -> None:
    layout = recognised(*names)
    assert layout.kind == kind
    assert layout.has_votes == kind.startswith("gz2-")


def test_own_names_win_over_aliases_and_aliases_by_their_order() -> None:
    assert recognised("id", "objid").source["id"] == "id"
    assert recognised("objid", "dr7objid").source["id"] == "dr7objid"
    assert recognised("id", "ra", "ra_deg", "dec").source["ra_deg"] == "ra_deg"


def test_z_is_a_redshift_unless_it_is_one_of_the_bands() -> None:
    assert recognised("id", "z").source["redshift"] == "z"
    assert recognised("id", "z", "r").source["redshift"] == "z"
    assert "redshift" not in recognised("id", "g", "r", "i", "z").source
    assert recognised("id", "r", "i", "z", "specz").source["redshift"] == "specz"


def test_further_columns_are_kept_of_label_tables_alone() -> None:
    assert recognised("id", "my_class", "ra", "dec", "note").extra == ("my_class", "note")
    assert recognised("objid", "petror90_r", "z", "note").extra == ()


def test_input_only_columns_are_read() -> None:
    assert recognised("id", "extinction_r", "petromag_r").source["extinction_r"] == "extinction_r"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["objid", "dec", "x"], "lacks column 'ra' or 'ra_deg'; it has dec, objid, x"),
        (["id", "ra"], "lacks column 'dec' or 'dec_deg'"),
        (["my_class"], r"\(labels-by-file\) lacks column 'filename' or 'file_name' or 'file'"),
        ([name for name in GZ1 if name != "nvote"], "lacks column 'nvote' or 'gz1_votes';"),
        ([name for name in GZ1 if name not in ("nvote", "p_el")], "lacks column 'p_el' and 1 more"),
        (["nvotes" if name == "nvote" else name for name in GZ1], "is 'nvotes' a renamed one?"),
        (["dr7objid", "ra", "dec", *VOTES[1:]], f"lacks column '{VOTES[0]}'"),
        (["dr7objid", "ra", "dec", *VOTES, "gz2classs"], "'gz2class' or 'gz2_class'; is 'gz2classs' a renamed one?"),
        (["petromag_r", "wvt_bin"], r"\(gz2sample\) lacks column 'stripe82objid'"),
    ],
)
def test_a_missing_column_is_named_with_what_may_be_it(names: list[str], message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        recognised(*names)


def test_names_and_aliases_mean_one_column_each() -> None:
    assert len(BY_NAME) == len(COLUMNS)
    names = [name for column in COLUMNS for name in (column.name, *column.aliases)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "low", "high", "unit"),
    [
        ("redshift", -0.1, 12, ""),
        ("petro_r50_arcsec", 0, 3600, "arcsec"),
        ("petro_r90_arcsec", 0, 3600, "arcsec"),
        ("r_mag", 0, 30, "mag"),
        ("r_mag_corrected", 0, 30, "mag"),
        ("psf_fwhm_arcsec", 0, 60, "arcsec"),
        ("area_ratio", 0, 1e9, ""),
        ("total_votes", -1, None, ""),
        ("total_classifications", -1, None, ""),
        ("gz1_p_el_debiased", -1, None, ""),
        ("gz1_p_cs_debiased", -1, None, ""),
        ("gz1_votes", -1, None, ""),
        ("asset_id", 0, None, ""),
        ("ra_deg", None, None, "deg"),
    ],
)
def test_bounds_beyond_which_a_value_marks_missing_data(name: str, low, high, unit: str) -> None:
    column = BY_NAME[name]
    assert (column.low, column.high, column.unit) == (low, high, unit)

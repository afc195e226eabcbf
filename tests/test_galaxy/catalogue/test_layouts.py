"""The kind of a table, and which of its columns holds what, from the header alone."""

from pathlib import Path

import pytest

from galaxy.catalogue.columns import MAJORITY_BUTTONS, VOTE_MEASURES
from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.layouts import Header, Layout, recognise
from galaxy.labels.votes import STEMS
from tasks.ingest.table_rows import CATALOGUE_ROLES
from tasks.tables.roles import ROLES, find_roles

VOTES = [f"{stem}_{measure}" for stem in STEMS for measure in VOTE_MEASURES]
GZ1 = ["objid", "ra", "dec", "nvote", *MAJORITY_BUTTONS, "p_cs", "p_el_debiased", "p_cs_debiased"]
GZ1 += ["spiral", "elliptical", "uncertain"]
SYNONYMS = {role: ROLES[role].names for role in CATALOGUE_ROLES}


def recognised(*names: str, **named: str) -> Layout:
    path = Path("t.csv")
    return recognise(Header(path, names, find_roles(path, names, CATALOGUE_ROLES), SYNONYMS, named))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["dr7objid", "ra", "dec", *VOTES], "gz2-hart16"),
        (["dr8objid", "ra", "dec", *VOTES], "gz2-willett13"),
        (["specobjid", "dr7objid", "ra", "dec", *VOTES], "gz2-willett13"),
        (["dr7objid", "gz2_class", "t01_smooth_or_features_a01_smooth_debiased"], "gz2-hart16"),
        (GZ1, "gz1-table2"),
        ([*GZ1, "my_class"], "gz1-table2"),
        (GZ1[:11], "gz1-table3"),
        (["specobjid", "objid", "dr7objid", "ra", "dec", "rastring", "decstring", *GZ1[3:11]], "gz1-table3"),
        (["objid", "sample", "asset_id"], "filename-mapping"),
        (["", "objid", "sample", "asset_id"], "filename-mapping"),
        (["unnamed: 0", "index", "objid", "sample", "asset_id", "png"], "filename-mapping"),
        (["unnamed: 0.1", "unnamed: 0", "objid", "asset_id"], "filename-mapping"),
        (["id", "dr7objid", "asset_id"], "filename-mapping"),
        (["objid", "asset_id", "filename"], "filename-mapping"),
        (["objid", "asset_id", "note"], "labels-by-id"),
        (["objid", "sample", "asset_id", "gz2_class"], "labels-by-id"),
        (["objid", "ra", "dec", "sample", "asset_id"], "labels-by-id"),
        (["objid", "petromag_r", "wvt_bin"], "gz2sample"),
        (["objid", "wvt_bin"], "labels-by-id"),
        (["objid", "petror90_r", "z"], "gz1-metadata"),
        (["petror90_r", "redshift", "ra", "dec"], "gz1-metadata"),
        (["objid", "petror90_r"], "labels-by-id"),
        (["id", "my_class"], "labels-by-id"),
        (["_raj2000", "_dej2000", "my_class"], "labels-by-position"),
        (["file", "my_class"], "labels-by-file"),
    ],
)
def test_the_kind_follows_from_the_columns(names: list[str], kind: str) -> None:
    layout = recognised(*names)
    assert layout.kind == kind
    assert layout.has_votes == (set(VOTES) <= set(names))


def test_a_galaxy_zoo_column_goes_by_its_own_name_before_its_alias() -> None:
    assert recognised("objid", "gz2class", "gz2_class").source["gz2_class"] == "gz2_class"
    assert recognised("objid", "nvote").source["gz1_votes"] == "nvote"


def test_a_named_column_goes_before_its_column_s_own_names() -> None:
    layout = recognised("objid", "gz2_class", "morph", gz2_class="morph")
    assert layout.source["gz2_class"] == "morph"
    assert layout.ignored == {"gz2_class": "gz2_class is read from morph"}


@pytest.mark.parametrize(
    "known",
    [
        ["id"],
        ["objid", "ra", "dec", "petror90_r", "redshift"],
        GZ1,
        GZ1[:11],
        ["dr7objid", "ra", "dec", *VOTES],
        ["objid", "petromag_r", "wvt_bin"],
        ["ra", "dec"],
        ["file"],
    ],
    ids=lambda names: names[0] + str(len(names)),
)
def test_a_column_that_means_nothing_here_is_kept_whatever_the_table(known: list[str]) -> None:
    assert recognised(*known, "my_class", "note").extra == ("my_class", "note")


def test_published_columns_that_no_step_reads_are_left_out_with_the_reason() -> None:
    weights = [f"{stem}_weight" for stem in STEMS]
    layout = recognised("specobjid", "dr8objid", "dr7objid", "ra", "dec", "rastring", "decstring", *VOTES, *weights)
    assert layout.extra == ()
    assert set(layout.ignored) == {"specobjid", "dr8objid", "rastring", "decstring", *weights}
    assert layout.ignored["dr8objid"] == "id is read from dr7objid"
    assert recognised(*GZ1).ignored.keys() == {"p_cs"}
    sample = recognised("objid", "run", "petromag_r", "petromag_z", "petromag_mr", "petror50_r_kpc", "z_simple_bin")
    assert sample.kind == "gz2sample"
    assert sample.ignored.keys() == {"run", "petromag_z", "petromag_mr", "petror50_r_kpc", "z_simple_bin"}


def test_published_names_are_kept_in_a_table_of_another_kind() -> None:
    assert recognised("objid", "run", "region", "rastring").extra == ("run", "region", "rastring")


def test_a_row_s_number_is_no_id_beside_one_and_an_index_without_a_name_is_left_out() -> None:
    layout = recognised("", "id", "dr7objid", "my_class")
    assert layout.source["id"] == "dr7objid"
    assert layout.ignored == {"": "the row's number, without a name", "id": "id is read from dr7objid"}
    assert recognised("__index_level_0__", "id").source["id"] == "id"


def test_the_buttons_make_a_majority_only_together() -> None:
    assert set(MAJORITY_BUTTONS) <= set(recognised("objid", *MAJORITY_BUTTONS).source)
    some = list(MAJORITY_BUTTONS)[:4]
    assert recognised("objid", *some).extra == tuple(some)
    assert recognised("objid", *MAJORITY_BUTTONS, "gz1_majority").source["gz1_majority"] == "gz1_majority"


def test_the_extinction_is_read_where_it_corrects_a_magnitude() -> None:
    assert recognised("id", "extinction_r", "petromag_r").source["extinction_r"] == "extinction_r"
    assert recognised("id", "extinction_r").extra == ("extinction_r",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["objid", "dec", "x"], "lacks column 'ra_deg' or 'ra' or .* more names; it has objid, dec, x"),
        (["id", "raj2000"], "lacks column 'dec_deg' or 'dec'"),
        (["my_class"], r"\(labels-by-file\) lacks column 'stripe82objid' or .*'file' or 'filename'.*it has my_class;"),
        (["galaxy", *GZ1[3:]], "nearest known kind is gz1-table2, of which it lacks the id.*columns='"),
        (["galaxy", "sample", "asset_id"], "nearest known kind is filename-mapping, of which it lacks the id"),
        (["name", "petromag_r", "petror90_r", "psfwidth_r"], "kind is gz1-metadata, .* the id and extinction_r, pet"),
        (["nvotes" if name == "nvote" else name for name in GZ1], 'is \'nvotes\' a renamed one.*"gz1_votes": "nvotes"'),
        (["dr7objid", *VOTES[1:], f"{VOTES[0]}s"], f"lacks column '{VOTES[0]}'; is '{VOTES[0]}s' a renamed one"),
        (["dr7objid", "ra", "dec", *VOTES, "gz2classs"], "'gz2class' or 'gz2_class'; is 'gz2classs' a renamed one?"),
        (["petromag_r", "wvt_bin"], r"\(gz2sample\) lacks column 'stripe82objid'"),
    ],
)
def test_a_missing_column_is_named_with_what_may_be_it(names: list[str], message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        recognised(*names)

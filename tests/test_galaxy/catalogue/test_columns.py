"""The catalogue's columns: names, bounds and units."""

import pytest

from galaxy.catalogue.columns import BY_NAME, COLUMNS


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

"""The catalogue's columns, and the names that the Galaxy Zoo tables give to those of them that are theirs alone."""

from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from galaxy.labels.votes import STEMS


@dataclass(frozen=True)
class CatalogueColumn:
    """One column of a catalogue; values outside (low, high) mark missing data and become null."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    aliases: tuple[str, ...] = ()
    """Lower-case names in the Galaxy Zoo tables; the column's own name is recognised too."""
    low: float | None = None
    high: float | None = None
    role: str = ""
    """The role, a quantity known by its synonyms in any archive's tables, whose column it holds; empty for columns of
    Galaxy Zoo, found by their own name and aliases."""

    @property
    def label(self) -> str:
        """Its name in the account of a table's columns: the role, else its own name."""
        return self.role or self.name


VOTE_MEASURES: MappingProxyType[str, tuple[pa.DataType, str]] = MappingProxyType(
    {
        "count": (pa.int16(), "votes for the answer"),
        "fraction": (pa.float32(), "share of the question's votes"),
        "weighted_fraction": (pa.float32(), "share with volunteers weighted by consistency"),
        "debiased": (pa.float32(), "share corrected for redshift"),
        "flag": (pa.bool_(), "in the producers' clean sample"),
    }
)
VOTE_COLUMNS = tuple(
    CatalogueColumn(f"{stem}_{measure}", kind, "", meaning)
    for stem in STEMS
    for measure, (kind, meaning) in VOTE_MEASURES.items()
)
_F64, _F32, _I32, _TEXT, _BOOL = pa.float64(), pa.float32(), pa.int32(), pa.string(), pa.bool_()

COLUMNS: tuple[CatalogueColumn, ...] = (
    CatalogueColumn(
        "id",
        _TEXT,
        "",
        "object id, digits as text so that 19 of them stay exact",
        role="id",
    ),
    CatalogueColumn("ra_deg", _F64, "deg", "right ascension, J2000, 0 to 360", role="ra"),
    CatalogueColumn("dec_deg", _F64, "deg", "declination, J2000, -90 to 90", role="dec"),
    CatalogueColumn("sample", _TEXT, "", "the table's own sample name"),
    CatalogueColumn("redshift", _F64, "", "redshift", low=-0.1, high=12, role="redshift"),
    CatalogueColumn(
        "petro_r50_arcsec",
        _F64,
        "arcsec",
        "radius of half the Petrosian flux in r",
        low=0,
        high=3600,
        role="petro_r50",
    ),
    CatalogueColumn(
        "petro_r90_arcsec",
        _F64,
        "arcsec",
        "radius of 90 % of the Petrosian flux in r",
        low=0,
        high=3600,
        role="petro_r90",
    ),
    CatalogueColumn("r_mag", _F64, "mag", "Petrosian r, as observed", low=0, high=30, role="r_mag"),
    CatalogueColumn(
        "r_mag_corrected",
        _F64,
        "mag",
        "Petrosian r, corrected for galactic extinction",
        low=0,
        high=30,
        role="r_mag_corrected",
    ),
    CatalogueColumn("galactic_latitude_deg", _F64, "deg", "galactic latitude, from the position"),
    CatalogueColumn("psf_fwhm_arcsec", _F64, "arcsec", "width of the PSF in r", low=0, high=60, role="psf_fwhm"),
    CatalogueColumn(
        "area_ratio",
        _F64,
        "",
        "galaxy's area over the PSF's; where not given, (2 petro_r90 / psf_fwhm)^2",
        low=0,
        high=1e9,
        role="area_ratio",
    ),
    CatalogueColumn("total_votes", _I32, "", "answers given, all questions", low=-1),
    CatalogueColumn("total_classifications", _I32, "", "volunteers who saw the galaxy", low=-1),
    CatalogueColumn("gz2_class", _TEXT, "", "the table's own class string", ("gz2class",)),
    CatalogueColumn("gz2_class_derived", _TEXT, "", "class string by the producers' rules from the debiased fractions"),
    *VOTE_COLUMNS,
    CatalogueColumn("gz1_spiral", _BOOL, "", "debiased vote above 0.8 for spiral", ("spiral",)),
    CatalogueColumn("gz1_elliptical", _BOOL, "", "debiased vote above 0.8 for elliptical", ("elliptical",)),
    CatalogueColumn("gz1_uncertain", _BOOL, "", "neither of the two", ("uncertain",)),
    CatalogueColumn("gz1_p_el_debiased", _F32, "", "debiased fraction for elliptical", ("p_el_debiased",), -1),
    CatalogueColumn("gz1_p_cs_debiased", _F32, "", "debiased fraction for any spiral", ("p_cs_debiased",), -1),
    CatalogueColumn("gz1_votes", _I32, "", "votes in Galaxy Zoo 1", ("nvote",), -1),
    CatalogueColumn("gz1_class", _TEXT, "", "spiral, elliptical or uncertain, from the flags"),
    CatalogueColumn("gz1_majority", _TEXT, "", "button with most raw votes in Galaxy Zoo 1"),
    CatalogueColumn("file", _TEXT, "", "name of the object's image file", role="file"),
    CatalogueColumn("asset_id", pa.int64(), "", "number of the image in the published archive", low=0),
)
BY_NAME: MappingProxyType[str, CatalogueColumn] = MappingProxyType({column.name: column for column in COLUMNS})

MAJORITY_BUTTONS: MappingProxyType[str, str] = MappingProxyType(
    {
        "p_el": "elliptical",
        "p_cw": "clockwise",
        "p_acw": "anticlockwise",
        "p_edge": "edge_on",
        "p_dk": "dont_know",
        "p_mg": "merger",
    }
)
"""Galaxy Zoo 1's raw fractions, in the table's order, and what `gz1_majority` calls their buttons."""

EXTINCTION = "extinction_r"
"""Column that is read to correct the magnitude and not kept; nor are those of `MAJORITY_BUTTONS`."""

"""The one table of synonyms: which column of a table holds which quantity, by the names that archives use.

Names are compared in lower case. Two columns for one role are refused unless the caller names one; the ids of several
releases, which published tables hold side by side, are taken in the order of their synonyms, and ``id`` last: beside
another id it is a number of the row.

A name that means another quantity in certain company (`UNLESS_BESIDE`) is no synonym there. VizieR puts an underscore
before the positions that it computes of the catalogue's own: of ``_RAJ2000`` and ``RAJ2000`` the first is taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType


class ColumnRoleError(ValueError):
    """Two columns for one role, or a named column that the table lacks; the message names the table and the remedy."""


@dataclass(frozen=True)
class Role:
    """A quantity that a table may hold.

    Attributes
    ----------
    name : str
        Its name in the parameter ``columns`` and in summaries.
    names : tuple of str
        Lower-case synonyms, in the order of preference where the role is `ordered`.
    unit : str
        Unit of the values once read, as astropy.units writes it; empty for text and pure numbers.
    ordered : bool
        Several synonyms in one table are normal and the first is taken; otherwise they are refused.
    own_units : mapping of str to str
        Synonym -> unit that this name states, by itself or by the archive that uses it, where the table declares
        none. Beside another synonym it is the same quantity once more.
    """

    name: str
    names: tuple[str, ...]
    unit: str = ""
    ordered: bool = False
    own_units: Mapping[str, str] = field(default_factory=dict)


_ROLES = (
    Role(
        "id",
        (
            *("stripe82objid", "dr7objid", "objid", "object_id", "objectid", "dr8objid", "source_id", "sourceid"),
            *("objid_dr7", "objid_dr8", "sdss_objid", "sdssobjid", "dr7_objid", "dr8_objid", "galaxy_id", "galaxyid"),
            *("ls_id", "coadd_object_id", "id_str", "iauname", "iau_name", "id"),
        ),
        ordered=True,
    ),
    Role(
        "ra",
        (
            *("ra_deg", "ra", "raj2000", "_raj2000", "ra_j2000", "raj2000deg", "_ra", "ra_icrs", "ramean", "rastack"),
            *("alpha_j2000", "alphawin_j2000", "al2000", "right_ascension", "rightascension", "radeg", "ra_d", "degra"),
            *("s_ra", "meanra", "coord_ra", "_ra.icrs", "r.a.", "right ascension", "ra j2000", "raj2000_deg"),
            *("ra_j2000_deg", "ra_2000", "ra2000", "sky_centroid.ra", "skycoord.ra", "ra_rad", "ra_hours", "ra_hms"),
        ),
        "deg",
        own_units={"al2000": "hourangle", "ra_rad": "rad", "ra_hours": "hourangle", "ra_hms": "h:m:s"},
    ),
    Role(
        "dec",
        (
            *("dec_deg", "dec", "dej2000", "_dej2000", "dec_j2000", "decj2000", "dej2000deg", "_de", "de", "de_icrs"),
            *("dec_icrs", "decmean", "decstack", "delta_j2000", "deltawin_j2000", "de2000", "declination", "decl"),
            *("decdeg", "dedeg", "de_deg", "dec_d", "degdec", "s_dec", "meandec", "coord_dec", "_de.icrs", "dec."),
            *("decl.", "dec j2000", "dej2000_deg", "decj2000_deg", "dec_j2000_deg", "dec_2000", "dec2000"),
            *("sky_centroid.dec", "skycoord.dec", "dec_rad", "dec_dms"),
        ),
        "deg",
        own_units={"dec_rad": "rad", "dec_dms": "d:m:s"},
    ),
    Role(
        "redshift",
        (
            *("redshift", "specz", "spec_z", "zspec", "z_spec", "zsp", "z_best", "zbest", "red_shift", "redshift_spec"),
            *("z_helio", "zhelio", "z_cmb", "zcmb", "nsa_z", "sdss_z", "z"),
        ),
    ),
    Role(
        "petro_r50",
        ("petro_r50_arcsec", "petror50_r", "petro_r50_r", "petrorad50_r", "petro_r50", "petror50", "petro_th50"),
        "arcsec",
    ),
    Role(
        "petro_r90",
        ("petro_r90_arcsec", "petror90_r", "petro_r90_r", "petrorad90_r", "petro_r90", "petror90", "petro_th90"),
        "arcsec",
    ),
    Role("r_mag", ("r_mag", "petromag_r", "petro_mag_r", "petrormag", "petro_r_mag", "mag_petro_r"), "mag"),
    Role("r_mag_corrected", ("r_mag_corrected", "petromag_r_corrected", "dered_petromag_r"), "mag"),
    Role("psf_fwhm", ("psf_fwhm_arcsec", "psfwidth_r", "psffwhm_r", "psf_fwhm", "psf_fwhm_r", "psfsize_r"), "arcsec"),
    Role("area_ratio", ("area_ratio", "areasratio", "areas_ratio")),
    # Candidates, alerts and known objects.
    Role(
        "candidate_id",
        (
            *(
                "candid",
                "diasourceid",
                "dia_source_id",
                "candidate_id",
                "candidateid",
                "cand_id",
                "alertid",
                "alert_id",
            ),
            *("detection_id", "detectionid", "source_id", "sourceid", "id", "objectid", "object_id", "oid"),
        ),
        ordered=True,
    ),
    Role(
        "group",
        ("objectid", "object_id", "diaobjectid", "dia_object_id", "oid", "objid", "obj_id", "objname"),
        ordered=True,
    ),
    Role("label", ("weak_label", "label", "is_real", "isreal"), ordered=True),
    Role("kind", ("kind",)),
    Role("sign", ("isdiffpos", "is_diff_pos", "isdiffpositive"), ordered=True),
    Role(
        "detector",
        (
            *("detector", "rcid", "detector_id", "detectorid", "ccdid", "ccd_id", "ccdnum", "ccd", "chip", "chipid"),
            *("chip_id", "detid", "det_id", "quadrant", "qid", "amp"),
        ),
        ordered=True,
    ),
    Role("band", ("band", "filter", "filtername", "filter_name", "fid", "filterid", "filter_id", "filt"), ordered=True),
    Role("night", ("night", "obsnight", "obs_night", "nid", "dayobs", "day_obs", "obs_day"), ordered=True),
    Role(
        "time",
        (
            *("mjd", "jd", "midpointmjdtai", "midpointtai", "midpoint_mjd_tai", "midpointmjd", "obsmjd", "obs_mjd"),
            *("mjd_obs", "mjd-obs", "mjdobs", "epoch_mjd", "epochmjd", "time_mjd", "mjd_mean", "mjdmean", "mjd_mid"),
            *("mjd_tai", "mjdtai", "taimjd", "mjd_utc", "expmjd", "exp_mjd", "obsjd", "obs_jd", "jd_obs", "jdobs"),
            *(
                "jd_utc",
                "obsdate",
                "obs_date",
                "date_obs",
                "date-obs",
                "dateobs",
                "obstime",
                "obs_time",
                "obs_datetime",
            ),
            *("observation_date", "observed_at", "datetime", "timestamp", "bjd", "hjd", "epoch", "time", "date"),
        ),
        ordered=True,
    ),
    Role(
        "time_of_day",
        ("ut", "utc", "ut_start", "utstart", "utc_obs", "utc-obs", "ut_obs", "time_obs", "time-obs", "ut_time"),
        ordered=True,
    ),
    Role(
        "name",
        (
            *("name", "tns_name", "iau_name", "iauname", "objname", "obj_name", "object_name", "objectname", "object"),
            *(
                "designation",
                "desig",
                "provid",
                "provisional_designation",
                "packed_designation",
                "permid",
                "targetname",
            ),
            *("ssnamenr", "main_id", "source_name", "star", "star_name", "auid", "oid", "number", "num"),
            *("objid", "source_id", "objectid", "object_id", "id"),
        ),
        ordered=True,
    ),
    Role("name_prefix", ("name_prefix",)),
    Role("position", ("coords", "coordinates", "coord", "position", "radec", "ra_dec", "ra dec", "ra/dec", "ra, dec")),
    Role(
        "object_type",
        (
            *("type", "obj. type", "obj type", "obj_type", "objtype", "object_type", "objecttype", "object type"),
            *("var. type", "var type", "var_type", "vartype", "variability type", "variability_type", "class"),
            *("classification", "type_name", "otype", "main_type", "vsx_type", "finkclass"),
        ),
        ordered=True,
    ),
    Role(
        "discovery_time",
        (
            *(
                "discovery_mjd",
                "discoverymjd",
                "discovery_jd",
                "discoverydate",
                "discovery_date",
                "discovery date (ut)",
            ),
            *("discovery date", "discovery date (utc)", "disc_date", "discdate", "disc. date", "disc date"),
            *("discovery_time", "discovered", "date_discovered", "first_detection", "firstmjd", "jdstarthist"),
            *("mjd", "epoch_mjd", "jd", "obsdate", "obs_date", "date (ut)", "date_ut", "date", "datetime"),
            *("datetime_str", "datetime_jd", "date__(ut)__hr:mn", "epoch", "obstime", "time"),
        ),
        ordered=True,
    ),
    Role("file", ("file", "filename", "file_name", "image_file", "imagefile", "image_name")),
)
ROLES: MappingProxyType[str, Role] = MappingProxyType({role.name: role for role in _ROLES})

_OF_ROWS = ("id", "ra", "position", "file")

UNLESS_BESIDE: MappingProxyType[str, frozenset[str]] = MappingProxyType(
    {
        "z": frozenset("ubvgriyjhkx"),  # there a magnitude, or a coordinate
        "objid": frozenset({"brickid"}),  # of a Tractor catalogue: a number within its brick
    }
)
"""Synonym -> columns beside which it means something else."""


def find_roles(
    path: Path, columns: Sequence[str], roles: Iterable[str], named: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return role -> the table's column that holds it, for the roles that the table has.

    Parameters
    ----------
    path : Path
        The table, for messages.
    columns : sequence of str
        The table's column names in lower case.
    roles : iterable of str
        Names of `ROLES` to look for.
    named : mapping of str to str, optional
        Role -> column that the caller named; it goes before every synonym, and no other role takes it. Names are
        compared in lower case.

    Raises
    ------
    ColumnRoleError
        A role has two columns and none is named, or a named column is absent.
    """
    named = {role: column.strip().lower() for role, column in (named or {}).items()}
    free = [name for name in columns if name not in named.values() and not _means_another(name, columns)]
    source = {}
    for role in (ROLES[name] for name in roles):
        if role.name in named:
            source[role.name] = _named_column(path, columns, role.name, named[role.name])
        elif (synonym := _synonym(path, free, role)) is not None:
            source[role.name] = synonym
    return source


def _synonym(path: Path, columns: Sequence[str], role: Role) -> str | None:
    """Return the column known as a role, None where there is none; several of a role without an order are refused."""
    present = [name for name in role.names if name in columns and f"_{name}" not in columns]
    present = [name for name in present if name not in role.own_units] or present
    if len(present) > 1 and not role.ordered:
        example = f'columns=\'{{"{role.name}": "{present[0]}"}}\''
        raise ColumnRoleError(
            f"table {path} has {len(present)} columns for {role.name}: {', '.join(present)}; name one with {example}"
        )
    return present[0] if present else None


def _means_another(name: str, columns: Sequence[str]) -> bool:
    return not UNLESS_BESIDE.get(name, frozenset()).isdisjoint(columns)


def _named_column(path: Path, columns: Sequence[str], role: str, column: str) -> str:
    if column not in columns:
        raise ColumnRoleError(
            f"columns names {column!r} for {role}, which table {path} lacks; it has {', '.join(columns)}"
        )
    return column


def names_rows(columns: Iterable[str]) -> bool:
    """Say whether a table of these columns, in any case, has an id, a position or a file for each row."""
    lower = {name.strip().lower() for name in columns}
    return any(name in lower for role in _OF_ROWS for name in ROLES[role].names)


def refuse_unread(path: Path, unread: Mapping[str, str], roles: Iterable[str], found: Mapping[str, str]) -> None:
    """Refuse a table whose column for a role cannot be read, where no other column holds the role.

    Parameters
    ----------
    path : Path
        The table, for messages.
    unread : mapping of str to str
        Column as the file writes it -> why it is not read.
    roles : iterable of str
        Names of `ROLES` that are needed.
    found : mapping of str to str
        As `find_roles` returns.

    Raises
    ------
    ColumnRoleError
    """
    for role in (ROLES[name] for name in roles if name not in found):
        for column, why in unread.items():
            if column.strip().lower() in role.names:
                raise ColumnRoleError(
                    f"table {path}: column {column!r} is named for {role.name} and cannot be read: {why}; "
                    "write it with one number or text in each row"
                )


def check_named(named: Mapping[str, str], roles: Iterable[str]) -> None:
    """Refuse a mapping `named` (role -> column) that names a role other than `roles`.

    Raises
    ------
    ColumnRoleError
        A key is no role.
    """
    known = tuple(roles)
    for role in named:
        if role not in known:
            raise ColumnRoleError(f"columns names the role {role!r}; roles are {', '.join(known)}")

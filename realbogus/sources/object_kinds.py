"""Kinds of known objects by the type or the name that catalogues give them: transient, variable, asteroid."""

import re

KNOWN_TRANSIENT, KNOWN_VARIABLE, KNOWN_ASTEROID = "known_transient", "known_variable", "known_asteroid"
KNOWN_KINDS = (KNOWN_TRANSIENT, KNOWN_VARIABLE, KNOWN_ASTEROID)

ASTEROID_WORDS = (
    *("asteroid", "minor planet", "minorplanet", "mp", "sso", "solar system", "comet", "mb>", "nea", "neo", "kbo"),
    *("trojan", "centaur", "hungaria", "mars-crosser", "tno"),
)
TRANSIENT_WORDS = ("sn", "supernova", "slsn", "tde", "nova", "kilonova", "kn", "grb", "afterglow", "lrn", "ilrt")
VARIABLE_WORDS = (
    *("var", "cv", "agn", "qso", "rr", "cep", "eclipsing", "blazar", "bl lac", "bllac", "seyfert", "mira"),
    *("m dwarf", "flare star", "pulsating", "rotating", "young stellar", "dwarf nova", "symbiotic"),
)
"""A type that begins with one of these words, in lower case, is of the kind."""

# Types of the General Catalogue of Variable Stars and of the VSX (https://vsx.aavso.org, "Variable star type
# designations") that are no word of English; single letters are left out.
_STAR_TYPES = frozenset(
    (
        *("sr", "sra", "srb", "src", "srd", "srs", "ea", "eb", "ew", "ec", "ed", "rrab", "rrc", "rrd", "rrl", "dcep"),
        *("deps", "dscts", "dsct", "hads", "gdor", "lb", "lc", "lpv", "rot", "by", "ug", "ugss", "ugsu", "ugz", "ugwz"),
        *("nl", "na", "nb", "nr", "rs", "ell", "yso", "uv", "acv", "sxari", "sxphe", "dq", "am", "rcb", "zand", "gcas"),
        *("be", "spb", "bcep", "pvtel", "wr", "sdor", "fu", "ins", "in", "isa", "lbv", "puls", "cbss", "hmxb", "lmxb"),
        *("xb", "zz", "ctts", "wtts", "cwa", "cwb", "rv", "rva", "rvb", "tts", "ceph", "t2cep", "acep", "misc"),
    )
)
_DESIGNATION = re.compile(
    r"(?:\(?\d{1,7}\)?\s+)?(?:1[89]|20)\d\d [A-HJ-Y][A-HJ-Z]\d{0,3}"  # 2024 AB12, (12345) 1999 XY1
    r"|\(\d{1,7}\)(?: \w[\w'. -]*)?"  # (433) Eros
    r"|\d{4} (?:P-L|T-[123])"
    r"|\d{0,4}[CPDXAI]/(?:-?\d{1,4} [A-Z]{1,2}\d.*|\w+.*)|\d{1,4}[PI](?:/.*)?"  # comets
    r"|[IJK]\d\d[A-HJ-Y][\dA-Za-z]\d[A-HJ-Z]"  # packed
)
_TRANSIENT_NAME = re.compile(r"(?:AT|SN|TDE)\s?\d{4}\w+", re.IGNORECASE)


def kind_of(type_name: str | None, default: str = KNOWN_TRANSIENT) -> str:
    """Return the kind of an object of this type; `default` where there is no type, or one that is not known."""
    words = (type_name or "").strip().lower()
    if words.startswith(ASTEROID_WORDS):
        return KNOWN_ASTEROID
    first = re.split(r"[\s:|+/(]", words)[0]
    if words.startswith(VARIABLE_WORDS) or first in _STAR_TYPES or (words.endswith("*") and first != "sn*"):
        return KNOWN_VARIABLE
    return KNOWN_TRANSIENT if words.startswith(TRANSIENT_WORDS) else default


def is_asteroid_name(name: str | None) -> bool:
    """Return whether a name is the designation of a minor planet or a comet."""
    return name is not None and _DESIGNATION.fullmatch(name.strip()) is not None


def is_transient_name(name: str | None) -> bool:
    """Return whether a name is that of a transient of the Transient Name Server."""
    return name is not None and _TRANSIENT_NAME.fullmatch(name.strip()) is not None

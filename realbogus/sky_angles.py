"""Sky coordinates as tables write them: decimal degrees, or sexagesimal text, one by one or both in one text."""

import re

_SEXAGESIMAL = re.compile(
    r"([-+−]?)\s*(\d{1,3})\s*([:hd°\s])\s*(\d{1,2}(?:\.\d*)?)\s*(?:[:m'′\s]\s*(\d{1,2}(?:\.\d*)?)?\s*[s\"″]?)?",
    re.IGNORECASE,
)
_SPLIT_AT_SIGN = re.compile(r"^(.+?)[\s,;/]*([+−-]\s*\d.*)$", re.DOTALL)
_FRAME = re.compile(r"\s*\(?\b(?:J2000(?:\.0)?|ICRS|FK5)\b\)?\s*$", re.IGNORECASE)


def read_degrees(text: str, *, hours: bool) -> float:
    """Return an angle in degrees.

    Sexagesimal text counts hours if `hours`, with ``h``, ``d`` or ``°`` in it what that says; decimal text degrees.

    Raises
    ------
    ValueError
        It is no angle.
    """
    plain = text.strip()
    try:
        return float(plain.replace("−", "-"))
    except ValueError:
        pass
    match = _SEXAGESIMAL.fullmatch(plain)
    if match is None:
        raise ValueError(f"{text!r} is not a coordinate: give decimal degrees or hh:mm:ss and dd:mm:ss")
    whole, minutes, seconds = float(match[2]), float(match[4]), float(match[5] or 0)
    hours = {"h": True, "d": False, "°": False}.get(match[3].lower(), hours)
    if minutes >= 60 or seconds > 60:
        raise ValueError(f"{text!r} is not a coordinate: minutes are below 60, seconds at most 60")
    size = whole + minutes / 60 + seconds / 3600
    return (-size if match[1] in ("-", "−") else size) * (15 if hours else 1)


def split_position(text: str) -> tuple[str, str]:
    """Split ``06 45 08.92 -16 42 58.0 (J2000)``, ``06:45:08.9, -16:42:58`` or ``101.29 -16.72`` into its two angles.

    Raises
    ------
    ValueError
        It does not hold two angles.
    """
    plain = _FRAME.sub("", text.strip())
    match = _SPLIT_AT_SIGN.match(plain)
    words = re.split(r"[\s,;/]+", plain)
    if match is not None:
        return match[1].rstrip(" ,;/"), match[2]
    if len(words) in (2, 6):
        half = len(words) // 2
        return " ".join(words[:half]), " ".join(words[half:])
    raise ValueError(f"{text!r} is not a position: give right ascension and declination")

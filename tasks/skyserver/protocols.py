"""The protocols of the simulated services: SkyServer's ImgCutout and the Legacy Surveys viewer.

Behaviour follows the services' source code, including silent clamping: a client must cope with their quirks.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.skyserver.images import OUTSIDE, CutoutSource, encode_jpeg, outside_picture

IMGCUTOUT_PATH = re.compile(r"/dr\d+/skyserverws/imgcutout/getjpeg/?", re.IGNORECASE)
VIEWER_PATHS = ("/viewer/cutout.jpg", "/viewer/jpeg-cutout")
SIZE_BOUNDS_PX = (64, 2048)
SCALE_BOUNDS = (0.015, 2400.0)
DEFAULT_SCALE, DEFAULT_SIZE_PX = 0.396127, 128
VIEWER_LAYERS = {"ls-dr8": 0.262, "ls-dr9": 0.262, "ls-dr10": 0.262, "sdss": 0.396}
VIEWER_SIZE_PX, VIEWER_MOST_PX = 256, 3000
_VIEWER_BLANK_GREY = 33


@dataclass(frozen=True)
class CutoutReply:
    """An HTTP response; `position` is the centre (ra, dec) in degrees, or None if the request has none."""

    status: int
    reason: str
    media_type: str
    body: bytes
    position: tuple[float, float] | None = None


def answer(path: str, query: Mapping[str, str], images: CutoutSource, black_outside: bool = False) -> CutoutReply:
    """Answer a request.

    Parameters
    ----------
    path : str
    query : mapping
        Parameters by lower-case name.
    images : CutoutSource
    black_outside : bool
        Outside the footprint, answer 200, as DR18 was observed to do, instead of 404.
    """
    if IMGCUTOUT_PATH.fullmatch(path):
        return _imgcutout(query, images, black_outside)
    if path in VIEWER_PATHS:
        return _viewer(query, images)
    return CutoutReply(404, "Not Found", "text/html", b"<html><body>404 Not Found</body></html>")


def unavailable() -> CutoutReply:
    """Return the response of an overloaded front end: 503 with a small HTML page."""
    body = b"<html><body><h1>503 Service Unavailable</h1>No server is available.</body></html>"
    return CutoutReply(503, "Service Unavailable", "text/html", body)


def black(position: tuple[float, float] | None) -> CutoutReply:
    """Return the image for positions outside the footprint, with status 200."""
    return CutoutReply(200, "OK", "image/jpeg", outside_picture(DEFAULT_SIZE_PX, DEFAULT_SIZE_PX), position)


def _imgcutout(query: Mapping[str, str], images: CutoutSource, black_outside: bool) -> CutoutReply:
    try:
        ra_deg, dec_deg = _angle(query, "ra", 15, 360.0), _angle(query, "dec", 1, 90.0)
        scale = _decimal(query.get("scale", str(DEFAULT_SCALE)), "scale")
        width, height = (_whole(query.get(name, str(DEFAULT_SIZE_PX)), name) for name in ("width", "height"))
    except ValueError as error:
        return _refusal(str(error))
    scale = min(max(scale, SCALE_BOUNDS[0]), SCALE_BOUNDS[1])
    width, height = (min(max(side, SIZE_BOUNDS_PX[0]), SIZE_BOUNDS_PX[1]) for side in (width, height))
    body = images.jpeg(ra_deg, dec_deg, scale, width, height)
    position = (ra_deg, dec_deg)
    if body is not None:
        return CutoutReply(200, "OK", "image/jpeg", body, position)
    status, reason = (200, "OK") if black_outside else (404, f"NOT FOUND. {OUTSIDE}")
    return CutoutReply(status, reason, "image/jpeg", outside_picture(width, height), position)


def _refusal(message: str) -> CutoutReply:
    body = {
        "ErrorCode": 400,
        "ErrorType": "Bad Request",
        "ErrorMessage": message,
        "LogMessageID": "00000000-0000-0000-0000-000000000000",
    }
    return CutoutReply(400, "Bad Request", "application/json", json.dumps(body).encode())


def _angle(query: Mapping[str, str], name: str, degrees_per_unit: int, limit: float) -> float:
    """Read an angle in decimal degrees or, if it contains a colon, in hours (ra) or degrees, minutes and seconds."""
    text = query.get(name, "").strip()
    if not text:
        raise ValueError(f"parameter {name} is missing")
    if ":" in text:
        parts = [_decimal(part, name) for part in text.lstrip("+-").split(":")]
        value = sum(part / 60**power for power, part in enumerate(parts)) * degrees_per_unit
        value = -value if text.startswith("-") else value
    else:
        value = _decimal(text, name)
    if abs(value) > limit or (name == "ra" and value < 0):
        raise ValueError(f"{name}={text} is out of range")
    return value


def _decimal(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name}={text} is not a number")
    return value


def _whole(text: str, name: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,9}", text.strip()):
        raise ValueError(f"{name}={text} is not a whole number")
    return int(text)


def _viewer(query: Mapping[str, str], images: CutoutSource) -> CutoutReply:
    """Answer as the Legacy viewer, which takes `pixscale`, silently limits sizes and never answers 404."""
    layer = query.get("layer", "ls-dr9")
    if layer not in VIEWER_LAYERS:
        return CutoutReply(200, "OK", "text/html", b"no such layer")
    try:
        ra_deg, dec_deg = _decimal(query["ra"], "ra"), _decimal(query["dec"], "dec")
    except (KeyError, ValueError):
        return CutoutReply(400, "Bad Request", "text/plain", b"Need ra,dec keywords")
    try:
        scale = _decimal(query.get("pixscale", str(VIEWER_LAYERS[layer])), "pixscale")
        size = query.get("size", str(VIEWER_SIZE_PX))
        width, height = (_whole(query.get(name, size), name) for name in ("width", "height"))
    except ValueError as error:
        return CutoutReply(400, "Bad Request", "text/plain", str(error).encode())
    width, height = (min(max(side, 1), VIEWER_MOST_PX) for side in (width, height))
    body = images.jpeg(ra_deg % 360, min(max(dec_deg, -90), 90), max(scale, SCALE_BOUNDS[0]), width, height)
    return CutoutReply(200, "OK", "image/jpeg", body or _viewer_blank(width, height), (ra_deg, dec_deg))


def _viewer_blank(width: int, height: int) -> bytes:
    return encode_jpeg(np.full((height, width, 3), _VIEWER_BLANK_GREY, np.uint8))

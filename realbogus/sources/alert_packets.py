"""Alert packets of ZTF and Rubin: the meaning of their fields, and their stamps, decoded within bounds.

ZTF's difference stamp of a candidate from the negative subtraction (``isdiffpos`` f) is reference minus new, so it is
negated and flagged (in 1,219 real packets the median correlation with new minus reference is +0.93 for t and -0.73 for
f). Rubin's is always new minus reference; ``isNegative`` only means that the flux is negative.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from realbogus.records import CORRUPT, NEGATED, NEGATED_FLAG, NEGATIVE_WORDS, NO_STAMP, night_of
from realbogus.stamps import centre_pixel, fit_size
from realbogus.written_times import to_mjd

PLANES = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
FIELDS: dict[bool, dict[str, tuple[str, ...]]] = {
    False: {
        **{"id": ("candid",), "group": ("objectId",), "ra": ("ra",), "dec": ("dec",), "time": ("jd",)},
        **{"detector": ("rcid",), "band": ("fid",), "sign": ("isdiffpos",)},
    },
    True: {
        **{"id": ("diaSourceId", "alertId"), "group": ("diaObjectId", "ssObjectId"), "ra": ("ra",)},
        **{"dec": ("dec", "decl"), "time": ("midpointMjdTai", "midPointTai"), "detector": ("detector",)},
        **{"band": ("band", "filterName")},
    },
}
"""By whether the packets are Rubin's: quantity to the fields that it is taken from, first choice first."""
ZTF_STAMP_PX = 63
ZTF_LONGITUDE_DEG, RUBIN_LONGITUDE_DEG = -116.86, -70.75
MOST_STAMP_BYTES = 16 << 20
MOST_STAMP_PX = 1024
_CARD, _FITS_BLOCK = 80, 2880
_FITS_DTYPES = {"8": "u1", "16": ">i2", "32": ">i4", "64": ">i8", "-32": ">f4", "-64": ">f8"}


class StampFaultError(ValueError):
    """A stamp's bytes are not a usable image; the message says why."""


class NoStampError(ValueError):
    """A packet lacks one of its stamps."""


class PacketError(ValueError):
    """A packet has no id."""


class ForeignPacketError(ValueError):
    """A packet, and so all with its schema, is of neither survey."""


@dataclass(frozen=True)
class Stamp:
    """A decoded image, shape (y, x) float32, and its FITS reference pixel, 0-based (x, y), None without one."""

    pixels: np.ndarray
    reference_pixel: tuple[float, float] | None


@dataclass(frozen=True)
class Candidate:
    """The candidate of a packet, without its stamps.

    Attributes
    ----------
    id, group : str
    ra_deg, dec_deg : float or None
    detector, night : str or None
    mjd : float or None
        Epoch as the packet has it: in UTC for ZTF, in TAI for Rubin.
    negated : bool
        The packet's difference is reference minus new.
    pixel : (x, y) or None
        0-based position in the frame, where the packet has it (ZTF).
    rubin : bool
    parameters : dict
        Numbers, strings and booleans of the candidate's record.
    """

    id: str
    group: str
    ra_deg: float | None
    dec_deg: float | None
    detector: str | None
    night: str | None
    mjd: float | None
    negated: bool
    pixel: tuple[float, float] | None
    rubin: bool
    parameters: dict[str, Any] = field(repr=False)


def read_candidate(packet: Mapping[str, Any]) -> Candidate:
    """Read a packet's candidate, without its stamps.

    Raises
    ------
    PacketError
        It has no id or no record of its candidate.
    ForeignPacketError
        It has neither ``candidate`` nor ``diaSource``.
    """
    if isinstance(packet.get("diaSource"), dict):
        return _read_rubin(packet, packet["diaSource"])
    if isinstance(packet.get("candidate"), dict):
        return _read_ztf(packet, packet["candidate"])
    if packet.keys().isdisjoint(("candidate", "diaSource")):
        raise ForeignPacketError(
            f"a packet has neither candidate (ZTF) nor diaSource (Rubin); its fields are {sorted(packet)}"
        )
    raise PacketError("a packet's candidate (ZTF) or diaSource (Rubin) is no record")


def _read_ztf(packet: Mapping[str, Any], record: dict[str, Any]) -> Candidate:
    if packet.get("candid") is None:
        raise PacketError("a packet has no candid")
    candid, fields = str(packet["candid"]), FIELDS[False]
    negated = str(record.get("isdiffpos")).lower() in NEGATIVE_WORDS
    parameters = _scalars(record) | {"survey": "ztf", "objectId": packet.get("objectId")}
    x, y, mjd = _number(record, "xpos"), _number(record, "ypos"), _epoch(record, *fields["time"])
    return Candidate(
        id=candid,
        group=str(packet.get("objectId") or candid),
        ra_deg=_number(record, *fields["ra"]),
        dec_deg=_number(record, *fields["dec"]),
        detector=_text(record, *fields["detector"]),
        night=None if mjd is None else night_of(mjd, ZTF_LONGITUDE_DEG),
        mjd=mjd,
        negated=negated,
        pixel=None if x is None or y is None else (x - 1, y - 1),
        rubin=False,
        parameters=parameters | ({NEGATED_FLAG: NEGATED} if negated else {}),
    )


def _read_rubin(packet: Mapping[str, Any], record: dict[str, Any]) -> Candidate:
    source_id = record.get("diaSourceId") or packet.get("diaSourceId") or packet.get("alertId")
    if not source_id:
        raise PacketError("a packet's diaSource has no diaSourceId")
    fields = FIELDS[True]
    mjd = _epoch(record, *fields["time"])
    fixed, moving = record.get("diaObjectId"), record.get("ssObjectId")
    return Candidate(
        id=str(source_id),
        group=str(fixed) if fixed else f"ss{moving}" if moving else str(source_id),
        ra_deg=_number(record, *fields["ra"]),
        dec_deg=_number(record, *fields["dec"]),
        detector=_text(record, *fields["detector"]),
        night=None if mjd is None else night_of(mjd, RUBIN_LONGITUDE_DEG),
        mjd=mjd,
        negated=False,
        pixel=None,
        rubin=True,
        parameters=_scalars(record) | {"survey": "rubin"},
    )


def _scalars(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if isinstance(value, (bool, int, float, str, type(None)))}


def _number(record: Mapping[str, Any], *names: str) -> float | None:
    value = next((record[name] for name in names if isinstance(record.get(name), (int, float))), None)
    return None if value is None or not math.isfinite(value) else float(value)


def _epoch(record: Mapping[str, Any], *names: str) -> float | None:
    """Return the MJD of a field of JD or MJD; None where its value stands for none, or is no epoch."""
    value = _number(record, *names)
    return None if value is None else to_mjd(value)


def _text(record: Mapping[str, Any], name: str) -> str | None:
    return None if record.get(name) is None else str(record[name])


def read_triplet(
    packet: Mapping[str, Any], candidate: Candidate, stamp_px: int
) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Decode a packet's three stamps.

    Stamps are centred on their centre pixel; the candidate's position in Rubin's header takes precedence. A ZTF stamp
    smaller than 63 pixels was cut off by the frame's edge: the candidate's pixel in the frame determines at which edge,
    and the missing pixels count as beyond the frame.

    Returns
    -------
    triplet : ndarray of shape (stamp_px, stamp_px, 3) float32
        New, reference, new minus reference; NaN where there is no data, and everywhere if there is a fault.
    outside : ndarray of bool, shape (stamp_px, stamp_px)
        Pixels known to lie beyond the frame.
    fault : str or None
        ``no_stamp`` if a stamp is missing; ``corrupt`` if one cannot be decoded, or the three differ in size.
    """
    try:
        stamps = _decode_stamps(packet)
    except NoStampError:
        return blank_triplet(stamp_px, NO_STAMP)
    except StampFaultError:
        return blank_triplet(stamp_px, CORRUPT)
    planes = np.stack([stamp.pixels for stamp in stamps], axis=-1)
    centre = _candidate_place(candidate, stamps[0])
    triplet = fit_size(planes[None], stamp_px, centre)[0]
    if candidate.negated:
        triplet[..., 2] *= -1
    outside = np.zeros((stamp_px, stamp_px), bool)
    if not candidate.rubin and min(planes.shape[:2]) < ZTF_STAMP_PX:
        covered = np.ones((1, *planes.shape[:2], 1), np.float32)
        outside = np.isnan(fit_size(covered, stamp_px, centre)[0, ..., 0])
    return triplet, outside, None


def _decode_stamps(packet: Mapping[str, Any]) -> list[Stamp]:
    """Decode the stamps of `PLANES`, all of one shape; raises NoStampError or StampFaultError."""
    bodies = {name: _stamp_bytes(name, packet.get(name)) for name in PLANES}
    stamps = []
    for name, body in bodies.items():
        try:
            stamps.append(decode_stamp(body))
        except StampFaultError as error:
            raise StampFaultError(f"{name}: {error}") from error
    if len({stamp.pixels.shape for stamp in stamps}) != 1:
        raise StampFaultError(f"its stamps differ in size: {', '.join(str(stamp.pixels.shape) for stamp in stamps)}")
    return stamps


def explain_fault(packet: Mapping[str, Any]) -> str:
    """Return what is wrong with a packet's stamps where `read_triplet` finds a fault; empty without one."""
    try:
        _decode_stamps(packet)
    except (NoStampError, StampFaultError) as error:
        return str(error)
    return ""


def blank_triplet(stamp_px: int, fault: str) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Return the result of `read_triplet` for stamps that cannot be had: triplet, shape (stamp_px, stamp_px, 3), of
    NaN, no pixel outside, the fault."""
    triplet = np.full((stamp_px, stamp_px, 3), np.nan, np.float32)
    return triplet, np.zeros((stamp_px, stamp_px), bool), fault


def _stamp_bytes(name: str, value: Any) -> bytes:
    body = value.get("stampData") if isinstance(value, dict) else value
    if body is None or body == b"":
        raise NoStampError(f"it has no {name}")
    if not isinstance(body, bytes):
        raise StampFaultError(f"{name}: it is of type {type(body).__name__}")
    return body


def _candidate_place(candidate: Candidate, stamp: Stamp) -> tuple[int, int]:
    """Return the candidate's pixel (row, column) in its stamp."""
    height, width = stamp.pixels.shape
    middle = centre_pixel(height), centre_pixel(width)
    if candidate.rubin and stamp.reference_pixel is not None:
        x, y = (math.floor(place + 0.5) for place in stamp.reference_pixel)
        return (y, x) if 0 <= x < width and 0 <= y < height else middle
    if candidate.rubin or candidate.pixel is None:
        return middle
    column, row = (math.floor(place + 0.5) for place in candidate.pixel)
    return _place_in_cut(height, row), _place_in_cut(width, column)


def _place_in_cut(width_px: int, frame_pixel: int) -> int:
    """Return the candidate's pixel along one axis of a ZTF stamp.

    It is the candidate's pixel in the frame if the frame's first pixel cut off the stamp, else the pixel that is as far
    from the stamp's first as in a complete stamp.
    """
    half = centre_pixel(ZTF_STAMP_PX)
    is_cut_at_start = width_px < ZTF_STAMP_PX and frame_pixel < half
    if is_cut_at_start:
        return min(max(frame_pixel, 0), width_px - 1)
    return centre_pixel(width_px) if width_px >= ZTF_STAMP_PX else min(half, width_px - 1)


def decode_stamp(body: bytes) -> Stamp:
    """Decode a FITS image, gzipped or plain, from its first header.

    Not by astropy, which takes ten times as long for so small a file.

    Raises
    ------
    StampFaultError
        It is not such an image, is wider or higher than `MOST_STAMP_PX`, larger than `MOST_STAMP_BYTES`, or truncated.
    """
    plain = _gunzip(body) if body.startswith(b"\x1f\x8b") else body
    cards, start = _read_cards(plain)
    if cards.get("NAXIS") != "2" or cards.get("BITPIX") not in _FITS_DTYPES:
        raise StampFaultError(f"NAXIS {cards.get('NAXIS')} and BITPIX {cards.get('BITPIX')} are not an image")
    width, height = (_whole(cards.get(name)) for name in ("NAXIS1", "NAXIS2"))
    if not (1 <= width <= MOST_STAMP_PX and 1 <= height <= MOST_STAMP_PX):
        raise StampFaultError(f"it declares {width} x {height} pixels, the most is {MOST_STAMP_PX} a side")
    dtype = np.dtype(_FITS_DTYPES[cards["BITPIX"]])
    if len(plain) < start + width * height * dtype.itemsize:
        raise StampFaultError("its pixels end too early")
    stored = np.frombuffer(plain, dtype, width * height, start).reshape(height, width)
    return Stamp(_physical(stored, cards), _reference_pixel(cards))


def _gunzip(body: bytes) -> bytes:
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(body, MOST_STAMP_BYTES)
    except zlib.error as error:
        raise StampFaultError(f"its gzip is broken: {error}") from error
    if inflater.unconsumed_tail:
        raise StampFaultError(f"it unpacks to more than {MOST_STAMP_BYTES} bytes")
    if not inflater.eof:
        raise StampFaultError("its gzip ends too early")
    return plain


def _read_cards(plain: bytes) -> tuple[dict[str, str], int]:
    """Return the first header's values as text and the offset of its data."""
    cards: dict[str, str] = {}
    if not plain.startswith(b"SIMPLE  ="):
        raise StampFaultError("it does not start as a FITS file does")
    for offset in range(0, len(plain) - _CARD + 1, _CARD):
        card = plain[offset : offset + _CARD].decode("ascii", "replace")
        if card[:8].rstrip() == "END":
            return cards, -(-(offset + _CARD) // _FITS_BLOCK) * _FITS_BLOCK
        if card[8:10] == "= ":
            cards.setdefault(card[:8].rstrip(), card[10:].partition("/")[0].strip())
    raise StampFaultError("its header has no end")


def _physical(stored: np.ndarray, cards: dict[str, str]) -> np.ndarray:
    """Return values as float32, scaled by BSCALE and BZERO; blank values are NaN."""
    values = stored.astype(np.float64)
    if stored.dtype.kind != "f" and "BLANK" in cards:
        values[stored == _whole(cards["BLANK"])] = np.nan
    scale, zero = _real(cards.get("BSCALE"), 1.0), _real(cards.get("BZERO"), 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        return (values * scale + zero).astype(np.float32)


def _reference_pixel(cards: dict[str, str]) -> tuple[float, float] | None:
    if "CRPIX1" not in cards or "CRPIX2" not in cards:
        return None
    x, y = _real(cards["CRPIX1"], math.nan), _real(cards["CRPIX2"], math.nan)
    return (x - 1, y - 1) if math.isfinite(x) and math.isfinite(y) else None


def _whole(text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise StampFaultError(f"its header has {text!r} where a whole number must be") from None


def _real(text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        return float(text.replace("D", "E"))
    except ValueError:
        raise StampFaultError(f"its header has {text!r} where a number must be") from None

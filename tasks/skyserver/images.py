"""Sources of the simulated service's images: rendered from the synthetic sky, or files found by position.

Positions are in degrees, scales in arcsec per pixel; images are JPEG bytes.
"""

import csv
import io
import os
import threading
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from galaxy.catalogue.positions import chord, unit_vectors

if TYPE_CHECKING:  # GalSim is imported with the first image
    from galaxy.simulation.camera import SkyCamera

MATCH_ARCSEC = 2.0
JPEG_QUALITY = 90
MARK = b"simulated by starloom"
OUTSIDE = "Requested (ra, dec) is outside the SDSS footprint."
_CACHED_IMAGES = 2048
_POSITION_COLUMNS = ("file", "ra_deg", "dec_deg")


class CutoutSource(Protocol):
    """A source of cutouts."""

    def jpeg(self, ra_deg: float, dec_deg: float, scale: float, width: int, height: int) -> bytes | None:
        """Return the cutout as JPEG; None outside the source's footprint."""
        ...

    def prepare(self) -> None:
        """Do the work that would delay the first image."""
        ...


class RenderedSky:
    """Renders cutouts of the synthetic sky on demand and caches the latest.

    Parameters
    ----------
    count, seed : int
        Number of galaxies and seed of the synthetic sky.
    quality : int
        JPEG quality, 1 to 95.
    """

    def __init__(self, count: int, seed: int, quality: int = JPEG_QUALITY) -> None:
        self._count, self._seed, self._quality = count, seed, quality
        self._lock = threading.Lock()
        # NumPy and the FFT release the interpreter lock; more threads than cores gain nothing.
        self._rendering = threading.Semaphore(os.cpu_count() or 1)
        self.jpeg = lru_cache(_CACHED_IMAGES)(self._render)

    def prepare(self) -> None:
        """Draw the catalogue and import the renderer."""
        with self._lock:
            self._camera  # noqa: B018 (fills the cached property)

    @cached_property
    def _camera(self) -> "SkyCamera":
        from galaxy.simulation.camera import SkyCamera

        return SkyCamera(self._count, self._seed)

    def _render(self, ra_deg: float, dec_deg: float, scale: float, width: int, height: int) -> bytes | None:
        self.prepare()
        with self._rendering:
            picture = self._camera.picture(ra_deg, dec_deg, scale, width, height)
        return None if picture is None else encode_jpeg(picture, self._quality)


class ReplayedFiles:
    """Returns the file nearest to a position, whatever size is requested.

    Parameters
    ----------
    folder : Path
    positions : Path
        CSV with the columns ``file, ra_deg, dec_deg``.
    """

    def __init__(self, folder: Path, positions: Path) -> None:
        with positions.open(newline="") as lines:
            reader = csv.DictReader(lines)
            missing = [name for name in _POSITION_COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"{positions} has no column {missing[0]!r}; it needs {', '.join(_POSITION_COLUMNS)}")
            rows = list(reader)
        self._files = [_checked_file(folder, row["file"], positions) for row in rows]
        ra_deg, dec_deg = (
            np.array([_number(row[name], name, positions) for row in rows]) for name in _POSITION_COLUMNS[1:]
        )
        self._tree = cKDTree(unit_vectors(ra_deg, dec_deg))

    def prepare(self) -> None:
        """Do nothing: files need no preparation."""

    def jpeg(self, ra_deg: float, dec_deg: float, scale: float, width: int, height: int) -> bytes | None:
        """Return the bytes of the file nearest to the position and within `MATCH_ARCSEC`; None if there is none."""
        direction = unit_vectors(np.array(ra_deg), np.array(dec_deg))
        distance, nearest = self._tree.query(direction, distance_upper_bound=chord(MATCH_ARCSEC))
        return self._files[nearest].read_bytes() if np.isfinite(distance) else None


def encode_jpeg(picture: np.ndarray, quality: int = JPEG_QUALITY) -> bytes:
    """Encode a simulated image, (height, width, 3) uint8, as JPEG with the comment `MARK`."""
    body = io.BytesIO()
    Image.fromarray(picture).save(body, "JPEG", quality=quality, comment=MARK)
    return body.getvalue()


@lru_cache(maxsize=16)
def outside_picture(width: int, height: int) -> bytes:
    """Return the black image with a sentence that the real service sends where it has no data."""
    canvas = Image.new("RGB", (width, height))
    ImageDraw.Draw(canvas).text((4, height // 2), OUTSIDE, fill=(255, 255, 255))
    return encode_jpeg(np.asarray(canvas))


def _checked_file(folder: Path, name: str, positions: Path) -> Path:
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise ValueError(f"{positions} names {name!r}, which is not a file in {folder}")
    return path


def _number(text: str, column: str, positions: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ValueError(f"{positions} has {text!r} in column {column!r}, which is not a number of degrees")
    return value

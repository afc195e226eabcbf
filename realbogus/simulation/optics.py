"""The point spread function of a simulated frame, varying over the chip: seeing, optics and the pixel.

It is defined as the biquadratic interpolation of GalSim profiles at nine nodes of the chip. Frames are drawn from
their Fourier transforms; `PsfField.profile_at` returns the same sum as a GalSim object.
"""

from dataclasses import dataclass
from functools import cached_property

import galsim
import numpy as np
from scipy import fft

TABLE_PX = 256
_NODES = (-1.0, 0.0, 1.0)
_MOFFAT_BETA = 3.5
_COMA_SHARE = 0.18
_FOLD_ABOVE = 2e-4  # transfer at the pixel's Nyquist frequency above which aliases are included


@dataclass(frozen=True)
class Optics:
    """Aberrations of one detector's optics; (s, t) run from -1 to 1 over the chip's width and height.

    Attributes
    ----------
    blur_arcsec : float
        FWHM of the aberrations in focus.
    tilt_arcsec : (s, t)
        Defocus per unit of s and t, as FWHM.
    shear, shear_slope_s, shear_slope_t : (g1, g2)
        Reduced shear as in GalSim, at the centre and per unit of s and t.
    coma_arcsec : (east, north)
        Displacement of the comatic component.
    """

    blur_arcsec: float
    tilt_arcsec: tuple[float, float]
    shear: tuple[float, float]
    shear_slope_s: tuple[float, float]
    shear_slope_t: tuple[float, float]
    coma_arcsec: tuple[float, float]

    def profile(self, s: float, t: float, focus_arcsec: float) -> galsim.GSObject:
        """Return the point spread function of the optics alone at (s, t), of flux 1, in arcsec."""
        defocus = focus_arcsec + self.tilt_arcsec[0] * s + self.tilt_arcsec[1] * t
        core = galsim.Moffat(beta=_MOFFAT_BETA, fwhm=float(np.hypot(self.blur_arcsec, defocus)))
        g1, g2 = (
            float(np.clip(self.shear[i] + self.shear_slope_s[i] * s + self.shear_slope_t[i] * t, -0.3, 0.3))
            for i in (0, 1)
        )
        core = core.shear(g1=g1, g2=g2)
        east, north = self.coma_arcsec
        profile = (1 - _COMA_SHARE) * core + _COMA_SHARE * core.shift(east, north)
        # Astrometry is tied to the centroids of stars, so the centroid is the position.
        return profile.shift(-_COMA_SHARE * east, -_COMA_SHARE * north)


def draw_optics(rng: np.random.Generator, place_deg: tuple[float, float], diversity: float) -> Optics:
    """Draw a detector's optics: aberrations that grow off axis, plus a random part for each chip.

    Parameters
    ----------
    rng : numpy.random.Generator
    place_deg : (east, north)
        The chip's centre in the focal plane.
    diversity : float
        Scale of the random part.
    """
    radius, angle = float(np.hypot(*place_deg)), float(np.arctan2(place_deg[1], -place_deg[0]))
    off_axis = (radius / 4.5) ** 2
    astigmatism = 0.12 * off_axis * np.array([np.cos(2 * angle), np.sin(2 * angle)])
    shear = astigmatism + diversity * rng.normal(0, 0.03, 2)
    slopes = diversity * rng.normal(0, 0.03, (2, 2)) + 0.02
    coma = 1.4 * off_axis * np.array([np.cos(angle), np.sin(angle)]) + diversity * rng.normal(0, 0.2, 2)
    blur = (1.1 + 0.8 * off_axis) * np.exp(diversity * rng.normal(0, 0.15))
    tilt = np.array([0.35, 0.2]) + diversity * rng.normal(0, 0.4, 2)
    return Optics(
        blur_arcsec=float(blur),
        tilt_arcsec=(float(tilt[0]), float(tilt[1])),
        shear=(float(shear[0]), float(shear[1])),
        shear_slope_s=(float(slopes[0, 0]), float(slopes[0, 1])),
        shear_slope_t=(float(slopes[1, 0]), float(slopes[1, 1])),
        coma_arcsec=(float(coma[0]), float(coma[1])),
    )


@dataclass(frozen=True)
class PsfField:
    """The point spread function of one frame over its chip, of flux 1.

    Attributes
    ----------
    optics : Optics
    seeing_arcsec, focus_arcsec : float
        FWHM of the atmosphere's Kolmogorov profile; the visit's defocus.
    shear : (g1, g2)
        Reduced shear of the visit by wind and tracking, constant over the chip.
    pixel_arcsec : float
    shape : (height, width)
    """

    optics: Optics
    seeing_arcsec: float
    focus_arcsec: float
    shear: tuple[float, float]
    pixel_arcsec: float
    shape: tuple[int, int]

    def weigh_nodes(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the weights of the nine nodes at positions x and y (n,), pixels, as (n, 9) float32; rows sum to 1."""
        height, width = self.shape
        along = _lagrange(2 * np.asarray(x) / (width - 1) - 1)
        up = _lagrange(2 * np.asarray(y) / (height - 1) - 1)
        return (up[:, :, None] * along[:, None, :]).reshape(-1, 9).astype(np.float32)

    @cached_property
    def profiles(self) -> tuple[galsim.GSObject, ...]:
        """GalSim objects of the nine nodes in units of pixels, not convolved with the pixel."""
        seeing = galsim.Kolmogorov(fwhm=self.seeing_arcsec).shear(g1=self.shear[0], g2=self.shear[1])
        nodes = [self.optics.profile(s, t, self.focus_arcsec) for t in _NODES for s in _NODES]
        return tuple(galsim.Convolve(seeing, node).dilate(1 / self.pixel_arcsec) for node in nodes)

    def profile_at(self, x: float, y: float) -> galsim.GSObject:
        """Return the GalSim object at one position, not convolved with the pixel; `drawImage` does that."""
        weights = self.weigh_nodes(np.array([x]), np.array([y]))[0]
        return galsim.Sum([float(weight) * node for weight, node in zip(weights, self.profiles, strict=True)])

    @cached_property
    def tables(self) -> tuple[tuple[tuple[int, int], np.ndarray], ...]:
        """Fourier transforms of the nodes, pixel included: an alias (x, y) and complex64 of shape (9, 256, 129) each.

        The order is that of `rfft2` on 256 x 256 pixels. Alias (0, 0) is the transform itself; the others are the
        frequencies beyond the pixel's Nyquist limit that fold back, present in sharp seeing only.
        """
        pixel = galsim.Pixel(1.0)
        waves = [_tabulate(galsim.Convolve(profile, pixel)) for profile in self.profiles]
        aliases = [(0, 0)]
        half = TABLE_PX // 2
        centre = waves[4]
        if max(abs(centre[TABLE_PX, half]), abs(centre[TABLE_PX - half, 0])) > _FOLD_ABOVE:
            aliases += [(1, 0), (0, 1), (1, 1)]
        return tuple((alias, np.stack([_fold(wave, alias) for wave in waves])) for alias in aliases)

    def measure_wings(self, radii_px: tuple[int, ...]) -> np.ndarray:
        """Return the light of a source of flux 1 in one pixel at each distance, (n,), at the chip's centre."""
        image = fft.irfft2(sum(table[4] for _, table in self.tables), s=(TABLE_PX, TABLE_PX))
        return np.array([np.mean([abs(image[0, r]), abs(image[r, 0])]) for r in radii_px])


def _lagrange(position: np.ndarray) -> np.ndarray:
    """Return the quadratic weights of nodes -1, 0, 1 at positions (n,), as (n, 3); constant beyond the edges."""
    s = np.clip(position, -1, 1)
    return np.stack([s * (s - 1) / 2, 1 - s**2, s * (s + 1) / 2], axis=-1)


def _tabulate(profile: galsim.GSObject) -> np.ndarray:
    """Return the transform on frequencies from -1 to 1 (y) and 0 to 1 (x) cycles per pixel, (513, 257) complex64."""
    image = galsim.ImageCF(galsim.BoundsI(0, TABLE_PX, -TABLE_PX, TABLE_PX), scale=2 * np.pi / TABLE_PX)
    profile.drawKImage(image=image, recenter=False)
    return image.array


def _fold(wave: np.ndarray, alias: tuple[int, int]) -> np.ndarray:
    """Return an alias of a transform (513, 257) in the order of `rfft2`, (256, 129).

    The alias of a frequency k is at k - 1 in x, and in y at k - 1 or k + 1, whichever has the opposite sign. Negative
    x frequencies are the conjugate of their mirror image.
    """
    half = TABLE_PX // 2
    along = np.arange(half + 1)
    up = np.fft.fftfreq(TABLE_PX, 1 / TABLE_PX).astype(int)
    if alias[1]:
        up = np.where(up >= 0, up - TABLE_PX, up + TABLE_PX)
    if not alias[0]:
        return wave[up[:, None] + TABLE_PX, along[None, :]]
    return np.conj(wave[TABLE_PX - up[:, None], TABLE_PX - along[None, :]])

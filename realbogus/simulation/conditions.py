"""Observing conditions of a visit: seeing, sky, transparency, temperature, pointing, and the error of registration."""

from dataclasses import dataclass

import numpy as np

from realbogus.simulation.survey_settings import SurveySettings

_FOCUS_ARCSEC = (0.5, 0.3)
_REFRACTION_PX = 0.02
# Without a filter the extinction of a blue and a red star differs by about 0.1 mag per airmass; this is the difference
# per standard deviation of colour for airmasses a few tenths apart.
_EXTINCTION_MAG = 0.008
_LEAST_SEEING, _MOST_SEEING = 0.6, 2.4  # in units of the survey's median
_FINE_PX = (250.0, 900.0)


@dataclass(frozen=True)
class Warp:
    """A smooth displacement over the chip: a polynomial of second degree and a few plane waves along each axis.

    Attributes
    ----------
    shape : (height, width)
    coefficients : (2, 6)
        For x and y, of 1, s, t, s^2, st, t^2 with s and t from -1 to 1; pixels.
    waves : (2, n, 4)
        For x and y: amplitude (pixels), frequency along x and y (radians per pixel), phase.
    """

    shape: tuple[int, int]
    coefficients: np.ndarray
    waves: np.ndarray

    def displace(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the displacement in x and y at positions x and y, all (n,) pixels."""
        height, width = self.shape
        s, t = 2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1
        powers = np.stack([np.ones_like(s), s, t, s**2, s * t, t**2])
        smooth = self.coefficients @ powers
        fine = [
            sum((a * np.cos(kx * x + ky * y + phase) for a, kx, ky, phase in waves), np.zeros_like(s))
            for waves in self.waves
        ]
        return smooth[0] + fine[0], smooth[1] + fine[1]


@dataclass(frozen=True)
class Conditions:
    """Conditions of one stack of exposures.

    Attributes
    ----------
    seeing_arcsec, focus_arcsec : float
        FWHM of the atmosphere; the telescope's defocus, as FWHM.
    shear : (g1, g2)
        Of the point spread function, by wind and tracking.
    transparency : float
        0 to 1.
    sky_e_per_s : float
        Sky on axis, electrons per second and pixel.
    gradient : (5,)
        Coefficients of the relative sky level: s, t, s^2, st, t^2.
    temperature_k, dark_temperature_k : float
        Of the exposures and of the dark frame subtracted from them.
    refraction_px : (x, y)
        Displacement of a star whose colour is one standard deviation from the mean.
    extinction_mag : float
        Additional extinction of such a star relative to the reference.
    shift_px : (x, y)
        Pointing: position in this frame minus position in the field.
    warp : Warp
        Error of the astrometry.
    """

    seeing_arcsec: float
    focus_arcsec: float
    shear: tuple[float, float]
    transparency: float
    sky_e_per_s: float
    gradient: np.ndarray
    temperature_k: float
    dark_temperature_k: float
    refraction_px: tuple[float, float]
    extinction_mag: float
    shift_px: tuple[float, float]
    warp: Warp


def draw_conditions(settings: SurveySettings, night_rng: np.random.Generator, rng: np.random.Generator) -> Conditions:
    """Draw a visit's conditions.

    Parameters
    ----------
    settings : SurveySettings
    night_rng, rng : numpy.random.Generator
        The night's, equal for all its visits, and the visit's own.
    """
    seeing = night_rng.lognormal(0, 0.16) * rng.lognormal(0, 0.07)
    sky = night_rng.lognormal(0, 0.15) * rng.lognormal(0, 0.04)
    temperature = 293 + night_rng.normal(0, 4)
    transparency = float(np.clip(1 - night_rng.exponential(0.03) - rng.exponential(0.04), 0.4, 1))
    return Conditions(
        seeing_arcsec=settings.seeing_fwhm_arcsec * float(np.clip(seeing, _LEAST_SEEING, _MOST_SEEING)),
        focus_arcsec=float(rng.normal(*_FOCUS_ARCSEC)),
        shear=_draw_pair(rng, 0.02),
        transparency=transparency,
        sky_e_per_s=float(settings.sky_e_per_s_px * sky),
        gradient=rng.normal(0, [0.015, 0.015, 0.004, 0.004, 0.004]),
        temperature_k=float(temperature),
        dark_temperature_k=float(temperature + rng.normal(0, 1.0)),
        refraction_px=_draw_pair(rng, _REFRACTION_PX),
        extinction_mag=float(rng.normal(0, _EXTINCTION_MAG)),
        shift_px=_draw_dither(settings, rng),
        warp=_draw_warp(settings, rng),
    )


def draw_reference_conditions(settings: SurveySettings, rng: np.random.Generator) -> Conditions:
    """Draw the conditions of a reference; it defines the field's grid, so it is neither shifted nor warped."""
    seeing = settings.reference_seeing_ratio * float(np.clip(rng.lognormal(0, 0.08), 0.8, 1.25))
    return Conditions(
        seeing_arcsec=settings.seeing_fwhm_arcsec * seeing,
        focus_arcsec=float(rng.normal(*_FOCUS_ARCSEC)),
        shear=_draw_pair(rng, 0.01),
        transparency=0.95,
        sky_e_per_s=float(settings.sky_e_per_s_px * rng.lognormal(0, 0.08)),
        gradient=rng.normal(0, [0.008, 0.008, 0.002, 0.002, 0.002]),
        temperature_k=293.0,
        dark_temperature_k=293.0,
        refraction_px=(0.0, 0.0),
        extinction_mag=0.0,
        shift_px=(0.0, 0.0),
        warp=Warp(settings.shape, np.zeros((2, 6)), np.zeros((2, 0, 4))),
    )


def _draw_pair(rng: np.random.Generator, scatter: float) -> tuple[float, float]:
    first, second = rng.normal(0, scatter, 2)
    return float(first), float(second)


def _draw_dither(settings: SurveySettings, rng: np.random.Generator) -> tuple[float, float]:
    """Draw a pointing offset: whole pixels, at most a tenth of the chip, plus a fraction of at most half a pixel."""
    scatter = settings.dither_px * (8 if rng.random() < 1 / 30 else 1)
    most = 0.1 * min(settings.shape)
    whole = np.clip(np.rint(rng.normal(0, scatter, 2)), -most, most)
    x, y = whole + rng.uniform(-0.5, 0.5, 2)
    return float(x), float(y)


def _draw_warp(settings: SurveySettings, rng: np.random.Generator) -> Warp:
    """Draw the registration error; its RMS length over the chip is `registration_rms_px`."""
    coefficients = rng.normal(0, 1, (2, 6)) * [0.7, 0.6, 0.6, 0.5, 0.5, 0.5]
    waves = np.empty((2, 6, 4))
    length = np.exp(rng.uniform(np.log(_FINE_PX[0]), np.log(_FINE_PX[1]), (2, 6)))
    angle = rng.uniform(0, 2 * np.pi, (2, 6))
    waves[..., 0] = rng.normal(0, 1, (2, 6))
    waves[..., 1], waves[..., 2] = 2 * np.pi / length * np.cos(angle), 2 * np.pi / length * np.sin(angle)
    waves[..., 3] = rng.uniform(0, 2 * np.pi, (2, 6))
    fine = settings.registration_rms_px * settings.registration_fine_share
    coarse = np.sqrt(settings.registration_rms_px**2 - fine**2)
    empty = np.zeros((2, 0, 4))
    smooth = Warp(settings.shape, coefficients, empty)
    rough = Warp(settings.shape, np.zeros((2, 6)), waves)
    waves[..., 0] *= fine / _measure_rms(rough)
    return Warp(settings.shape, coefficients * (coarse / _measure_rms(smooth)), waves)


def _measure_rms(warp: Warp) -> float:
    """Return the RMS length of a displacement on a grid over the chip, pixels."""
    height, width = warp.shape
    y, x = np.meshgrid(np.linspace(0, height - 1, 12), np.linspace(0, width - 1, 20), indexing="ij")
    dx, dy = warp.displace(x.ravel(), y.ravel())
    return float(np.sqrt(np.mean(dx**2 + dy**2)))

"""Injection of artificial transients into a survey frame: positions, fluxes, and drawing them into its pixels.

Some are injected into catalogued galaxies, drawn in proportion to the galaxies' flux and placed by their light profile;
the others are uniform over the pixels that have data. A share of all can be moved onto stars and nuclei, which they
brighten. Each is drawn with one realisation of the frame's measured PSF,
with the photon noise of its own light, clipped at saturation and digitised again, so that neither its values nor its
noise differ from those of a source that was on the sky. Fluxes do not depend on whether an injection is detectable.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from realbogus.frames import Frame, Mask
from realbogus.injection.variability import draw_variable_sources, find_variable_sources
from realbogus.psf.measure import PsfModel, Stars
from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION, VARIABLE_INJECTION


class InjectionError(ValueError):
    """No transient can be injected into a frame."""


SCALE_LENGTHS_A_RADIUS = 1.678  # half-light radius of an exponential disc, in scale lengths


class InjectionSettings(BaseModel):
    """How many transients are injected, where, and how bright."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_visit: int = Field(default=20, ge=0, le=10_000)
    """Number of injections per chip and visit."""
    galaxy_fraction: float = Field(default=0.5, ge=0, le=1)
    """Fraction of the injections off variable sources that are placed in a catalogued galaxy."""
    variable_fraction: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the injections that brighten a star or the nucleus of a catalogued galaxy."""
    repeats: int = Field(default=1, ge=1, le=100)
    """How often `per_visit` transients are injected into the same frame, each time others and alone."""
    rounds: int = Field(default=1, ge=1, le=100)
    """How often at most transients are injected into the same frame, until `galaxy_fraction` is met among the stored
    ones too; 1: it is the fraction of the requested ones."""
    brightest_host_mag: float = 16.0
    """Brighter galaxies are drawn as often as one of this magnitude, else they would host one in every visit."""
    brightest_snr: float = Field(default=300.0, gt=0)
    """S/N of the brightest, with the sky's noise alone: as bright as real transients, since a classifier takes sources
    brighter than its training set for artefacts."""
    faintest_snr: float = Field(default=3.0, gt=0)
    """S/N of the faintest; below the detection threshold, so that the loss is measured."""
    slope_per_mag: float = Field(default=0.25, ge=0, le=1)
    """Slope of log10 of the number per magnitude; 0 is uniform in magnitude, 0.6 Euclidean."""

    @model_validator(mode="after")
    def _faintest_below_brightest(self) -> Self:
        if self.faintest_snr >= self.brightest_snr:
            raise ValueError(f"faintest_snr={self.faintest_snr} is not below brightest_snr={self.brightest_snr}")
        return self


@dataclass(frozen=True)
class Hosts:
    """Galaxies that can host injections; all arrays are (n,).

    Attributes
    ----------
    x, y : ndarray, pixels
    flux : ndarray
        Any unit; hosts are drawn in proportion to it, up to `InjectionSettings.brightest_host_mag`.
    radius_arcsec : ndarray
        Effective radius along the major axis.
    axis_ratio : ndarray
    angle_rad : ndarray
        Of the major axis, from x to y.
    mag : ndarray
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    radius_arcsec: np.ndarray
    axis_ratio: np.ndarray
    angle_rad: np.ndarray
    mag: np.ndarray

    def inside(self, frame: Frame) -> "Hosts":
        """Return the galaxies of positive flux whose centre is on a pixel with data."""
        height, width = frame.shape
        column, row = np.floor(self.x + 0.5).astype(int), np.floor(self.y + 0.5).astype(int)
        is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (self.flux > 0)
        is_inside[is_inside] &= (frame.mask[row[is_inside], column[is_inside]] & Mask.NO_DATA) == 0
        return Hosts(*(getattr(self, name)[is_inside] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Injections:
    """The injections of one frame; all arrays are (n,).

    Attributes
    ----------
    x, y : ndarray, pixels
    flux_counts : ndarray
    kind : ndarray of str
        ``galaxy_injection``, ``random_injection`` or ``variable_injection``.
    host : ndarray of int
        Number of the host among the hosts inside the frame, -1 for none and for a variable source.
    host_separation_arcsec, host_separation_re, host_mag : ndarray
        NaN without a host. The host of a variable source is the source itself: separation 0, in effective radii NaN on
        a star; the magnitude is that of a point source, instrumental where the frame has no zero point.
    realisation : ndarray of int
        Row of the PSF's jackknife realisations that it is drawn with.
    """

    x: np.ndarray
    y: np.ndarray
    flux_counts: np.ndarray
    kind: np.ndarray
    host: np.ndarray
    host_separation_arcsec: np.ndarray
    host_separation_re: np.ndarray
    host_mag: np.ndarray
    realisation: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


def plan_injections(
    frame: Frame,
    psf: PsfModel,
    hosts: Hosts,
    settings: InjectionSettings,
    rng: np.random.Generator,
    stars: Stars | None = None,
) -> Injections:
    """Draw positions, fluxes, hosts and PSF realisations.

    Without a galaxy in the frame `galaxy_fraction` cannot be met: all injections are then random, by `kind`. Likewise
    an injection stays where it is if no source could brighten by its flux. `stars` are the frame's detected sources;
    None: no injection is on a variable source.
    """
    inside = hosts.inside(frame)
    count = settings.per_visit
    on_galaxy = rng.random(count) < settings.galaxy_fraction
    if len(inside.x) == 0:
        on_galaxy[:] = False
    x, y = _even_positions(frame, count, rng)
    host = np.full(count, -1)
    separation, in_radii, host_mag = (np.full(count, np.nan) for _ in range(3))
    if on_galaxy.any():
        count_hosted = int(on_galaxy.sum())
        repeats = count_hosted > len(inside.x)  # else no galaxy hosts two, which would give injections away
        chances = _host_chances(inside, settings.brightest_host_mag)
        drawn = rng.choice(len(inside.x), count_hosted, replace=repeats, p=chances)
        dx, dy, in_radii[on_galaxy] = _offsets_by_light(inside, drawn, frame.pixel_arcsec, rng)
        x[on_galaxy], y[on_galaxy] = inside.x[drawn] + dx, inside.y[drawn] + dy
        host[on_galaxy], host_mag[on_galaxy] = drawn, inside.mag[drawn]
        separation[on_galaxy] = np.hypot(dx, dy) * frame.pixel_arcsec
    kind = np.where(on_galaxy, GALAXY_INJECTION, RANDOM_INJECTION)
    flux = _fluxes(frame, psf, count, settings, rng)
    realisation = rng.integers(0, max(1, len(psf.jackknife)), count)
    planned = Injections(x, y, flux, kind, host, separation, in_radii, host_mag, realisation)
    if settings.variable_fraction == 0 or stars is None:
        return planned
    return _on_variable_sources(planned, frame, psf, inside, settings.variable_fraction, rng, stars)


def _on_variable_sources(
    planned: Injections,
    frame: Frame,
    psf: PsfModel,
    inside: Hosts,
    fraction: float,
    rng: np.random.Generator,
    stars: Stars,
) -> Injections:
    """Return the injections with a fraction of them moved onto stars and nuclei; their fluxes remain."""
    sources = find_variable_sources(frame, psf, stars, (inside.x, inside.y))
    moved = np.flatnonzero(rng.random(len(planned)) < fraction)
    source = draw_variable_sources(sources, planned.flux_counts[moved], rng)
    moved, source = moved[source >= 0], source[source >= 0]
    columns = {name: getattr(planned, name).copy() for name in Injections.__dataclass_fields__}
    columns["kind"] = columns["kind"].astype(object)
    zero_point = 0.0 if frame.zero_point_mag is None else frame.zero_point_mag
    for name, values in {
        "x": sources.x[source],
        "y": sources.y[source],
        "kind": VARIABLE_INJECTION,
        "host": -1,
        "host_separation_arcsec": 0.0,
        "host_separation_re": np.where(sources.is_nucleus[source], 0.0, np.nan),
        "host_mag": zero_point - 2.5 * np.log10(sources.flux_counts[source]),
    }.items():
        columns[name][moved] = values
    return Injections(**columns)


def inject(frame: Frame, psf: PsfModel, injections: Injections, rng: np.random.Generator) -> tuple[Frame, np.ndarray]:
    """Add transients to a frame.

    Parameters
    ----------
    frame : Frame
    psf : PsfModel
        The frame's measured PSF.
    injections : Injections
    rng : Generator
        Draws the photon noise.

    Returns
    -------
    frame : Frame
        With the transients; saturated pixels are clipped and masked.
    image : ndarray of shape (y, x) float32, counts
        The counts added to each pixel.

    Raises
    ------
    InjectionError
        A pixel gets more electrons than can be drawn, so gain or noise are not in the frame's units.
    """
    model = _draw(psf, injections, frame.shape)
    lit = np.nonzero(model > 0)
    electrons = model[lit].astype(np.float64) * frame.gain_e_per_count
    try:
        counts = rng.poisson(electrons) / frame.gain_e_per_count
    except ValueError as error:
        raise InjectionError(
            f"injections of up to {electrons.max():.3g} electrons in a pixel cannot be drawn ({error}): check the gain "
            f"({frame.gain_e_per_count:g}) and the noise ({np.median(frame.background_rms):.3g} counts)"
        ) from error
    if frame.quantum_counts > 0:
        # the frame's own value within its step is unknown, uniform in it: so is the distance to the next step
        steps = np.floor(counts / frame.quantum_counts + rng.random(len(counts)))
        counts = steps * frame.quantum_counts
    pixels = frame.pixels.copy()
    pixels[lit] += counts.astype(np.float32)
    newly = (pixels > frame.saturation_counts) & (pixels != frame.pixels)
    pixels[newly] = np.maximum(frame.pixels[newly], frame.saturation_counts)
    mask = frame.mask | np.where(newly, Mask.SATURATED, 0).astype(frame.mask.dtype)
    return frame.with_pixels(pixels, mask), np.nan_to_num(pixels - frame.pixels)


def _draw(psf: PsfModel, injections: Injections, shape: tuple[int, int]) -> np.ndarray:
    """Return the image, (y, x) float32, of all injections, each drawn with its own realisation of the PSF."""
    image = np.zeros(shape, np.float32)
    for realisation in np.unique(injections.realisation).tolist():
        rows = injections.realisation == realisation
        image += psf.draw(
            injections.x[rows],
            injections.y[rows],
            injections.flux_counts[rows],
            shape,
            realisation if len(psf.jackknife) else None,
        )
    return image


def sky_limit_counts(frame: Frame, psf: PsfModel) -> float:
    """Return the flux whose S/N is 1 with the sky's noise alone, at the frame's middle."""
    height, width = frame.shape
    stamp = psf.at(np.array([width / 2]), np.array([height / 2]))[0]
    return float(np.nanmedian(frame.background_rms) / np.sqrt(np.sum(stamp.astype(np.float64) ** 2)))


def _host_chances(hosts: Hosts, brightest_mag: float) -> np.ndarray:
    """Return each galaxy's probability, (n,), in proportion to its flux up to that of the brightest magnitude."""
    weight = hosts.flux * 10 ** (-0.4 * np.maximum(brightest_mag - hosts.mag, 0))
    return np.asarray(weight / weight.sum())


def _even_positions(frame: Frame, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw sub-pixel positions x and y, (count,) each, uniform over the pixels that have data."""
    rows, columns = np.nonzero((frame.mask & Mask.NO_DATA) == 0)
    drawn = rng.integers(0, len(rows), count)
    phases = rng.uniform(-0.5, 0.5, (2, count))
    return columns[drawn] + phases[0], rows[drawn] + phases[1]


def _offsets_by_light(
    hosts: Hosts, drawn: np.ndarray, pixel_arcsec: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw offsets from an exponential disc's light: along x and y in pixels, and their size in effective radii."""
    scale_lengths = rng.gamma(2.0, 1.0, len(drawn))  # r exp(-r) is the light in a ring
    in_radii = scale_lengths / SCALE_LENGTHS_A_RADIUS
    turn = rng.uniform(0, 2 * np.pi, len(drawn))
    radius_px = in_radii * hosts.radius_arcsec[drawn] / pixel_arcsec
    along, across = radius_px * np.cos(turn), radius_px * np.sin(turn) * hosts.axis_ratio[drawn]
    cosine, sine = np.cos(hosts.angle_rad[drawn]), np.sin(hosts.angle_rad[drawn])
    return along * cosine - across * sine, along * sine + across * cosine, in_radii


def _fluxes(
    frame: Frame, psf: PsfModel, count: int, settings: InjectionSettings, rng: np.random.Generator
) -> np.ndarray:
    """Draw fluxes, (count,), in counts between the two limits, by the power law of `InjectionSettings`."""
    magnitudes = 2.5 * np.log10(settings.brightest_snr / settings.faintest_snr)
    share = rng.random(count)
    growth = settings.slope_per_mag * np.log(10)
    fainter = np.log1p(share * np.expm1(growth * magnitudes)) / growth if growth > 0 else share * magnitudes
    return sky_limit_counts(frame, psf) * settings.brightest_snr * 10 ** (-0.4 * fainter)

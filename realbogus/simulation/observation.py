"""Observing a simulated sky: the new frame and the reference, with the light of each origin kept."""

from collections.abc import Mapping
from dataclasses import dataclass

import galsim
import numpy as np
from scipy import sparse

from realbogus.frames import Frame, Mask, measure_background
from realbogus.simulation import artefacts
from realbogus.simulation.camera import GAIN_E_PER_COUNT, READ_NOISE_E, WELL_E, Detector
from realbogus.simulation.conditions import Conditions
from realbogus.simulation.exposure import (
    Stack,
    clip_light,
    clip_single,
    draw_combined_light,
    draw_detector_light,
    expose_stack,
)
from realbogus.simulation.light_by_origin import pack_light
from realbogus.simulation.optics import PsfField
from realbogus.simulation.rendering import Shapes, draw_galaxies, draw_stars
from realbogus.simulation.scene import Kind, SceneStars
from realbogus.simulation.sky import FieldScene, shift_wcs
from realbogus.simulation.survey_settings import SurveySettings
from realbogus.simulation.truth_tables import Source, name_variable

_LOST_BLOCK_CHANCE = 0.03
_LEFTOVER_SHARE = 0.3  # of a moving object's light: it was there in some of the exposures
_GHOST_PX = 60.0


@dataclass(frozen=True)
class Observation:
    """One observed frame.

    Attributes
    ----------
    frame : Frame
    light : mapping of str to (y, x) array
        Of each origin, as in `realbogus.simulation.light_by_origin.Origins`.
    sources : list of Source
        Changing sources as drawn.
    fwhm_arcsec : float
        Of the point spread function at the chip's centre.
    """

    frame: Frame
    light: Mapping[str, np.ndarray | sparse.csr_array]
    sources: list[Source]
    fwhm_arcsec: float


@dataclass(frozen=True)
class _Optics:
    """What light goes through on its way to one frame's pixels."""

    settings: SurveySettings
    detector: Detector
    conditions: Conditions
    psf: PsfField
    stack: Stack

    def move(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return positions in the frame of positions in the field."""
        x, y = np.asarray(x, float) + self.conditions.shift_px[0], np.asarray(y, float) + self.conditions.shift_px[1]
        dx, dy = self.conditions.warp.displace(x, y)
        return x + dx, y + dy

    def count(self, mag: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the counts of sources at positions in the frame."""
        electrons = 10 ** (0.4 * (self.settings.zero_point_mag - mag)) * self.settings.exposure_s
        through = self.detector.transmit(x, y, self.settings.pixel_arcsec) * self.conditions.transparency
        return electrons * through * self.stack.counts_per_e

    @property
    def noise(self) -> float:
        """Standard deviation of an empty pixel, counts."""
        sky = self.conditions.sky_e_per_s * self.settings.exposure_s + self.stack.read_noise_e**2
        return float(np.sqrt(sky * self.stack.exposures) / self.stack.gain_e_per_count)

    @property
    def zero_point_mag(self) -> float:
        """Magnitude of one count of the sum at the chip's centre."""
        height, width = self.detector.shape
        one = self.count(np.zeros(1), np.array([(width - 1) / 2]), np.array([(height - 1) / 2]))
        return float(2.5 * np.log10(one[0]))


def observe_new(
    settings: SurveySettings, detector: Detector, sky: FieldScene, conditions: Conditions, rng: np.random.Generator
) -> Observation:
    """Observe a new frame: the sum of a few exposures, whole counts."""
    path = _prepare(settings, detector, conditions, settings.frames)
    light = _draw_still_sky(path, sky, rng, conditions.refraction_px, 1.0)
    sources = list_sources(path, sky)
    for kind in Kind:
        light[kind.value] = _draw_points(path, [s for s in sources if s.kind is kind])
    total = _draw_background(path)
    for image in light.values():
        total += image
    light["detector"] = draw_detector_light(
        detector, total, path.stack, conditions.temperature_k, conditions.dark_temperature_k, rng
    )
    total += light["detector"]
    single, clipped = _draw_single(path, total, light, rng)
    pixels, saturated = expose_stack(total, single, detector, path.stack, conditions.temperature_k, rng)
    clip_light(total, light["star"], path.stack)
    mask = np.where(detector.known, Mask.DEFECT, 0).astype(np.uint8)
    mask[saturated | clipped] |= np.uint8(Mask.SATURATED)
    frame = _frame(path, pixels, mask, 1.0, shift_wcs(sky.wcs, conditions.shift_px))
    return Observation(frame, _pack(light), sources, _measure_fwhm(path))


def observe_reference(
    settings: SurveySettings, detector: Detector, sky: FieldScene, conditions: Conditions, rng: np.random.Generator
) -> Observation:
    """Observe a reference: the mean of many dithered exposures, cleaned of most but not all that is not sky."""
    path = _prepare(settings, detector, conditions, settings.reference_frames)
    light = _draw_still_sky(path, sky, rng, (0.0, 0.0), 0.0)
    left = sky.leftovers
    x, y = path.move(left.x, left.y)
    light["asteroid"] = np.zeros(detector.shape, np.float32)
    draw_stars(light["asteroid"], path.psf, x, y, _LEFTOVER_SHARE * path.count(left.mag, x, y), path.noise)
    total = _draw_background(path)
    for image in light.values():
        total += image
    light["detector"] = draw_combined_light(detector, total, path.stack)
    artefacts.add_holes(light["detector"], rng, 3 * path.noise, settings.hole_rate * settings.area_share)
    total += light["detector"]
    particles = np.zeros(detector.shape, np.float32)
    seconds = settings.exposure_s * settings.reference_frames
    artefacts.add_reference_particles(particles, rng, seconds, GAIN_E_PER_COUNT, settings.particle_rate)
    light["particle"] = particles
    pixels, saturated = expose_stack(total, particles, detector, path.stack, conditions.temperature_k, rng)
    clip_light(total, light["star"], path.stack)
    exposures = np.float32(path.stack.exposures)
    pixels /= exposures
    for image in light.values():
        image /= exposures
    mask = np.where(saturated, Mask.SATURATED, 0).astype(np.uint8)
    blank = artefacts.draw_blank_strips(rng, detector.shape, _LOST_BLOCK_CHANCE)
    mask[blank], pixels[blank] = Mask.NO_DATA, np.nan
    return Observation(_frame(path, pixels, mask, float(exposures), sky.wcs), _pack(light), [], _measure_fwhm(path))


def list_sources(path: "_Optics", sky: FieldScene) -> list[Source]:
    """Return every changing source as it falls on a frame."""
    found = []
    for happening in sky.happenings:
        events = happening.events
        x, y = path.move(events.x, events.y)
        flux = path.count(events.mag, x, y)
        names = [f"{happening.prefix}-{number}" for number in events.number]
        rows = zip(names, x.tolist(), y.tolist(), events.mag.tolist(), flux.tolist(), events.host.tolist(), strict=True)
        found += [Source(name, happening.kind, *row) for name, *row in rows]
    variables = sky.variables
    x, y = path.move(variables.x, variables.y)
    change = variables.change(sky.epoch_mjd) - 1
    mag = variables.mag - 2.5 * np.log10(np.maximum(np.abs(change), 1e-6))
    flux = path.count(variables.mag, x, y) * change
    for i in range(len(x)):
        row = float(x[i]), float(y[i]), float(mag[i]), float(flux[i]), int(variables.host[i])
        found.append(Source(name_variable(sky, i), Kind.VARIABLE, *row))
    return found


def _prepare(settings: SurveySettings, detector: Detector, conditions: Conditions, exposures: int) -> _Optics:
    psf = PsfField(
        optics=detector.optics,
        seeing_arcsec=conditions.seeing_arcsec,
        focus_arcsec=conditions.focus_arcsec,
        shear=conditions.shear,
        pixel_arcsec=settings.pixel_arcsec,
        shape=detector.shape,
    )
    stack = Stack(exposures, settings.exposure_s, GAIN_E_PER_COUNT, READ_NOISE_E, WELL_E)
    return _Optics(settings, detector, conditions, psf, stack)


def _draw_still_sky(
    path: _Optics, sky: FieldScene, rng: np.random.Generator, refraction_px: tuple[float, float], moved: float
) -> dict[str, np.ndarray]:
    """Draw stars, galaxies and the ghosts of bright stars; `moved` is the share of the stars' own motion."""
    shape = path.detector.shape
    light = {name: np.zeros(shape, np.float32) for name in ("star", "galaxy", "ghost")}
    _draw_stars(path, sky, light["star"], light["ghost"], refraction_px, moved, rng)
    galaxies = sky.galaxies
    x, y = path.move(galaxies.x + refraction_px[0] * galaxies.colour, galaxies.y + refraction_px[1] * galaxies.colour)
    shapes = Shapes(
        galaxies.sersic_index,
        galaxies.radius_arcsec / path.settings.pixel_arcsec,
        galaxies.axis_ratio,
        galaxies.angle_rad,
    )
    flux = path.count(galaxies.mag + path.conditions.extinction_mag * galaxies.colour, x, y)
    draw_galaxies(light["galaxy"], path.psf, x, y, flux * (1 - galaxies.nucleus), shapes, path.noise)
    draw_stars(light["galaxy"], path.psf, x, y, flux * galaxies.nucleus, path.noise)
    return light


def _draw_stars(
    path: _Optics,
    sky: FieldScene,
    image: np.ndarray,
    ghosts: np.ndarray,
    refraction_px: tuple[float, float],
    moved: float,
    rng: np.random.Generator,
) -> None:
    stars: SceneStars = sky.stars
    x, y = path.move(
        stars.x + moved * stars.motion_x + refraction_px[0] * stars.colour,
        stars.y + moved * stars.motion_y + refraction_px[1] * stars.colour,
    )
    flux = path.count(stars.mag + path.conditions.extinction_mag * stars.colour, x, y)
    draw_stars(image, path.psf, x, y, flux, path.noise)
    variables = sky.variables
    place = path.move(variables.x, variables.y)
    draw_stars(image, path.psf, *place, path.count(variables.mag, *place), path.noise)
    away = path.detector.east_deg / 4.5 * _GHOST_PX, path.detector.north_deg / 4.5 * _GHOST_PX
    artefacts.add_ghosts(ghosts, rng, x, y, stars.mag, flux, away)


def _draw_points(path: _Optics, sources: list[Source]) -> np.ndarray:
    image = np.zeros(path.detector.shape, np.float32)
    x, y, flux = (np.array([getattr(s, name) for s in sources], float) for name in ("x", "y", "flux_counts"))
    draw_stars(image, path.psf, x, y, flux, path.noise)
    return image


def _draw_background(path: _Optics) -> np.ndarray:
    """Draw the sky, (y, x) float32 counts of the sum."""
    height, width = path.detector.shape
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    s, t = 2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1
    g = path.conditions.gradient.astype(np.float32)
    level = 1 + g[0] * s + g[1] * t + g[2] * s**2 + g[3] * s * t + g[4] * t**2
    level *= path.detector.transmit(x, y, path.settings.pixel_arcsec).astype(np.float32)
    counts = path.conditions.sky_e_per_s * path.settings.exposure_s * path.stack.counts_per_e
    return level * np.float32(counts)


def _draw_single(
    path: _Optics, total: np.ndarray, light: dict[str, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw particles and trails, which come in one exposure, into `light`; return their sum and where it is clipped."""
    settings, shape = path.settings, path.detector.shape
    trail, particle = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    artefacts.add_particles(
        particle, rng, settings.exposure_s * settings.frames, path.stack.gain_e_per_count, settings.particle_rate
    )
    counts = 10 ** (0.4 * settings.zero_point_mag) * settings.exposure_s / path.stack.gain_e_per_count
    artefacts.add_trails(
        trail,
        rng,
        settings.exposure_s,
        counts * path.conditions.transparency,
        path.conditions.seeing_arcsec / settings.pixel_arcsec,
        settings.trail_rate * settings.area_share,
    )
    clipped = clip_single(trail, total, path.stack)
    clipped |= clip_single(particle, total, path.stack)
    light["trail"], light["particle"] = trail, particle
    return trail + particle, clipped


def _pack(light: dict[str, np.ndarray]) -> dict[str, np.ndarray | sparse.csr_array]:
    packed = {name: pack_light(image) for name, image in light.items()}
    return {name: image for name, image in packed.items() if image is not None}


def _frame(path: _Optics, pixels: np.ndarray, mask: np.ndarray, divided_by: float, wcs: object) -> Frame:
    level, rms = measure_background(pixels, mask != 0)
    return Frame(
        pixels=pixels,
        mask=mask,
        background=level,
        background_rms=rms,
        gain_e_per_count=path.stack.gain_e_per_count * divided_by,
        saturation_counts=path.stack.well_counts / divided_by,
        zero_point_mag=path.zero_point_mag - 2.5 * float(np.log10(divided_by)),
        pixel_arcsec=path.settings.pixel_arcsec,
        quantum_counts=1 / divided_by,
        wcs=wcs,
    )


def _measure_fwhm(path: _Optics) -> float:
    height, width = path.detector.shape
    profile = galsim.Convolve(path.psf.profile_at((width - 1) / 2, (height - 1) / 2), galsim.Pixel(1.0))
    image = profile.drawImage(nx=64, ny=64, scale=0.25, method="no_pixel")
    return float(image.calculateFWHM()) * path.settings.pixel_arcsec

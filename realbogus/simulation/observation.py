"""Observation of a simulated sky: the new frame and the reference, with their light by origin."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import galsim
import numpy as np
from scipy import sparse

from realbogus.frames import Frame, Mask, measure_background
from realbogus.simulation import artefacts
from realbogus.simulation.camera import GAIN_E_PER_COUNT, READ_NOISE_E, WELL_E, Detector, DetectorFault
from realbogus.simulation.conditions import Conditions
from realbogus.simulation.exposure import (
    ExposureStack,
    add_fault_light,
    clip_light,
    clip_single,
    combine_detector_light,
    draw_detector_light,
    expose_stack,
)
from realbogus.simulation.light_by_origin import pack_light
from realbogus.simulation.optics import PsfField
from realbogus.simulation.randomisation import VisitVariety, correlate_noise
from realbogus.simulation.rendering import FrameSources, GalaxyShapes, draw_galaxies, draw_stars
from realbogus.simulation.scene import Galaxies, SourceKind
from realbogus.simulation.sky import FieldScene, shift_wcs
from realbogus.simulation.survey_settings import SurveySettings
from realbogus.simulation.truth_tables import DrawnSource, name_variable

_LOST_BLOCK_CHANCE = 0.03
_LEFTOVER_SHARE = 0.3  # of a moving object's light: it was in a part of the reference's exposures
_GHOST_PX = 60.0


@dataclass(frozen=True)
class Observation:
    """One observed frame.

    Attributes
    ----------
    frame : Frame
    light : mapping of str to (y, x) float32
        By origin, as in `realbogus.simulation.light_by_origin.LightByOrigin`.
    sources : list of DrawnSource
        Changing sources as drawn; none in a reference.
    fwhm_arcsec : float
        Of the point spread function at the chip's centre.
    """

    frame: Frame
    light: Mapping[str, np.ndarray | sparse.csr_array]
    sources: list[DrawnSource]
    fwhm_arcsec: float


@dataclass(frozen=True)
class _LightPath:
    """The path of light from the field to one frame's pixels: pointing, transmission, PSF and exposures."""

    settings: SurveySettings
    detector: Detector
    conditions: Conditions
    psf: PsfField
    stack: ExposureStack

    def move(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return positions in the frame of positions x and y in the field, all (n,) pixels."""
        x, y = np.asarray(x, float) + self.conditions.shift_px[0], np.asarray(y, float) + self.conditions.shift_px[1]
        dx, dy = self.conditions.warp.displace(x, y)
        return x + dx, y + dy

    def count(self, mag: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the counts (n,) of sources of magnitudes (n,) at positions x and y (n,) in the frame."""
        electrons = 10 ** (0.4 * (self.settings.zero_point_mag - mag)) * self.settings.exposure_s
        transmission = self.detector.transmit(x, y, self.settings.pixel_arcsec) * self.conditions.transparency
        return electrons * transmission * self.stack.counts_per_e

    def place(self, mag: np.ndarray, x: np.ndarray, y: np.ndarray) -> FrameSources:
        """Return sources of magnitudes (n,) at positions x and y (n,) in the field as they fall on the frame."""
        x, y = self.move(x, y)
        return FrameSources(x, y, self.count(mag, x, y))

    @property
    def noise(self) -> float:
        """Standard deviation of an empty pixel, counts."""
        sky = self.conditions.sky_e_per_s * self.settings.exposure_s + self.stack.read_noise_e**2
        return float(np.sqrt(sky * self.stack.exposures) / self.stack.gain_e_per_count)

    @property
    def zero_point_mag(self) -> float:
        """Magnitude of one count of the sum at the chip's centre."""
        height, width = self.detector.shape
        counts = self.count(np.zeros(1), np.array([(width - 1) / 2]), np.array([(height - 1) / 2]))
        return float(2.5 * np.log10(counts[0]))


def observe_new(
    settings: SurveySettings,
    detector: Detector,
    sky: FieldScene,
    conditions: Conditions,
    variety: VisitVariety,
    rng: np.random.Generator,
    fault: DetectorFault | None = None,
) -> Observation:
    """Observe a new frame: the sum of a few exposures in whole counts; `fault` is that of a faulty detector."""
    path = _prepare(settings, detector, conditions, settings.frames)
    light = _draw_static_sky(path, sky, rng, moved=1.0)
    sources = _project_sources(path, sky)
    for kind in SourceKind:
        light[kind.value] = _draw_points(path, [s for s in sources if s.kind is kind])
    total = _draw_background(path)
    for image in light.values():
        total += image
    light["detector"] = draw_detector_light(
        detector, total, path.stack, conditions.temperature_k, conditions.dark_temperature_k, rng
    )
    if fault is not None:
        add_fault_light(light["detector"], fault, path.stack, conditions.temperature_k)
    artefacts.add_clusters(light["detector"], rng, path.noise, variety.clusters * settings.area_share)
    total += light["detector"]
    single, clipped = _draw_single(path, total, light, rng)
    pixels, saturated = expose_stack(total, single, detector, path.stack, conditions.temperature_k, rng)
    clip_light(total, light["star"], path.stack)
    mask = np.where(detector.defect_map, Mask.DEFECT, 0).astype(np.uint8)
    mask[saturated | clipped] |= np.uint8(Mask.SATURATED)
    if variety.blank_chance > 0:
        _blank(pixels, mask, rng, variety.blank_chance)
    frame = _make_frame(path, pixels, mask, 1.0, shift_wcs(sky.wcs, conditions.shift_px))
    return Observation(frame, _pack(light), sources, _measure_fwhm(path))


def observe_reference(
    settings: SurveySettings,
    detector: Detector,
    sky: FieldScene,
    conditions: Conditions,
    variety: VisitVariety,
    rng: np.random.Generator,
) -> Observation:
    """Observe a reference: the mean of many dithered exposures, with residual artefacts."""
    path = _prepare(settings, detector, conditions, settings.reference_frames)
    light = _draw_static_sky(path, sky, rng, moved=0.0)
    leftovers = path.place(sky.leftovers.mag, sky.leftovers.x, sky.leftovers.y)
    light["asteroid"] = np.zeros(detector.shape, np.float32)
    leftovers = replace(leftovers, flux=_LEFTOVER_SHARE * leftovers.flux)
    draw_stars(light["asteroid"], path.psf, leftovers, path.noise)
    total = _draw_background(path)
    for image in light.values():
        total += image
    light["detector"] = combine_detector_light(detector, total, path.stack)
    artefacts.add_holes(light["detector"], rng, 3 * path.noise, settings.hole_rate * settings.area_share)
    total += light["detector"]
    particles = np.zeros(detector.shape, np.float32)
    seconds = settings.exposure_s * settings.reference_frames
    artefacts.add_reference_particles(particles, rng, seconds, GAIN_E_PER_COUNT, settings.particle_rate)
    light["particle"] = particles
    pixels, saturated = expose_stack(total, particles, detector, path.stack, conditions.temperature_k, rng)
    clip_light(total, light["star"], path.stack)
    if variety.resampling_px > 0:
        light_counts = total + particles
        pixels = light_counts + correlate_noise(pixels - light_counts, variety.resampling_px)
    exposures = np.float32(path.stack.exposures)
    pixels /= exposures
    for image in light.values():
        image /= exposures
    mask = np.where(saturated, Mask.SATURATED, 0).astype(np.uint8)
    _blank(pixels, mask, rng, _LOST_BLOCK_CHANCE + variety.blank_chance)
    frame = _make_frame(path, pixels, mask, float(exposures), sky.wcs)
    return Observation(frame, _pack(light), [], _measure_fwhm(path))


def _blank(pixels: np.ndarray, mask: np.ndarray, rng: np.random.Generator, chance: float) -> None:
    """Remove the pixels without exposures from pixels and mask, both (y, x), in place; see `draw_blank_strips`."""
    blank = artefacts.draw_blank_strips(rng, mask.shape, chance)
    mask[blank], pixels[blank] = Mask.NO_DATA, np.nan


def _project_sources(path: _LightPath, sky: FieldScene) -> list[DrawnSource]:
    """Return every changing source as it falls on a frame."""
    sources = []
    for group in sky.event_groups:
        events = group.events
        image = path.place(events.mag, events.x, events.y)
        names = [f"{group.prefix}-{number}" for number in events.number]
        columns = (image.x, image.y, events.mag, image.flux, events.host)
        rows = zip(names, *(column.tolist() for column in columns), strict=True)
        sources += [DrawnSource(name, group.kind, *row) for name, *row in rows]
    variables = sky.variables
    image = path.place(variables.mag, variables.x, variables.y)
    change = variables.change(sky.epoch_mjd) - 1
    mag = variables.mag - 2.5 * np.log10(np.maximum(np.abs(change), 1e-6))
    flux = image.flux * change
    for i in range(len(flux)):
        row = float(image.x[i]), float(image.y[i]), float(mag[i]), float(flux[i]), int(variables.host[i])
        sources.append(DrawnSource(name_variable(sky, i), SourceKind.VARIABLE, *row))
    return sources


def _prepare(settings: SurveySettings, detector: Detector, conditions: Conditions, exposures: int) -> _LightPath:
    psf = PsfField(
        optics=detector.optics,
        seeing_arcsec=conditions.seeing_arcsec,
        focus_arcsec=conditions.focus_arcsec,
        shear=conditions.shear,
        pixel_arcsec=settings.pixel_arcsec,
        shape=detector.shape,
    )
    stack = ExposureStack(exposures, settings.exposure_s, GAIN_E_PER_COUNT, READ_NOISE_E, WELL_E)
    return _LightPath(settings, detector, conditions, psf, stack)


def _draw_static_sky(
    path: _LightPath, sky: FieldScene, rng: np.random.Generator, moved: float
) -> dict[str, np.ndarray]:
    """Draw the light of stars, galaxies and ghosts of bright stars, each (y, x) float32 counts.

    `moved` is 1 where stars have moved since the reference, 0 on the reference itself.
    """
    shape = path.detector.shape
    light = {name: np.zeros(shape, np.float32) for name in ("star", "galaxy", "ghost")}
    _draw_stars(path, sky, (light["star"], light["ghost"]), moved, rng)
    _draw_galaxies(path, sky.galaxies, light["galaxy"])
    return light


def _draw_galaxies(path: _LightPath, galaxies: Galaxies, image: np.ndarray) -> None:
    """Add galaxies and their unresolved nuclei to an image (y, x)."""
    refraction_px, colour = path.conditions.refraction_px, galaxies.colour
    mag = galaxies.mag + path.conditions.extinction_mag * colour
    sources = path.place(mag, galaxies.x + refraction_px[0] * colour, galaxies.y + refraction_px[1] * colour)
    radius_px = galaxies.radius_arcsec / path.settings.pixel_arcsec
    shapes = GalaxyShapes(galaxies.sersic_index, radius_px, galaxies.axis_ratio, galaxies.angle_rad)
    discs = replace(sources, flux=sources.flux * (1 - galaxies.nucleus))
    nuclei = replace(sources, flux=sources.flux * galaxies.nucleus)
    draw_galaxies(image, path.psf, discs, shapes, path.noise)
    draw_stars(image, path.psf, nuclei, path.noise)


def _draw_stars(
    path: _LightPath,
    sky: FieldScene,
    images: tuple[np.ndarray, np.ndarray],
    moved: float,
    rng: np.random.Generator,
) -> None:
    """Add stars, variables at their mean brightness, and ghosts to two images (y, x): stars, ghosts."""
    stars, variables, refraction_px = sky.stars, sky.variables, path.conditions.refraction_px
    sources = path.place(
        stars.mag + path.conditions.extinction_mag * stars.colour,
        stars.x + moved * stars.motion_x + refraction_px[0] * stars.colour,
        stars.y + moved * stars.motion_y + refraction_px[1] * stars.colour,
    )
    draw_stars(images[0], path.psf, sources, path.noise)
    draw_stars(images[0], path.psf, path.place(variables.mag, variables.x, variables.y), path.noise)
    ghost_offset_px = path.detector.east_deg / 4.5 * _GHOST_PX, path.detector.north_deg / 4.5 * _GHOST_PX
    artefacts.add_ghosts(images[1], rng, sources, stars.mag, ghost_offset_px)


def _draw_points(path: _LightPath, sources: list[DrawnSource]) -> np.ndarray:
    """Draw point sources, (y, x) float32 counts."""
    image = np.zeros(path.detector.shape, np.float32)
    x, y, flux = (np.array([getattr(s, name) for s in sources], float) for name in ("x", "y", "flux_counts"))
    draw_stars(image, path.psf, FrameSources(x, y, flux), path.noise)
    return image


def _draw_background(path: _LightPath) -> np.ndarray:
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
    path: _LightPath, total: np.ndarray, light: dict[str, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw particles and trails, which occur in one exposure, into `light`.

    Returns
    -------
    sum : (y, x) float32
        Of both, counts.
    clipped : (y, x) bool
        Pixels in which either was clipped at the well.
    """
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


def _make_frame(path: _LightPath, pixels: np.ndarray, mask: np.ndarray, divided_by: float, wcs: object) -> Frame:
    """Return the frame of pixels and mask, both (y, x); the pixels are the sum of exposures over `divided_by`."""
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


def _measure_fwhm(path: _LightPath) -> float:
    """Return the FWHM of the point spread function at the chip's centre, pixel included, arcsec."""
    height, width = path.detector.shape
    profile = galsim.Convolve(path.psf.profile_at((width - 1) / 2, (height - 1) / 2), galsim.Pixel(1.0))
    image = profile.drawImage(nx=64, ny=64, scale=0.25, method="no_pixel")
    return float(image.calculateFWHM()) * path.settings.pixel_arcsec

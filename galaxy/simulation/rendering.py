"""Pictures of the simulated sky: galaxies, the sources around them, seeing, noise and the survey's colour stretch.

Light is in nanomaggies per pixel of the working grid (0.396 arcsec, or twice, four times... that), bands g, r, i.
GalSim gives the Fourier transforms of bulges and of the point spread function; discs are sampled and transformed
beside them. As the real service does, the picture is stretched on the working grid and then interpolated, so that
a fine scale shows smooth, correlated noise. North up, east left.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import galsim
import numpy as np
from PIL import Image
from scipy import fft

from galaxy.images.footprint import inside_footprint
from galaxy.simulation.discs import DiscLight, Row, draw_disc, draw_edge_on
from galaxy.simulation.shapes import DISC, EDGE_ON, STAR
from galaxy.simulation.stamps import add_blob, add_points

NATIVE_ARCSEC = 0.396
ZERO_POINT_MAG = 22.5  # of one nanomaggy
# Standard deviation of the sky in one native pixel and photo-electrons per nanomaggy, as in SDSS frames.
_SKY_SIGMA = np.array([0.017, 0.023, 0.034], np.float32)
_GAIN = np.array([1450.0, 1000.0, 720.0], np.float32)
_SEEING_RATIO = (1.05, 1.0, 0.98)  # FWHM by band, to r
_PSF_FLOOR_ARCSEC = 0.5
_MOST_PX = 2100
_MARGIN_PX = 12  # what wraps around in Fourier space stays in here
_WINDOW_R90 = 2.6  # discs are drawn out to this
_FAINTEST_PX = 2.5  # in units of R90: with larger working pixels a galaxy is a point
# Stretch: Lupton et al. (2004) with the weights of i, r, g that make an average galaxy yellowish white.
_WEIGHTS = np.array([7.8, 5.7, 4.9], np.float32)  # g, r, i
_BRIGHTNESS, _NONLINEARITY = 2.3, 6.8
_PEDESTAL = np.array([0.0165, 0.0155, 0.0085], np.float32)  # what empty sky shows in red, green, blue
# r-band share of the disc's light in arms and in knots, and colours relative to the old disc (g-r, r-i).
_YOUNG_SHARE, _CLUMP_SHARE, _BAR_SHARE = 0.34, 0.012, 0.34
_BULGE_COLOUR, _BAR_COLOUR, _YOUNG_COLOUR, _CLUMP_COLOUR = (0.20, 0.08), (0.14, 0.05), (-0.38, -0.17), (-0.55, -0.3)
_DUST_RATIO = (1.25, 0.9, 0.65)
# GalSim fills caches of Fourier tables on first use and does not lock them.
_galsim_lock = threading.Lock()


@dataclass(frozen=True)
class Sources:
    """Faint galaxies and stars around the catalogue's: arrays of one length.

    Attributes
    ----------
    ra_deg, dec_deg : ndarray
    flux : ndarray, (n, 3)
        Nanomaggies in g, r, i.
    size_arcsec, axis_ratio, angle_rad : ndarray
        Scale length of an exponential disc (0 for a star) and its shape.
    """

    ra_deg: np.ndarray
    dec_deg: np.ndarray
    flux: np.ndarray
    size_arcsec: np.ndarray
    axis_ratio: np.ndarray
    angle_rad: np.ndarray


@dataclass(frozen=True)
class Grid:
    """The grid that light is drawn on.

    Attributes
    ----------
    ra_deg, dec_deg : float
        Its centre.
    pixel_arcsec : float
    height, width : int
    box : tuple of float
        The field in its middle: left, top, right, bottom in pixels.
    """

    ra_deg: float
    dec_deg: float
    pixel_arcsec: float
    height: int
    width: int
    box: tuple[float, float, float, float]

    def place(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return column and row of positions, in the plane that touches the sky at the centre."""
        east = (np.asarray(ra_deg) - self.ra_deg + 180) % 360 - 180
        east = east * np.cos(np.radians(self.dec_deg)) * 3600 / self.pixel_arcsec
        north = (np.asarray(dec_deg) - self.dec_deg) * 3600 / self.pixel_arcsec
        return (self.width - 1) / 2 - east, (self.height - 1) / 2 - north


def render(
    galaxies: Sequence[Row],
    ra_deg: float,
    dec_deg: float,
    scale_arcsec_per_px: float,
    width_px: int,
    height_px: int,
    rng: np.random.Generator,
    sources: Sources | None = None,
) -> np.ndarray:
    """Render one field.

    Parameters
    ----------
    galaxies : sequence of mappings
        Rows of a synthetic sky's ``truth`` table that reach into the field.
    ra_deg, dec_deg : float
        The field's centre.
    scale_arcsec_per_px : float
    width_px, height_px : int
    rng : numpy.random.Generator
        Noise.
    sources : Sources, optional
        What else is in the field.

    Returns
    -------
    ndarray, (height_px, width_px, 3) uint8
        R, G, B from i, r, g; north up, east left; exact zeros outside the survey's footprint.
    """
    grid = working_grid(ra_deg, dec_deg, scale_arcsec_per_px, width_px, height_px)
    seeing = float(galaxies[0]["psf_fwhm_arcsec"]) if galaxies else 1.3
    light = draw_light(grid, galaxies, sources, seeing)
    light += _noise(light, grid, rng)
    picture = _stretch(light * (NATIVE_ARCSEC / grid.pixel_arcsec) ** 2)
    picture[~_imaged(grid)] = 0
    image = Image.fromarray(picture)
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.BICUBIC, box=grid.box))


def working_grid(ra_deg: float, dec_deg: float, scale_arcsec_per_px: float, width_px: int, height_px: int) -> Grid:
    """Return the coarsest grid that is no coarser than the picture, or the native one.

    A picture larger than `_MOST_PX` is drawn on a coarser grid all the same, so that memory stays bounded.
    """
    zoom = max(0, int(np.floor(np.log2(scale_arcsec_per_px / NATIVE_ARCSEC) + 1e-6)))
    extent = max(width_px, height_px) * scale_arcsec_per_px
    while extent / (NATIVE_ARCSEC * 2**zoom) > _MOST_PX:
        zoom += 1
    pixel = NATIVE_ARCSEC * 2**zoom
    width, height = width_px * scale_arcsec_per_px / pixel, height_px * scale_arcsec_per_px / pixel
    columns, rows = (2 * fft.next_fast_len(int(np.ceil(side / 2)) + _MARGIN_PX) for side in (width, height))
    left, top = (columns - width) / 2, (rows - height) / 2
    return Grid(ra_deg, dec_deg, pixel, rows, columns, (left, top, left + width, top + height))


def draw_light(grid: Grid, galaxies: Sequence[Row], sources: Sources | None, seeing_arcsec: float) -> np.ndarray:
    """Return the noiseless light, float32 of shape (3, height, width)."""
    sampled = np.zeros((3, grid.height, grid.width), np.float32)
    bulges = np.zeros((3, grid.height, grid.width // 2 + 1), np.complex64)
    for row in galaxies:
        _add_galaxy(sampled, bulges, grid, row)
    if sources is not None:
        _add_sources(sampled, grid, sources)
    wave = fft.rfft2(sampled, axes=(1, 2)) + bulges
    wave *= _transfer(seeing_arcsec, grid.height, grid.width, grid.pixel_arcsec)
    return fft.irfft2(wave, s=sampled.shape[1:], axes=(1, 2))


def _band_flux(r_mag: float, g_r: float, r_i: float) -> np.ndarray:
    magnitudes = np.array([r_mag + g_r, r_mag, r_mag - r_i])
    return 10 ** ((ZERO_POINT_MAG - magnitudes) / 2.5)


def _tint(colour: tuple[float, float]) -> np.ndarray:
    """Return the factors on g, r, i of a component that is redder by (g-r, r-i)."""
    return _band_flux(ZERO_POINT_MAG, *colour)


def _add_galaxy(sampled: np.ndarray, bulges: np.ndarray, grid: Grid, row: Row) -> None:
    flux = _band_flux(row["r_mag"], row["g_r"], row["r_i"])
    column, line = (float(place) for place in grid.place(row["ra_deg"], row["dec_deg"]))
    if row["kind"] == STAR or row["r90_arcsec"] * _FAINTEST_PX < grid.pixel_arcsec:
        add_points(sampled, np.array([column]), np.array([line]), flux[None])
        return
    bulge_share = float(row["bulge_fraction"])
    bulge, disc = bulge_share * _tint(_BULGE_COLOUR), np.zeros(3)
    if bulge_share < 1:
        disc = (1 - bulge_share) * np.ones(3)
    total = flux / (bulge + disc)
    bulges += (total * bulge).astype(np.float32)[:, None, None] * _bulge(grid, row, column, line)
    if bulge_share < 1:
        _add_disc(sampled, grid, row, column, line, total * disc)
    if row["odd"] == "merger":
        _add_companion(sampled, grid, row, column, line, flux)


def _bulge(grid: Grid, row: Row, column: float, line: float) -> np.ndarray:
    """Return the transform of a bulge of flux 1 at its place, (height, width // 2 + 1) complex64."""
    radius = max(row["bulge_r90_share"] * row["r90_arcsec"], 0.15) / grid.pixel_arcsec
    ratio = row["axis_ratio"] if row["kind"] not in (DISC, EDGE_ON) else 0.4 + 0.6 * row["axis_ratio"]
    # Position angles run from north (up) to east (left), GalSim's from +column to +row.
    beta = (90 + row["position_angle_deg"]) * galsim.degrees
    profile = _sersic(float(row["sersic_n"])).dilate(radius).shear(q=float(ratio), beta=-beta)
    wave = _draw_wave(profile, grid.height, grid.width)
    shift_x = np.exp(-2j * np.pi * np.fft.rfftfreq(grid.width) * column).astype(np.complex64)
    shift_y = np.exp(-2j * np.pi * np.fft.fftfreq(grid.height) * line).astype(np.complex64)
    return wave * shift_y[:, None] * shift_x


@lru_cache(maxsize=32)
def _sersic(index: float) -> galsim.Sersic:
    return galsim.Sersic(n=index, half_light_radius=1.0)


def _draw_wave(profile: galsim.GSObject, height: int, width: int) -> np.ndarray:
    """Return a profile's transform (pixels as unit of length) in the order of `rfft2`."""
    bounds = galsim.BoundsI(0, width // 2, -(height // 2), (height - 1) // 2)
    step_x, step_y = 2 * np.pi / width, 2 * np.pi / height
    image = galsim.ImageCF(bounds, scale=step_x)
    # GalSim's Fourier pixels are square: stretch the profile where the grid's are not.
    squared = profile if height == width else profile.transform(1, 0, 0, step_y / step_x) / (step_y / step_x)
    with _galsim_lock:
        squared.drawKImage(image=image, recenter=False)
    return fft.ifftshift(image.array, axes=0)


def _transfer(seeing_arcsec: float, height: int, width: int, pixel_arcsec: float) -> np.ndarray:
    """Return the transform of seeing and pixel in each band, (3, height, width // 2 + 1)."""
    waves = []
    for ratio in _SEEING_RATIO:
        fwhm = max(seeing_arcsec * ratio, _PSF_FLOOR_ARCSEC) / pixel_arcsec
        psf = galsim.Convolve(galsim.Kolmogorov(fwhm=fwhm), galsim.Pixel(1.0))
        waves.append(_draw_wave(psf, height, width))
    return np.stack(waves)


def _add_disc(sampled: np.ndarray, grid: Grid, row: Row, column: float, line: float, flux: np.ndarray) -> None:
    """Add disc, arms, bar and knots behind their dust; `flux` is the disc's whole light by band."""
    r90_px = row["r90_arcsec"] / grid.pixel_arcsec
    reach = _WINDOW_R90 * r90_px
    lines = slice(max(int(line - reach), 0), max(int(line + reach) + 1, 0))
    columns = slice(max(int(column - reach), 0), max(int(column + reach) + 1, 0))
    if not sampled[0, lines, columns].size:
        return
    below, right = np.ogrid[: grid.height, : grid.width]
    north = ((line - below[lines]) / r90_px).astype(np.float32)
    east = ((column - right[:, columns]) / r90_px).astype(np.float32)
    angle = np.radians(row["position_angle_deg"])
    sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    major, minor = east * sine + north * cosine, east * cosine - north * sine
    draw = draw_edge_on if row["kind"] == EDGE_ON else draw_disc
    light = draw(row, major, minor)
    shares, clump_share = _component_shares(row)
    tints = np.stack([np.ones(3), _tint(_YOUNG_COLOUR), _tint(_BAR_COLOUR)])
    clump_tint = _tint(_CLUMP_COLOUR)
    scale = flux / (shares @ tints + clump_share * clump_tint)
    for band in range(3):
        amounts = (scale[band] * shares * tints[:, band]).astype(np.float32)
        glow = amounts[0] * light.old + amounts[1] * light.young + amounts[2] * light.bar
        sampled[band, lines, columns] += glow * np.exp(-np.float32(_DUST_RATIO[band]) * light.opacity)
    _add_clumps(sampled, light, r90_px, (column, line), (sine, cosine), scale * clump_share * clump_tint)


def _component_shares(row: Row) -> tuple[np.ndarray, float]:
    """Return r-band shares of old disc, young stars and bar, and of the knots."""
    clumps = min(_CLUMP_SHARE * int(row["clumps"]), 0.2)
    young = _YOUNG_SHARE * float(row["arm_contrast"]) + 0.25 * float(row["ring"])
    bar = _BAR_SHARE * float(row["bar_strength"])
    if row["kind"] == EDGE_ON:
        bar = 0.0
    return np.array([max(1 - clumps - young - bar, 0.1), young, bar]), clumps


def _add_clumps(
    sampled: np.ndarray,
    light: DiscLight,
    r90_px: float,
    centre: tuple[float, float],
    turn: tuple[np.floating, np.floating],
    flux: np.ndarray,
) -> None:
    major, minor, share = light.clumps
    sine, cosine = turn
    columns = centre[0] - (major * sine + minor * cosine) * r90_px
    lines = centre[1] - (major * cosine - minor * sine) * r90_px
    add_points(sampled, columns, lines, share[:, None] * flux)


def _add_companion(sampled: np.ndarray, grid: Grid, row: Row, column: float, line: float, flux: np.ndarray) -> None:
    """Add the second galaxy of a merger: a smaller lump of light within the first one's outskirts."""
    rng = np.random.default_rng([int(row["texture_seed"]), 1])
    distance, angle = rng.uniform(0.4, 0.9) * row["r90_arcsec"], rng.uniform(0, 2 * np.pi)
    size, share = rng.uniform(0.12, 0.25) * row["r90_arcsec"], rng.uniform(0.15, 0.5)
    column += distance * np.cos(angle) / grid.pixel_arcsec
    line += distance * np.sin(angle) / grid.pixel_arcsec
    shape = rng.uniform(0.5, 0.95), rng.uniform(0, np.pi)
    add_blob(sampled, (column, line), share * flux, size / grid.pixel_arcsec, shape)


def _add_sources(sampled: np.ndarray, grid: Grid, sources: Sources) -> None:
    columns, lines = grid.place(sources.ra_deg, sources.dec_deg)
    size = sources.size_arcsec / grid.pixel_arcsec
    points = size < 0.3
    add_points(sampled, columns[points], lines[points], sources.flux[points])
    for number in np.flatnonzero(~points):
        shape = sources.axis_ratio[number], sources.angle_rad[number]
        add_blob(sampled, (columns[number], lines[number]), sources.flux[number], size[number], shape)


def _noise(light: np.ndarray, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Return sky noise and the sources' own, for the survey's exposure."""
    sky = _SKY_SIGMA * (grid.pixel_arcsec / NATIVE_ARCSEC)
    variance = (sky**2)[:, None, None] + np.maximum(light, 0) / _GAIN[:, None, None]
    return np.sqrt(variance) * rng.standard_normal(light.shape, dtype=np.float32)


def _stretch(light: np.ndarray) -> np.ndarray:
    """Return (height, width, 3) uint8 from (3, height, width) nanomaggies per native pixel.

    The hue is kept: where the brightest channel would pass white, all three are divided by it.
    """
    weighted = light * (_BRIGHTNESS * _WEIGHTS / _WEIGHTS.mean())[:, None, None]
    mean = np.maximum(weighted.mean(axis=0), 1e-6)
    factor = np.arcsinh(_NONLINEARITY * mean) / (_NONLINEARITY * mean)
    colour = (weighted * factor)[::-1] + _PEDESTAL[:, None, None]  # i, r, g as red, green, blue
    colour /= np.maximum(colour.max(axis=0), 1.0)
    return np.ascontiguousarray(np.moveaxis(np.clip(colour, 0, 1) * 255 + 0.5, 0, 2).astype(np.uint8))


def _imaged(grid: Grid) -> np.ndarray:
    """Return a (height, width) mask of the pixels in the footprint, computed per pixel only near its border."""
    half_deg = max(grid.height, grid.width) / 2 * grid.pixel_arcsec / 3600
    steps = np.array([-1.0, 0.0, 1.0]) * half_deg
    east, north = np.meshgrid(steps / np.cos(np.radians(grid.dec_deg)), steps)
    if inside_footprint(grid.ra_deg + east, np.clip(grid.dec_deg + north, -90, 90)).all():
        return np.ones((grid.height, grid.width), bool)
    lines, columns = np.indices((grid.height, grid.width))
    north = ((grid.height - 1) / 2 - lines) * grid.pixel_arcsec / 3600
    east = ((grid.width - 1) / 2 - columns) * grid.pixel_arcsec / 3600 / np.cos(np.radians(grid.dec_deg))
    return inside_footprint(grid.ra_deg + east, np.clip(grid.dec_deg + north, -90, 90))

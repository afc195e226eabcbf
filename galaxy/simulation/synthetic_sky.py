"""A synthetic sky: a catalogue with the columns of the Galaxy Zoo 2 tables, drawn votes, and a table of the truth.

Galaxies are drawn in blocks of `BLOCK` rows, each from its own random stream, so that a longer catalogue begins
with the shorter one of the same seed. Letters a to d are bulge prominence, as in Galaxy Zoo 2; winding, colour,
size, magnitude and redshift follow the class only loosely.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from galaxy.images.footprint import group_centres
from galaxy.simulation.shapes import draw_shapes
from galaxy.simulation.volunteers import draw_votes

SKY_COUNT = 12_000  # size of the default sky of `serve-sky` and `build-galaxy-dataset`
BLOCK = 1024
_GROUP_SIZES = (0.93, 0.05, 0.02)  # shares of single, double and triple systems
_COMPANION_ARCSEC = (14.0, 130.0)
_RERUN = 40  # gives 18-digit object ids that begin with 5877, as DR7's do
_BANDS = "UGRIZ"
_EXTINCTION_RATIOS = (1.87, 1.38, 1.0, 0.76, 0.54)  # to r: Schlegel et al. 1998


@dataclass(frozen=True)
class SyntheticSky:
    """The tables of one synthetic sky, row for row.

    Attributes
    ----------
    votes : pyarrow.Table
        Columns of `gz2_hart16.csv`.
    metadata : pyarrow.Table
        Columns of `gz2sample.csv`, and ``PSFWIDTH_R`` (arcsec, FWHM).
    truth : pyarrow.Table
        ``id``, ``truth`` (a class of deck-11, ``edge_on`` or ``artifact``), ``odd`` and what the galaxy is drawn from.
    """

    votes: pa.Table
    metadata: pa.Table
    truth: pa.Table


def synthetic_sky(count: int, seed: int) -> SyntheticSky:
    """Draw a synthetic sky.

    Parameters
    ----------
    count : int
        Number of galaxies.
    seed : int
        Another seed gives other ids, positions and shapes.
    """
    blocks = [_draw_block(number, seed) for number in range(-(-count // BLOCK))]
    votes, metadata, truth = (pa.concat_tables(tables).slice(0, count) for tables in zip(*blocks, strict=True))
    return SyntheticSky(votes.combine_chunks(), metadata.combine_chunks(), truth.combine_chunks())


def _draw_block(number: int, seed: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    place_rng, shape_rng, vote_rng, sky_rng = (
        np.random.default_rng(stream) for stream in np.random.SeedSequence([seed, number]).spawn(4)
    )
    ra_deg, dec_deg, host = _draw_places(number, seed, place_rng)
    shapes = draw_shapes(host, shape_rng)
    run, camcol, field, obj, objid = _object_ids(number, seed)
    votes = {"dr7objid": objid, "ra": ra_deg.round(6), "dec": dec_deg.round(6)}
    votes |= {"rastring": _sexagesimal(ra_deg / 15, 2), "decstring": _sexagesimal(dec_deg, 1, signed=True)}
    votes |= {"sample": np.where(sky_rng.random(BLOCK) < 0.09, "extra", "original")}
    votes |= draw_votes(shapes, vote_rng)
    metadata = {"OBJID": objid, "RUN": run, "RERUN": np.full(BLOCK, _RERUN), "CAMCOL": camcol}
    metadata |= {"FIELD": field, "OBJ": obj, "RA": ra_deg, "DEC": dec_deg} | _photometry(shapes, sky_rng)
    truth = {"id": objid.astype(str), "ra_deg": ra_deg, "dec_deg": dec_deg} | shapes
    return pa.table(votes), pa.table(metadata), pa.table(truth)


def _draw_places(number: int, seed: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ra_deg, dec_deg and the row of the first galaxy of each galaxy's group, (BLOCK,) each."""
    sizes = rng.choice(3, BLOCK, p=_GROUP_SIZES) + 1
    group = np.repeat(np.arange(BLOCK), sizes)[:BLOCK]
    host = np.searchsorted(group, group)
    member = np.arange(BLOCK) - host
    # Group numbers of a block begin at its first row, which is past the last group of the block before.
    centre_ra, centre_dec = group_centres(number * BLOCK + np.arange(BLOCK), seed, rng)
    low, high = np.log(_COMPANION_ARCSEC)
    offset_deg = np.where(member > 0, np.exp(rng.uniform(low, high, BLOCK)), 0.0) / 3600
    # Companions of one host are in different quadrants, so that none covers another.
    angle = rng.uniform(0, 2 * np.pi, BLOCK)[host] + member * 2.4 + rng.uniform(-0.4, 0.4, BLOCK)
    dec = centre_dec[group] + offset_deg * np.cos(angle)
    ra = centre_ra[group] + offset_deg * np.sin(angle) / np.cos(np.radians(dec))
    return ra % 360, dec, host


def _object_ids(number: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return run, camcol, field, obj and the 64-bit DR7 id packed from them."""
    row = number * BLOCK + np.arange(BLOCK, dtype=np.int64)
    run = np.full(BLOCK, 94 + seed % 60_000, np.int64)
    camcol, field, obj = 1 + row % 6, 11 + row // 6 % 4000, 10 + row // 24_000
    objid = (1 << 59) | (_RERUN << 48) | (run << 32) | (camcol << 29) | (field << 16) | obj
    return run, camcol, field, obj, objid


def _photometry(shapes: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return radii, magnitudes, extinction and redshift as a photometric pipeline measures them."""
    count = len(shapes["r_mag"])
    g_r, r_i = shapes["g_r"], shapes["r_i"]
    u_g, i_z = 1.9 * g_r + 0.15, 0.6 * r_i + 0.05
    from_r = {"U": g_r + u_g, "G": g_r, "R": np.zeros(count), "I": -r_i, "Z": -r_i - i_z}
    columns = {
        "PETROR50_R": shapes["r50_arcsec"] * rng.lognormal(0, 0.03, count),
        "PETROR90_R": shapes["r90_arcsec"] * rng.lognormal(0, 0.04, count),
    }
    for band in _BANDS:
        columns[f"PETROMAG_{band}"] = shapes["r_mag"] + from_r[band] + rng.normal(0, 0.02, count)
    for band, ratio in zip(_BANDS, _EXTINCTION_RATIOS, strict=True):
        columns[f"EXTINCTION_{band}"] = ratio * shapes["extinction_r"]
    columns = {name: values.round(5) for name, values in columns.items()}
    columns["REDSHIFT"] = np.where(rng.random(count) < 0.003, np.nan, shapes["redshift"].round(6))
    columns["REDSHIFTERR"] = rng.lognormal(np.log(1.2e-4), 0.3, count).round(7)
    columns["PSFWIDTH_R"] = shapes["psf_fwhm_arcsec"].round(4)
    return columns


def _sexagesimal(values: np.ndarray, decimals: int, signed: bool = False) -> np.ndarray:
    """Return hours or degrees (n,) as text HH:MM:SS.s; -00 keeps its sign."""
    unit = 3600 * 10**decimals
    ticks = np.rint(np.abs(values) * unit).astype(np.int64)
    hours, rest = np.divmod(ticks, unit)
    minutes, rest = np.divmod(rest, unit // 60)
    seconds, fraction = np.divmod(rest, 10**decimals)
    sign = np.where(values < 0, "-", "+" if signed else "")
    parts = zip(sign, hours, minutes, seconds, fraction, strict=True)
    return np.array([f"{s}{h:02d}:{m:02d}:{sec:02d}.{f:0{decimals}d}" for s, h, m, sec, f in parts])

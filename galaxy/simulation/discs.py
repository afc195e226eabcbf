"""Light of a disc galaxy before the atmosphere: old disc, bar, arms and clumps, and the dust in front.

Everything is drawn in the disc's own plane: radii in units of the galaxy's R90, angles from the line of nodes.
Arrays are (height, width) float32 on the caller's pixel grid; each light map sums to 1 unless it is empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = Mapping[str, Any]

_BAR_WIDTH = 0.30  # of its length
_TEXTURE_WAVES = 4


@dataclass(frozen=True)
class DiscLight:
    """Maps of one disc galaxy.

    Attributes
    ----------
    old : ndarray
        Smooth disc.
    young : ndarray
        Arms and ring.
    bar : ndarray
    opacity : ndarray
        Optical depth of dust in r.
    clumps : tuple of ndarray
        x, y (R90, in the sky's frame along the major and minor axis) and share of the clumps' light.
    """

    old: np.ndarray
    young: np.ndarray
    bar: np.ndarray
    opacity: np.ndarray
    clumps: tuple[np.ndarray, np.ndarray, np.ndarray]


def draw_disc(row: Row, major: np.ndarray, minor: np.ndarray) -> DiscLight:
    """Draw an inclined disc.

    Parameters
    ----------
    row : mapping
        One galaxy of `galaxy.simulation.shapes.draw_shapes`.
    major, minor : ndarray, (height, width) float32
        Offsets from the centre along the galaxy's axes on the sky, in R90.
    """
    rng = np.random.default_rng(int(row["texture_seed"]))
    across = minor / np.float32(row["axis_ratio"])
    radius = np.sqrt(major**2 + across**2)
    angle = np.arctan2(across, major)
    scale = np.float32(row["disc_r90_share"])
    smooth = np.exp(-radius / scale)
    wave = _arm_wave(row, radius, angle, 0.0, rng)
    inner = _arm_start(row)
    arms_begin = _step(radius - inner, 0.05) * (1 - _step(radius - 1.15, 0.12))
    contrast = np.float32(row["arm_contrast"]) * arms_begin
    lane = _arm_wave(row, radius, angle, -0.7, None)
    broad = np.exp(-radius / (1.25 * scale))
    young = broad * wave * arms_begin + 3 * float(row["ring"]) * _ring(row, radius)
    return DiscLight(
        old=_normalised(smooth * (1 + contrast * (wave - 1)) + smooth.max() * row["ring"] * 0.2 * _ring(row, radius)),
        young=_normalised(young),
        bar=_normalised(_bar(row, major, across)),
        opacity=(np.float32(row["dust"]) * 0.5 * lane * arms_begin * np.exp(-radius)).astype(np.float32),
        clumps=_clumps(row, rng),
    )


def draw_edge_on(row: Row, major: np.ndarray, minor: np.ndarray) -> DiscLight:
    """Draw an edge-on disc (height, width): exponential radially, sech squared vertically, dust in its plane."""
    rng = np.random.default_rng(int(row["texture_seed"]))
    scale = np.float32(row["disc_r90_share"])
    thickness = np.float32(0.35 * row["axis_ratio"])
    along = np.exp(-np.abs(major) / scale) * (1 + 0.25 * np.float32(row["flocculence"]) * np.cos(major * 19 + 1.3))
    across = 1 / np.cosh(np.clip(minor / thickness, -20, 20)) ** 2
    thin = 1 / np.cosh(np.clip(minor / (0.5 * thickness), -20, 20)) ** 2
    lane = np.exp(-np.abs(major) / (1.6 * scale) - ((minor - 0.15 * thickness) / (0.35 * thickness)) ** 2 / 2)
    count = int(row["clumps"]) // 2
    places = rng.normal(0, 0.5, count), rng.normal(0, 0.2 * thickness, count), rng.dirichlet(np.ones(max(count, 1)))
    return DiscLight(
        old=_normalised(along * across),
        young=_normalised(along * thin),
        bar=np.zeros_like(major),
        opacity=(np.float32(1.2 * row["dust"]) * lane).astype(np.float32),
        clumps=(places[0], places[1], places[2][:count]),
    )


def _arm_start(row: Row) -> float:
    """Return where arms begin: at the bar's ends, else just outside the bulge."""
    bar = 0.85 * row["bar_r90_share"] if row["bar_strength"] > 0.2 else 0.0
    return float(max(bar, 0.10 + 0.10 * row["prominence"]))


def _arm_wave(
    row: Row, radius: np.ndarray, angle: np.ndarray, ahead_rad: float, rng: np.random.Generator | None
) -> np.ndarray:
    """Return logarithmic arms as a factor of mean about 1 over each circle; with `rng`, broken up by flocculence."""
    number = int(row["arms"])
    tangent = np.float32(1 / np.tan(np.radians(row["pitch_deg"])))
    log_radius = np.log(radius + 0.02)
    start = row["bar_angle_rad"] if row["bar_strength"] > 0.2 else row["arm_phase_rad"]
    turn = angle - np.float32(start) - tangent * (log_radius - np.float32(np.log(_arm_start(row))))
    sway = 0.25 * np.sin(2.1 * log_radius + np.float32(row["arm_phase_rad"]))
    sharpness = np.float32(3.2 / np.sqrt(number))
    wave = np.exp(sharpness * (np.cos(number * (turn + sway) + np.float32(ahead_rad)) - 1))
    wave *= 1 + 0.35 * np.cos(turn + np.float32(row["arm_phase_rad"]))  # no galaxy's arms are equally bright
    if rng is not None and row["flocculence"] > 0:
        wave = wave + np.float32(0.55 * row["flocculence"]) * (_patches(rng, angle, log_radius, tangent) - wave)
    return wave / max(float(wave.mean()), 1e-6)


def _patches(rng: np.random.Generator, angle: np.ndarray, log_radius: np.ndarray, tangent: np.floating) -> np.ndarray:
    """Return ragged pieces of arms: a few sheared waves, positive, of order 1."""
    total = np.zeros_like(angle)
    for _ in range(_TEXTURE_WAVES):
        order = int(rng.integers(3, 10))
        shear = np.float32(order * tangent * rng.uniform(0.5, 1.3))
        total += np.cos(order * angle - shear * log_radius + np.float32(rng.uniform(0, 2 * np.pi)))
    return np.exp(0.9 * total - 0.9)


def _ring(row: Row, radius: np.ndarray) -> np.ndarray:
    return np.exp(-(((radius - np.float32(row["ring_r90_share"])) / 0.06) ** 2) / 2)


def _bar(row: Row, major: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return a boxy bar with a flat middle and sharp ends."""
    if row["bar_strength"] <= 0:
        return np.zeros_like(major)
    length = np.float32(row["bar_r90_share"])
    cosine, sine = np.float32(np.cos(row["bar_angle_rad"])), np.float32(np.sin(row["bar_angle_rad"]))
    along = np.abs(cosine * major + sine * across) / length
    aside = np.abs(cosine * across - sine * major) / (length * _BAR_WIDTH)
    box = np.sqrt(np.sqrt(along**4 + aside**4))
    return np.exp(-0.8 * along) * (1 - _step(box - 1, 0.10))


def _step(value: np.ndarray, width: float) -> np.ndarray:
    """Return a smooth step from 0 to 1 at value 0."""
    return 1 / (1 + np.exp(-np.clip(value / np.float32(width), -30, 30)))


def _clumps(row: Row, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return star-forming knots along the arms, with some scatter."""
    count = int(row["clumps"])
    radius = np.clip(rng.gamma(3.0, 0.19, count), _arm_start(row), 1.1)
    arm = rng.integers(0, int(row["arms"]), count)
    tangent = 1 / np.tan(np.radians(row["pitch_deg"]))
    start = row["bar_angle_rad"] if row["bar_strength"] > 0.2 else row["arm_phase_rad"]
    angle = start + tangent * np.log(radius / _arm_start(row)) + 2 * np.pi * arm / int(row["arms"])
    angle += rng.normal(0, 0.25 + 0.6 * row["flocculence"], count)
    light = rng.dirichlet(np.full(max(count, 1), 1.2))[:count]
    return radius * np.cos(angle), radius * np.sin(angle) * row["axis_ratio"], light


def _normalised(light: np.ndarray) -> np.ndarray:
    total = float(light.sum())
    return (light / total if total > 0 else light).astype(np.float32)

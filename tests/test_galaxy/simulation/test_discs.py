"""Maps of a disc galaxy: normalised light, symmetry, thickness, dust, and where arms begin."""

import numpy as np
import pytest

from galaxy.simulation.discs import draw_disc, draw_edge_on

PLAIN = {
    "texture_seed": 3,
    "axis_ratio": 0.5,
    "disc_r90_share": 0.3,
    "arms": 2,
    "pitch_deg": 15.0,
    "arm_phase_rad": 0.4,
    "arm_contrast": 0.0,
    "flocculence": 0.0,
    "clumps": 6,
    "bar_strength": 0.0,
    "bar_r90_share": 0.4,
    "bar_angle_rad": 0.7,
    "dust": 0.5,
    "ring": 0.0,
    "ring_r90_share": 0.5,
    "prominence": 0.3,
}
AXIS = np.linspace(-2, 2, 201, dtype=np.float32)
MINOR, MAJOR = np.meshgrid(AXIS, AXIS, indexing="ij")


def test_a_plain_disc_is_exponential_on_ellipses() -> None:
    light = draw_disc(PLAIN, MAJOR, MINOR)
    assert light.old.sum() == pytest.approx(1, rel=1e-4)
    centre = light.old[100, 100]
    assert light.old[100, 130] / centre == pytest.approx(np.exp(-0.6 / 0.3), rel=1e-3)
    assert light.old[115, 100] / centre == pytest.approx(np.exp(-0.3 / 0.5 / 0.3), rel=1e-3)
    np.testing.assert_allclose(light.old, light.old[::-1, ::-1], rtol=1e-4)
    assert not light.bar.any()


def test_arms_ring_and_bar_add_light_of_their_own() -> None:
    light = draw_disc(PLAIN | {"arm_contrast": 0.9, "bar_strength": 0.8, "ring": 0.6}, MAJOR, MINOR)
    for part in (light.old, light.young, light.bar):
        assert part.sum() == pytest.approx(1, rel=1e-4)
        assert part.min() >= 0
    assert light.bar[100, 100] > light.bar[100, 180]


def test_dust_scales_the_opacity() -> None:
    thin, thick = (draw_disc(PLAIN | {"dust": dust}, MAJOR, MINOR).opacity for dust in (0.5, 1.0))
    np.testing.assert_allclose(thick, 2 * thin, rtol=1e-5)
    assert thin.max() > 0
    assert not draw_disc(PLAIN | {"dust": 0.0}, MAJOR, MINOR).opacity.any()


def test_clumps_share_their_light() -> None:
    x, y, share = draw_disc(PLAIN, MAJOR, MINOR).clumps
    assert len(x) == len(y) == len(share) == 6
    assert share.sum() == pytest.approx(1)
    assert all(len(part) == 0 for part in draw_disc(PLAIN | {"clumps": 0}, MAJOR, MINOR).clumps)


def test_an_edge_on_disc_is_thin_and_has_its_lane_off_the_plane() -> None:
    light = draw_edge_on(PLAIN | {"axis_ratio": 0.2}, MAJOR, MINOR)
    assert light.old.sum() == pytest.approx(1, rel=1e-4)
    thickness = 0.35 * 0.2
    profile = light.old[:, 100] / light.old[100, 100]
    assert profile[105] == pytest.approx(1 / np.cosh(AXIS[105] / thickness) ** 2, rel=1e-3)
    assert light.young[105, 100] / light.young[100, 100] < profile[105]
    assert AXIS[light.opacity[:, 100].argmax()] == pytest.approx(0.15 * thickness, abs=0.02)
    assert not light.bar.any()
    assert len(light.clumps[2]) == 3

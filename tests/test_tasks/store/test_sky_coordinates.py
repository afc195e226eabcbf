"""Unit vectors and separations on the sky agree with astropy's, at RA 0 and the poles too."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from tasks.store.sky_coordinates import chord, separations_arcsec, unit_vectors


def test_unit_vectors_point_where_the_axes_do():
    vectors = unit_vectors([0, 90, 180, 17], [0, 0, 0, 90])
    np.testing.assert_allclose(vectors, [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-15)
    assert np.isnan(unit_vectors([10.0], [np.nan])).any()


def test_unit_vectors_are_those_of_astropy():
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 50), rng.uniform(-90, 90, 50)
    np.testing.assert_allclose(unit_vectors(ra, dec), SkyCoord(ra, dec, unit="deg").cartesian.xyz.value.T, atol=1e-15)


@pytest.mark.parametrize("separation", [0.001, 2.0, 60.0, 3600.0])
@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.9999, 12.0), (42.0, 89.99), (42.0, -89.99)])
def test_separations_and_chords_are_those_of_astropy(ra, dec, separation):
    start = SkyCoord(ra, dec, unit="deg")
    end = start.directional_offset_by(30 * u.deg, separation * u.arcsec)
    pair = unit_vectors([ra], [dec]), unit_vectors([end.ra.deg], [end.dec.deg])
    assert separations_arcsec(*pair) == pytest.approx([separation], rel=1e-6, abs=1e-6)
    assert np.linalg.norm(pair[0] - pair[1]) == pytest.approx(chord(separation), rel=1e-6, abs=1e-11)


def test_opposite_positions_are_half_a_turn_apart():
    assert separations_arcsec(unit_vectors([0], [0]), unit_vectors([180], [0])) == pytest.approx([180 * 3600])
    assert chord(180 * 3600) == pytest.approx(2)

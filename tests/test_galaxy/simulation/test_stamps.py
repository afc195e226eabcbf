"""Points and blobs on a pixel grid: flux, position, width and orientation by their moments."""

import numpy as np
import pytest

from galaxy.simulation.stamps import add_blob, add_points

FLUX = np.array([1.0, 2.0, 4.0])


def moments(image: np.ndarray) -> tuple[float, float, float, np.ndarray]:
    """Return total, column, line and the second moments ((xx, xy), (xy, yy)) of an image."""
    y, x = np.indices(image.shape)
    total = image.sum()
    column, line = (image * x).sum() / total, (image * y).sum() / total
    x, y = x - column, y - line
    second = np.array([[(image * a * b).sum() for b in (x, y)] for a in (x, y)]) / total
    return float(total), float(column), float(line), second


@pytest.mark.parametrize(("column", "line"), [(10.0, 12.0), (10.25, 12.5), (9.9, 12.75)])
def test_a_point_keeps_flux_place_and_width(column: float, line: float) -> None:
    grid = np.zeros((3, 25, 21), np.float32)
    add_points(grid, np.array([column]), np.array([line]), FLUX[None])
    for band, flux in zip(grid, FLUX, strict=True):
        total, x, y, second = moments(band.astype(float))
        assert (total, x, y) == pytest.approx((flux, column, line), abs=1e-5)
        assert second == pytest.approx(np.zeros((2, 2)), abs=1e-5)


def test_a_point_on_a_pixel_is_in_that_pixel_alone_and_points_add_up() -> None:
    grid = np.zeros((3, 6, 6), np.float32)
    add_points(grid, np.array([2.0, 2.0]), np.array([3.0, 3.0]), np.stack([FLUX, FLUX]))
    assert grid[:, 3, 2].tolist() == [2.0, 4.0, 8.0]
    assert np.count_nonzero(grid) == 3


def test_a_point_off_the_grid_leaves_nothing_and_one_at_the_edge_its_part() -> None:
    grid = np.zeros((3, 5, 5), np.float32)
    add_points(grid, np.array([-3.0, 2.0]), np.array([2.0, 8.0]), np.ones((2, 3)))
    assert not grid.any()
    add_points(grid, np.array([0.0, 4.0]), np.array([0.0, 4.0]), np.ones((2, 3)))
    assert grid[0, 0, 0] == grid[0, 4, 4] == 1.0


def test_a_blob_has_its_flux_centre_axis_ratio_and_angle() -> None:
    size, ratio, angle = 3.0, 0.5, 0.6
    grid = np.zeros((3, 121, 131), np.float32)
    add_blob(grid, (64.3, 60.6), FLUX, size, (ratio, angle))
    totals = grid.sum(axis=(1, 2), dtype=float)
    assert totals / totals[0] == pytest.approx(FLUX, rel=1e-5)
    total, column, line, second = moments(grid[0].astype(float))
    assert total == pytest.approx(1, abs=0.06)  # six scale lengths hold 98 % of the light
    assert (column, line) == pytest.approx((64.3, 60.6), abs=0.1)
    values, vectors = np.linalg.eigh(second)
    assert np.sqrt(values[0] / values[1]) == pytest.approx(ratio, abs=0.05)
    assert abs(vectors[:, 1] @ (np.cos(angle), np.sin(angle))) == pytest.approx(1, abs=0.01)


def test_a_blob_is_cut_at_the_grid_and_nothing_off_it() -> None:
    whole = np.zeros((3, 80, 80), np.float32)
    add_blob(whole, (40.0, 40.0), FLUX, 2.0, (0.7, 0.3))
    corner = np.zeros((3, 45, 45), np.float32)
    add_blob(corner, (5.0, 5.0), FLUX, 2.0, (0.7, 0.3))
    np.testing.assert_array_equal(corner[:, :20, :20], whole[:, 35:55, 35:55])
    for centre in ((-40.0, 20.0), (20.0, -40.0)):
        grid = np.zeros((3, 45, 45), np.float32)
        add_blob(grid, centre, FLUX, 2.0, (0.7, 0.3))
        assert not grid.any()

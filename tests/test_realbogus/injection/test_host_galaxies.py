"""Galaxies of a catalogue: found on the frames that show them, read from tables as people have them."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS

from realbogus.injection.host_galaxies import DEFAULT_RADIUS_ARCSEC, GalaxyTable, no_hosts, read_galaxies
from realbogus.injection.inject import Hosts
from realbogus.records import SourceError

SHAPE = (300, 400)


def tangent(ra=150.0, dec=20.0, turn_deg=0.0, scale_arcsec=1.2):
    """A tangent plane about the frame's middle, north turned from up to the left, east to the left of north."""
    turn, scale = np.radians(turn_deg), scale_arcsec / 3600
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [ra, dec], [200.5, 150.5]
    wcs.wcs.cd = scale * np.array([[-np.cos(turn), -np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return wcs


def listed(ra, dec, mag=18.0, radius=3.0, ratio=0.5, angle=0.0):
    ra, dec = np.atleast_1d(np.asarray(ra, float)), np.atleast_1d(np.asarray(dec, float))
    return GalaxyTable(
        ra, dec, *(np.broadcast_to(value, ra.shape).astype(float) for value in (mag, radius, ratio, angle))
    )


@pytest.mark.parametrize("ra", [150.0, 0.001, 359.999])
@pytest.mark.parametrize("dec", [-89.9, -30.0, 0.0, 89.9])
def test_what_lies_on_the_frame_is_found_where_it_lies(ra, dec):
    wcs, rng = tangent(ra, dec), np.random.default_rng(1)
    x, y = rng.uniform(-300, 700, 500), rng.uniform(-300, 600, 500)
    inside = (x > -0.5) & (x < 399.5) & (y > -0.5) & (y < 299.5)
    hosts = listed(*wcs.all_pix2world(x, y, 0)).on_frame(wcs, SHAPE)
    np.testing.assert_allclose(hosts.x, x[inside], atol=1e-5)
    np.testing.assert_allclose(hosts.y, y[inside], atol=1e-5)
    assert {len(getattr(hosts, field.name)) for field in fields(Hosts)} == {int(inside.sum())}


def test_a_frame_without_galaxies_has_none():
    wcs = tangent()
    for table in (listed([330.0, 150.0], [-20.0, 21.0]), listed([], [])):
        hosts = table.on_frame(wcs, SHAPE)
        assert {len(getattr(hosts, field.name)) for field in fields(Hosts)} == {0}
    assert len(no_hosts().x) == 0


@pytest.mark.parametrize("turn_deg", [0.0, 35.0, 200.0])
@pytest.mark.parametrize("angle_deg", [0.0, 50.0, 90.0, 140.0])
def test_the_major_axis_points_where_the_position_angle_says(turn_deg, angle_deg):
    (host,) = (listed(150.0, 20.0, angle=angle_deg).on_frame(tangent(turn_deg=turn_deg), SHAPE).angle_rad,)
    # North is up and turned to the left; the angle grows from north to east, which lies to its left.
    expected = np.pi / 2 + np.radians(turn_deg + angle_deg)
    assert np.angle(np.exp(2j * (host - expected)))[0] == pytest.approx(0, abs=1e-3)


def test_a_simulated_catalogue_gives_the_hosts_of_the_simulation(cases):
    visit, hosts = cases["reference"].simulated, cases["reference"].hosts
    galaxies = visit.galaxies
    names = [field.name for field in fields(GalaxyTable)]
    seen = GalaxyTable(**{name: getattr(galaxies, name) for name in names}).on_frame(
        visit.pair.new.wcs, visit.pair.new.shape
    )
    np.testing.assert_allclose(seen.x, hosts.x, atol=1e-3)
    np.testing.assert_allclose(seen.y, hosts.y, atol=1e-3)
    assert np.abs(np.angle(np.exp(2j * (seen.angle_rad - hosts.angle_rad)))).max() < 0.01
    np.testing.assert_allclose(seen.flux / seen.flux.sum(), hosts.flux / hosts.flux.sum(), rtol=1e-9)


def test_hosts_are_weighed_by_their_light():
    wcs = tangent()
    hosts = listed(*wcs.all_pix2world([100, 200], [100, 200], 0), mag=np.array([16.0, 18.5])).on_frame(wcs, SHAPE)
    assert hosts.flux[0] / hosts.flux[1] == pytest.approx(10)


@pytest.mark.parametrize("name", ["a.csv", "a.fits", "a.ecsv", "a.vot"])
def test_tables_are_read_in_every_format_and_by_usual_names(tmp_path, name):
    table = Table(
        {"RA": [10.5, 11.0], "Dec": [-3.0, 4.0], "r_mag": [17.0, 18.0], "petroR50_r": [2.5, 4.5], "B_A": [0.4, 1]}
    )
    table.write(tmp_path / name, **({"format": "votable"} if name.endswith("vot") else {}))
    read = read_galaxies(tmp_path / name)
    for column, expected in {
        "ra_deg": [10.5, 11.0],
        "dec_deg": [-3.0, 4.0],
        "mag": [17.0, 18.0],
        "radius_arcsec": [2.5, 4.5],
        "axis_ratio": [0.4, 1.0],
        "position_angle_deg": [0.0, 0.0],
    }.items():
        values = getattr(read, column)
        assert type(values) is np.ndarray
        np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_what_a_row_lacks_is_filled_or_the_row_left_out(tmp_path):
    (tmp_path / "a.csv").write_text(
        "ra_deg,dec_deg,mag,radius_arcsec,axis_ratio,pa\n"
        "10,20,18,3,0.5,30\n"
        "11,21,19,-99,-1,\n"
        "12,22,,3,0.5,30\n"
        "13,23,99,3,0.5,30\n"
        "14,24,-999,3,0.5,30\n"
        ",25,18,3,0.5,30\n"
        "16,-95,18,3,0.5,30\n"
    )
    read = read_galaxies(tmp_path / "a.csv")
    assert read.ra_deg.tolist() == [10, 11]
    assert read.radius_arcsec.tolist() == [3, DEFAULT_RADIUS_ARCSEC]
    assert read.axis_ratio.tolist() == [0.5, 1.0]
    assert read.position_angle_deg.tolist() == [30, 0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "ra,dec\n1,2\n", r"has no column mag \(mag, r_mag.*it has ra, dec"),
        ("a.csv", "ra,dec,mag\n1,2,\n,3,4\n", "has no row with a position and a magnitude"),
        ("a.csv", "ra,dec,mag\n", "has no row with"),
        ("a.csv", "ra,dec,mag\n1,2,bright\n", "column mag is not numeric: .*bright"),
        ("a.csv", b"\xff\xfe\x00", "cannot be read"),
        ("a.fits", b"SIMPLE  =", "cannot be read"),
        ("a.parquet", "nothing", "cannot be read"),
        ("a.unknown", "1 2 3", r"cannot be read: Format could not be identified[^\n]*$"),
    ],
)
def test_tables_that_are_none_are_refused_by_name(tmp_path, name, text, message):
    path: Path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SourceError, match=rf"galaxy_catalog=\S*{name}.*{message}"):
        read_galaxies(path)


def test_an_absent_table_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"galaxy_catalog=\S*none\.csv does not exist"):
        read_galaxies(tmp_path / "none.csv")


@pytest.mark.parametrize("turn_deg", [0.0, 30.0])
@pytest.mark.parametrize(
    ("x", "y", "is_inside"),
    [
        *((x, 150, True) for x in (-0.49, 399.49)),
        *((x, 150, False) for x in (-0.51, 399.51)),
        *((200, y, True) for y in (-0.49, 299.49)),
        *((200, y, False) for y in (-0.51, 299.51)),
        *((x, y, True) for x in (-0.49, 399.49) for y in (-0.49, 299.49)),
    ],
)
def test_a_galaxy_is_on_the_frame_when_a_pixel_holds_it(x, y, is_inside, turn_deg):
    wcs = tangent(turn_deg=turn_deg)
    assert len(listed(*wcs.all_pix2world(x, y, 0)).on_frame(wcs, SHAPE).x) == is_inside


def test_the_opposite_of_the_sky_is_not_on_the_frame():
    """Beyond 90 degrees a tangent plane's equations give a place on it too."""
    wcs = tangent(150.0, 20.0)
    assert len(listed([330.0, 330.01], [-20.0, -20.0]).on_frame(wcs, SHAPE).x) == 0


def test_columns_go_with_their_galaxy_and_fluxes_are_in_units_of_the_brightest():
    wcs = tangent()
    ra, dec = wcs.all_pix2world([100, 900, 250], [50, 50, 200], 0)
    hosts = GalaxyTable(
        ra, dec, np.array([18.0, 3.0, 20.5]), np.array([1.0, 2, 3]), np.array([0.5, 0.6, 0.7]), np.zeros(3)
    ).on_frame(wcs, SHAPE)
    assert hosts.mag.tolist() == [18, 20.5]
    assert hosts.radius_arcsec.tolist() == [1, 3]
    assert hosts.axis_ratio.tolist() == [0.5, 0.7]
    assert hosts.flux == pytest.approx([1, 0.1])


@pytest.mark.parametrize(
    ("name", "value", "is_possible"),
    [
        *(("ra", value, True) for value in (-359.9, 0.0, 720.0)),
        *(("ra", value, False) for value in (-360.0, 720.1, 999.0)),
        *(("dec", value, True) for value in (-89.9, 90.0)),
        *(("dec", value, False) for value in (-90.0, 90.1, -99.0)),
        *(("mag", value, True) for value in (0.1, 40.0)),
        *(("mag", value, False) for value in (0.0, 40.1, 99.0, -99.0)),
    ],
)
def test_impossible_positions_and_magnitudes_leave_a_row_out(tmp_path, name, value, is_possible):
    row = {"ra": 10.0, "dec": 5.0, "mag": 18.0} | {name: value}
    lines = [",".join(row), ",".join(map(str, row.values())), "1,2,17"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    assert len(read_galaxies(tmp_path / "a.csv").ra_deg) == 1 + is_possible


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *(("radius_arcsec", value, value) for value in (0.1, 3600.0)),
        *(("radius_arcsec", value, DEFAULT_RADIUS_ARCSEC) for value in (0.0, 3600.1, -99.0)),
        *(("axis_ratio", value, value) for value in (0.01, 1.0)),
        *(("axis_ratio", value, 1.0) for value in (0.0, 1.1, -99.0)),
        *(("position_angle_deg", value, value) for value in (-359.9, 360.0)),
        *(("position_angle_deg", value, 0.0) for value in (-360.0, 360.1, -999.0)),
    ],
)
def test_impossible_shapes_take_their_defaults(tmp_path, name, value, expected):
    (tmp_path / "a.csv").write_text(f"ra,dec,mag,{name}\n1,2,17,{value}\n")
    assert getattr(read_galaxies(tmp_path / "a.csv"), name).tolist() == [expected]


def test_the_default_radius_is_two_arcsec():
    assert DEFAULT_RADIUS_ARCSEC == 2

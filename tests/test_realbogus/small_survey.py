"""Small chips of the simulated survey with enough stars for a PSF and a kernel, for the tests of a whole chip-visit."""

from realbogus.injection import Hosts
from realbogus.simulation import SimulatedVisit, SurveySettings

SMALL = SurveySettings(
    seed=3, height_px=400, width_px=500, stars=6000, transients_per_visit=3, variables=1, asteroids=1, flares=0
)


def hosts_of(visit: SimulatedVisit) -> Hosts:
    """Return the visit's catalogue as injections want it."""
    galaxies = visit.galaxies
    return Hosts(
        x=galaxies.x,
        y=galaxies.y,
        flux=10 ** (-0.4 * galaxies.mag),
        radius_arcsec=galaxies.radius_arcsec,
        axis_ratio=galaxies.axis_ratio,
        angle_rad=galaxies.angle_rad,
        mag=galaxies.mag,
    )

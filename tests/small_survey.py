"""Small chips of the simulated survey with enough stars for a PSF and a kernel, for the tests of a whole chip-visit."""

from realbogus.simulation.survey import SurveySettings

SMALL = SurveySettings(
    seed=3, height_px=400, width_px=500, stars=6000, transients_per_visit=3, variables=1, asteroids=1, flares=0
)

"""The sky behind a chip on one visit: the populations of its field, their events, and its WCS."""

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from realbogus.simulation import scene
from realbogus.simulation.camera import place_detectors
from realbogus.simulation.random_streams import Stream, open_stream
from realbogus.simulation.scene import Events, Galaxies, SceneStars, SourceKind, Variables
from realbogus.simulation.survey_settings import SurveySettings

_MARGIN_PX = 48


@dataclass(frozen=True)
class EventGroup:
    """Events of one kind; each is named `prefix`, a hyphen and its number."""

    kind: SourceKind
    prefix: str
    events: Events


@dataclass(frozen=True)
class FieldScene:
    """The sky behind one chip at one visit, positions in pixels of the field's grid.

    Attributes
    ----------
    stars : SceneStars
    galaxies : Galaxies
    variables : Variables
    event_groups : tuple of EventGroup
    leftovers : Events
        Moving objects left in the reference.
    night : int
    epoch_mjd : float
    wcs : WCS
        Of the field's grid.
    name : str
    """

    stars: SceneStars
    galaxies: Galaxies
    variables: Variables
    event_groups: tuple[EventGroup, ...]
    leftovers: Events
    night: int
    epoch_mjd: float
    wcs: WCS
    name: str


def make_field_wcs(settings: SurveySettings, field: int, chip: int) -> WCS:
    """Return the WCS of a field's grid: tangential at the pointing, north along +y and east along -x."""
    rng = open_stream(settings.seed, Stream.POINTING, field)
    east_deg, north_deg = place_detectors(settings.detectors)[chip]
    scale = settings.pixel_arcsec / 3600
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-0.5, 0.94)))]
    wcs.wcs.cd = [[-scale, 0], [0, scale]]
    centre = (settings.width_px + 1) / 2, (settings.height_px + 1) / 2
    wcs.wcs.crpix = [centre[0] + east_deg / scale, centre[1] - north_deg / scale]
    wcs.wcs.set()
    return wcs


def shift_wcs(wcs: WCS, shift_px: tuple[float, float]) -> WCS:
    """Return the WCS of a frame whose pixel positions are those of the field's grid plus a shift."""
    moved = wcs.deepcopy()
    moved.wcs.crpix = [wcs.wcs.crpix[0] + shift_px[0], wcs.wcs.crpix[1] + shift_px[1]]
    moved.wcs.set()
    return moved


def draw_scene(
    settings: SurveySettings, cell: tuple[int, int], night: int, visit: int, epoch_mjd: float, wcs: WCS
) -> FieldScene:
    """Draw a sky cell (field, chip) on one visit.

    Stars, galaxies, variables and the reference's leftovers depend on the cell alone, transients on the cell and the
    night, asteroids and flares on the visit.
    """
    extent = scene.Extent(settings.width_px, settings.height_px, _MARGIN_PX)
    rng = open_stream(settings.seed, Stream.FIELD, *cell)
    stars = scene.draw_stars_of_field(rng, extent, settings.stars * settings.area_share)
    galaxies = scene.draw_galaxies_of_field(rng, extent, settings.galaxies * settings.area_share)
    variables = scene.draw_variables(rng, extent, galaxies, settings.variables_on_chip)
    leftovers = scene.draw_asteroids(rng, extent, settings.reference_asteroids * settings.area_share, night)
    passing = open_stream(settings.seed, Stream.EVENTS, *cell, night, visit)
    name = f"{cell[0]}-{cell[1]}"
    visit_name = f"{name}-{night}-{visit}"
    groups = [
        EventGroup(
            SourceKind.ASTEROID,
            f"A{visit_name}",
            scene.draw_asteroids(passing, extent, settings.asteroids, night),
        ),
        EventGroup(
            SourceKind.FLARE, f"F{visit_name}", scene.draw_flares(passing, extent, stars, settings.flares, night)
        ),
    ]
    groups += _draw_transients(settings, cell, extent, galaxies, night)
    return FieldScene(stars, galaxies, variables, tuple(groups), leftovers, night, epoch_mjd, wcs, name)


def _draw_transients(
    settings: SurveySettings, cell: tuple[int, int], extent: scene.Extent, galaxies: Galaxies, night: int
) -> list[EventGroup]:
    """Draw the transients that started in this block of nights and in the previous one, as they are on the night."""
    groups = []
    block = night // scene.EVENT_NIGHTS
    for number in (block, block - 1):
        # Blocks count from -1, stream keys from 0.
        rng = open_stream(settings.seed, Stream.EVENTS, *cell, number + 1)
        rate = settings.transients_per_visit
        first = number * scene.EVENT_NIGHTS
        events = scene.draw_transients(rng, extent, galaxies, settings.pixel_arcsec, rate, first)
        prefix = f"T{cell[0]}-{cell[1]}-{number + 1}"
        groups.append(EventGroup(SourceKind.TRANSIENT, prefix, scene.fade_transients(events, night)))
    return groups

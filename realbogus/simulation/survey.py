"""A simulated survey like that of Tomo-e Gozen: pairs of a new and a reference frame, with their hidden truth.

No bogus detections are drawn as such: they arise from registration, point spread functions, saturation, the detector,
particle hits and satellites. Everything is a pure function of settings, night, chip, visit and field.
"""

from dataclasses import dataclass

from realbogus.frames import Pair
from realbogus.simulation.camera import Detector, DetectorFault, build_detector, build_fault
from realbogus.simulation.conditions import draw_conditions, draw_reference_conditions
from realbogus.simulation.light_by_origin import LightByOrigin
from realbogus.simulation.night_conditions import NightConditions
from realbogus.simulation.observation import observe_new, observe_reference
from realbogus.simulation.random_streams import Stream, open_stream
from realbogus.simulation.randomisation import draw_variety, vary_settings
from realbogus.simulation.sky import FieldScene, draw_scene, make_field_wcs
from realbogus.simulation.survey_settings import SurveySettings
from realbogus.simulation.truth_tables import (
    KnownObject,
    SurveyGalaxies,
    TrueSource,
    catalogue_galaxies,
    list_known_objects,
    list_true_sources,
)

__all__ = ["SimulatedVisit", "Survey", "SurveySettings"]

VISITS_PER_NIGHT = 1000
FIRST_MJD = 59000.0
_VISIT_D = 0.0004


@dataclass(frozen=True)
class SimulatedVisit:
    """One chip at one visit.

    Attributes
    ----------
    pair : Pair
        Not aligned: the frames differ by a shift, which their WCS account for.
    light : LightByOrigin
    truth : tuple of TrueSource
        Sources inside the new frame that truly changed.
    galaxies : SurveyGalaxies
        A galaxy catalogue with realistic errors, incomplete at the faint end.
    seeing_fwhm_arcsec : float
        FWHM of the new frame's point spread function at the chip's centre, optics included.
    """

    pair: Pair
    light: LightByOrigin
    truth: tuple[TrueSource, ...]
    galaxies: SurveyGalaxies
    seeing_fwhm_arcsec: float


@dataclass(frozen=True)
class _VisitNumbers:
    """Numbers that identify one chip-visit."""

    night: int
    chip: int
    visit: int
    field: int


class Survey:
    """A simulated survey; each of its chip-visits is made on demand.

    Parameters
    ----------
    settings : SurveySettings
    special : NightConditions, optional
        Seeing, clouds and the faulty chip of the nights that are made.
    """

    def __init__(self, settings: SurveySettings, special: NightConditions | None = None):
        self.settings = settings
        self.special = (special or NightConditions()).require_chip(settings.detectors)

    def chip_visit(self, night: int, chip: int, visit: int, field: int | None = None) -> SimulatedVisit:
        """Simulate one chip-visit.

        Parameters
        ----------
        night : int
            0 or more.
        chip : int
            0 to the number of detectors minus 1.
        visit : int
            0 to 999 within the night.
        field : int, optional
            Number of the pointing; by default one used by this visit only. Visits of one field share stars, galaxies,
            variables and the reference, and within a night the transients.

        Raises
        ------
        ValueError
            A number is out of range.
        """
        numbers = self._check(night, chip, visit, field)
        settings = self.settings
        detector = self._detector(chip)
        sky = self._draw_sky(numbers)
        keys = (numbers.field, chip, night, visit)
        variety = draw_variety(settings, open_stream(settings.seed, Stream.VARIETY, *keys))
        drawn = draw_conditions(
            vary_settings(settings, variety),
            open_stream(settings.seed, Stream.NIGHT, night),
            open_stream(settings.seed, Stream.VISIT, chip, night, visit, numbers.field),
        )
        conditions = self.special.impose_on(drawn)
        of_reference = draw_variety(
            settings, open_stream(settings.seed, Stream.REFERENCE_VARIETY, numbers.field, chip), of_reference=True
        )
        reference_rng = open_stream(settings.seed, Stream.REFERENCE, numbers.field, chip)
        noise_rng = open_stream(settings.seed, Stream.NOISE, *keys)
        new = observe_new(settings, detector, sky, conditions, variety, noise_rng, self._fault(chip))
        reference_conditions = draw_reference_conditions(vary_settings(settings, of_reference), reference_rng)
        reference = observe_reference(settings, detector, sky, reference_conditions, of_reference, reference_rng)
        return SimulatedVisit(
            pair=Pair(
                new=new.frame,
                reference=reference.frame,
                aligned=False,
                detector=name_detector(chip),
                night=f"{night:05d}",
                visit=visit,
                sky_cell=f"field{numbers.field:07d}-{name_detector(chip)}",
                epoch_mjd=sky.epoch_mjd,
            ),
            light=LightByOrigin(new.light, reference.light, conditions.shift_px),
            truth=list_true_sources(sky, new.sources, settings),
            galaxies=catalogue_galaxies(
                sky,
                conditions.shift_px,
                settings,
                open_stream(settings.seed, Stream.CATALOGUE, numbers.field, chip),
            ),
            seeing_fwhm_arcsec=new.fwhm_arcsec,
        )

    def known_objects(self, night: int, chip: int, visit: int, field: int | None = None) -> tuple[KnownObject, ...]:
        """Return the changing sources of a chip-visit that other surveys list: most of the brighter ones.

        No pixels are drawn, so this is fast; parameters and errors as in `chip_visit`.
        """
        numbers = self._check(night, chip, visit, field)
        rng = open_stream(self.settings.seed, Stream.LISTING, numbers.field, chip)
        return list_known_objects(self._draw_sky(numbers), self.settings, rng)

    def _check(self, night: int, chip: int, visit: int, field: int | None) -> _VisitNumbers:
        if night < 0:
            raise ValueError(f"night {night}: nights count from 0")
        if not 0 <= chip < self.settings.detectors:
            raise ValueError(f"chip {chip}: the survey has detectors 0 to {self.settings.detectors - 1}")
        if not 0 <= visit < VISITS_PER_NIGHT:
            raise ValueError(f"visit {visit}: a night has visits 0 to {VISITS_PER_NIGHT - 1}")
        if field is not None and field < 0:
            raise ValueError(f"field {field}: fields count from 0")
        return _VisitNumbers(night, chip, visit, night * VISITS_PER_NIGHT + visit if field is None else field)

    def _detector(self, chip: int) -> Detector:
        settings = self.settings
        return build_detector(settings.seed, chip, settings.shape, settings.detectors, settings.diversity)

    def _fault(self, chip: int) -> DetectorFault | None:
        if self.special.hot_chip != chip:
            return None
        return build_fault(self.settings.seed, chip, self.settings.shape)

    def _draw_sky(self, numbers: _VisitNumbers) -> FieldScene:
        epoch = FIRST_MJD + numbers.night + 0.4 + _VISIT_D * numbers.visit
        wcs = make_field_wcs(self.settings, numbers.field, numbers.chip)
        return draw_scene(self.settings, (numbers.field, numbers.chip), numbers.night, numbers.visit, epoch, wcs)


def name_detector(chip: int) -> str:
    """Return the name of a chip."""
    return f"chip{chip:02d}"

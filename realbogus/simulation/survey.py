"""A simulated survey like that of Tomo-e Gozen: pairs of a new and a reference frame, with their hidden truth.

Nothing is drawn as bogus: what a detector finds in the difference of a pair is a transient or an artefact that arises
from registration, point spread functions, saturation, the detector and what crosses the sky. Everything is a pure
function of settings, night, chip, visit and field.
"""

from dataclasses import dataclass

from realbogus.frames import Pair
from realbogus.simulation.camera import Detector, build_detector
from realbogus.simulation.conditions import draw_conditions, draw_reference_conditions
from realbogus.simulation.light_by_origin import Origins
from realbogus.simulation.observation import observe_new, observe_reference
from realbogus.simulation.random_streams import Stream, open_stream
from realbogus.simulation.sky import FieldScene, draw_field, place_on_sky
from realbogus.simulation.survey_settings import SurveySettings
from realbogus.simulation.truth_tables import (
    KnownObject,
    SurveyGalaxies,
    TrueSource,
    catalogue_galaxies,
    list_known,
    list_truth,
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
        Not aligned: the two frames differ by a shift, which their WCS hold.
    origins : Origins
        Where the light comes from.
    truth : tuple of TrueSource
        What truly changed, inside of the new frame.
    galaxies : SurveyGalaxies
        A catalogue as a pipeline has it: small errors, incomplete at the faint end.
    seeing_fwhm_arcsec : float
        Of the new frame's point spread function at the chip's centre, optics included.
    """

    pair: Pair
    origins: Origins
    truth: tuple[TrueSource, ...]
    galaxies: SurveyGalaxies
    seeing_fwhm_arcsec: float


@dataclass(frozen=True)
class _Place:
    """One chip-visit by its numbers."""

    night: int
    chip: int
    visit: int
    field: int


class Survey:
    """A survey that can be asked for any of its chip-visits."""

    def __init__(self, settings: SurveySettings):
        self.settings = settings

    def chip_visit(self, night: int, chip: int, visit: int, field: int | None = None) -> SimulatedVisit:
        """Simulate one chip-visit.

        Parameters
        ----------
        night : int
            0 or more.
        chip : int
            Below the number of detectors.
        visit : int
            0 to 999 in a night.
        field : int, optional
            What the telescope points at; by default a field of the visit's own. The same field has the same stars,
            galaxies, variables, reference, and the transients of the night.

        Raises
        ------
        ValueError
            A number is outside of its range.
        """
        place = self._check(night, chip, visit, field)
        settings = self.settings
        detector = self._detector(chip)
        sky = self._draw_sky(place)
        keys = (place.field, chip, night, visit)
        conditions = draw_conditions(
            settings,
            open_stream(settings.seed, Stream.NIGHT, night),
            open_stream(settings.seed, Stream.VISIT, chip, night, visit, place.field),
        )
        reference_rng = open_stream(settings.seed, Stream.REFERENCE, place.field, chip)
        new = observe_new(settings, detector, sky, conditions, open_stream(settings.seed, Stream.NOISE, *keys))
        reference = observe_reference(
            settings, detector, sky, draw_reference_conditions(settings, reference_rng), reference_rng
        )
        return SimulatedVisit(
            pair=Pair(
                new=new.frame,
                reference=reference.frame,
                aligned=False,
                detector=name_detector(chip),
                night=f"{night:05d}",
                visit=visit,
                sky_cell=f"field{place.field:07d}-{name_detector(chip)}",
                epoch_mjd=sky.epoch_mjd,
            ),
            origins=Origins(new.light, reference.light, conditions.shift_px),
            truth=list_truth(sky, new.sources, settings),
            galaxies=catalogue_galaxies(
                sky,
                conditions.shift_px,
                settings,
                open_stream(settings.seed, Stream.CATALOGUE, place.field, chip),
            ),
            seeing_fwhm_arcsec=new.fwhm_arcsec,
        )

    def known_objects(self, night: int, chip: int, visit: int, field: int | None = None) -> tuple[KnownObject, ...]:
        """List what other surveys know of a chip-visit's sources: the brighter ones, most of them.

        Cheap, as nothing is drawn; arguments and errors as in `chip_visit`.
        """
        place = self._check(night, chip, visit, field)
        rng = open_stream(self.settings.seed, Stream.LISTING, place.field, chip)
        return list_known(self._draw_sky(place), self.settings, rng)

    def _check(self, night: int, chip: int, visit: int, field: int | None) -> _Place:
        if night < 0:
            raise ValueError(f"night {night}: nights count from 0")
        if not 0 <= chip < self.settings.detectors:
            raise ValueError(f"chip {chip}: the survey has detectors 0 to {self.settings.detectors - 1}")
        if not 0 <= visit < VISITS_PER_NIGHT:
            raise ValueError(f"visit {visit}: a night has visits 0 to {VISITS_PER_NIGHT - 1}")
        if field is not None and field < 0:
            raise ValueError(f"field {field}: fields count from 0")
        return _Place(night, chip, visit, night * VISITS_PER_NIGHT + visit if field is None else field)

    def _detector(self, chip: int) -> Detector:
        settings = self.settings
        return build_detector(settings.seed, chip, settings.shape, settings.detectors, settings.diversity)

    def _draw_sky(self, place: _Place) -> FieldScene:
        epoch = FIRST_MJD + place.night + 0.4 + _VISIT_D * place.visit
        wcs = place_on_sky(self.settings, place.field, place.chip)
        return draw_field(self.settings, (place.field, place.chip), place.night, place.visit, epoch, wcs)


def name_detector(chip: int) -> str:
    """Return the name of a chip."""
    return f"chip{chip:02d}"

"""Settings of the simulated survey."""

from pydantic import BaseModel, ConfigDict, Field

FULL_CHIP_PX = 2000 * 1128
_VARIABLES_AN_EVENT = 3.2  # drawn for one detected, over the same of events: half are fainter than in the reference


class SurveySettings(BaseModel):
    """Settings of a simulated survey; the defaults are Tomo-e Gozen's fast survey in high gain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    """Seed of all random streams."""
    detectors: int = Field(default=84, ge=1, le=576)
    """Number of chips of the mosaic."""
    height_px: int = Field(default=1128, ge=96)
    """Height of a chip, pixels."""
    width_px: int = Field(default=2000, ge=96)
    """Width of a chip, pixels."""
    pixel_arcsec: float = Field(default=1.189, gt=0)
    """Pixel scale, arcseconds."""
    frames: int = Field(default=12, ge=1)
    """Number of exposures of a new frame: 12 or 18."""
    exposure_s: float = Field(default=0.5, gt=0)
    """Duration of one exposure, seconds."""
    reference_frames: int = Field(default=72, ge=1)
    """Number of exposures of a reference."""
    zero_point_mag: float = 24.85
    """Magnitude of a source of one electron per second on axis in a clear sky."""
    sky_e_per_s_px: float = Field(default=120.0, gt=0)
    """Median sky on axis, electrons per second and pixel."""
    seeing_fwhm_arcsec: float = Field(default=3.4, gt=0)
    """Median seeing of nights, arcseconds."""
    reference_seeing_ratio: float = Field(default=0.92, gt=0)
    """Median seeing of references in units of that of visits."""
    registration_rms_px: float = Field(default=0.15, ge=0)
    """RMS error of the new frame's astrometry, varying smoothly over the chip, pixels."""
    registration_fine_share: float = Field(default=0.2, ge=0, le=1)
    """Fraction of that error on scales that a low polynomial over the chip cannot fit."""
    dither_px: float = Field(default=4.0, ge=0)
    """Scatter of the pointing about the reference's, pixels; eight times larger for one visit in 30."""
    stars: float = Field(default=2000.0, ge=0)
    """Mean number on 2000 x 1128 pixels, to magnitude 21; proportional to the chip's area."""
    galaxies: float = Field(default=1200.0, ge=0)
    """Mean number on 2000 x 1128 pixels, to magnitude 20.8; proportional to the chip's area."""
    transients_per_visit: float = Field(default=0.1, ge=0)
    """Mean number of the scene's transients on a chip, whatever its size."""
    variables: float = Field(default=0.15, ge=0)
    """Mean number of variable sources on a chip, whatever its size."""
    variable_share: float = Field(default=0.0, ge=0, le=0.4)
    """Least share of variable sources among the detected changing ones, on average."""
    asteroids: float = Field(default=0.1, ge=0)
    """Mean number of asteroids on a chip-visit, whatever the chip's size."""
    flares: float = Field(default=0.02, ge=0)
    """Mean number of stellar flares on a chip-visit, whatever the chip's size."""
    particle_rate: float = Field(default=1.0, ge=0)
    """Particle hits; 1 is one muon per square centimetre and minute."""
    trail_rate: float = Field(default=0.02, ge=0)
    """Mean number of satellite trails on a visit of a full chip; proportional to the chip's area."""
    hole_rate: float = Field(default=5.0, ge=0)
    """Mean number of negative spots on the reference of a full chip; proportional to the chip's area."""
    reference_asteroids: float = Field(default=0.1, ge=0)
    """Mean number of moving objects left in the reference of a full chip; proportional to the chip's area."""
    diversity: float = Field(default=1.0, ge=0)
    """Scatter of the detectors' optics, defects, temperature and vignetting in units of the realistic one."""
    randomisation: float = Field(default=0.0, ge=0, le=1)
    """Spread, over visits, of what differs from survey to survey (`realbogus.simulation.randomisation`)."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a chip, pixels."""
        return self.height_px, self.width_px

    @property
    def variables_on_chip(self) -> float:
        """Mean number of variable sources on a chip with which `variable_share` is reached."""
        events = self.transients_per_visit + self.asteroids + self.flares
        wanted = self.variable_share / (1 - self.variable_share) * events * _VARIABLES_AN_EVENT
        return max(self.variables, wanted)

    @property
    def area_share(self) -> float:
        """Area of a chip in units of 2000 x 1128 pixels."""
        return self.height_px * self.width_px / FULL_CHIP_PX

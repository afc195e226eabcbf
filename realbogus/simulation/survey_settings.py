"""Settings of the simulated survey."""

from pydantic import BaseModel, ConfigDict, Field

FULL_CHIP_PX = 2000 * 1128


class SurveySettings(BaseModel):
    """What a simulated survey is like; the defaults are Tomo-e Gozen's fast survey in high gain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    """Of everything."""
    detectors: int = Field(default=84, ge=1, le=576)
    """Chips of the mosaic."""
    height_px: int = Field(default=1128, ge=96)
    """Pixels."""
    width_px: int = Field(default=2000, ge=96)
    """Pixels."""
    pixel_arcsec: float = Field(default=1.189, gt=0)
    """Arcseconds."""
    frames: int = Field(default=12, ge=1)
    """Exposures of a new frame: 12 or 18."""
    exposure_s: float = Field(default=0.5, gt=0)
    """Seconds, of one exposure."""
    reference_frames: int = Field(default=72, ge=1)
    """Exposures of a reference."""
    zero_point_mag: float = 24.85
    """Magnitude of a source of one electron a second on axis in a clear sky."""
    sky_e_per_s_px: float = Field(default=120.0, gt=0)
    """Electrons a second and pixel, on axis, the median of visits."""
    seeing_fwhm_arcsec: float = Field(default=3.4, gt=0)
    """Arcseconds, the median of nights."""
    reference_seeing_ratio: float = Field(default=0.92, gt=0)
    """Median seeing of references in units of that of visits."""
    registration_rms_px: float = Field(default=0.15, ge=0)
    """Pixels: error of the new frame's astrometry, varying smoothly over the chip."""
    registration_fine_share: float = Field(default=0.2, ge=0, le=1)
    """Share of that error on scales that a low polynomial over the chip does not follow."""
    dither_px: float = Field(default=4.0, ge=0)
    """Pixels: scatter of the pointing about the reference's; one visit in 30 lies eight times farther off."""
    stars: float = Field(default=2000.0, ge=0)
    """On 2000 x 1128 pixels, to magnitude 21; a smaller chip has fewer."""
    galaxies: float = Field(default=1200.0, ge=0)
    """On 2000 x 1128 pixels, to magnitude 20.8; a smaller chip has fewer."""
    transients_per_visit: float = Field(default=0.1, ge=0)
    """Transients of the scene that shine on a chip, on average; any size of chip."""
    variables: float = Field(default=0.15, ge=0)
    """Variable sources on a chip, on average; any size of chip."""
    asteroids: float = Field(default=0.1, ge=0)
    """Asteroids on a chip-visit, on average; any size of chip."""
    flares: float = Field(default=0.02, ge=0)
    """Stellar flares on a chip-visit, on average; any size of chip."""
    particle_rate: float = Field(default=1.0, ge=0)
    """1: a muon per square centimetre and minute."""
    trail_rate: float = Field(default=0.02, ge=0)
    """Satellites on a full chip-visit, on average; a smaller chip has fewer."""
    hole_rate: float = Field(default=5.0, ge=0)
    """Negative spots on a full reference, on average; a smaller chip has fewer."""
    reference_asteroids: float = Field(default=0.1, ge=0)
    """Moving objects left in a full reference, on average; a smaller chip has fewer."""
    diversity: float = Field(default=1.0, ge=0)
    """How far detectors differ in optics, defects, temperature and vignetting: 0 all alike."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a chip."""
        return self.height_px, self.width_px

    @property
    def area_share(self) -> float:
        """Area of a chip in units of a full one's."""
        return self.height_px * self.width_px / FULL_CHIP_PX

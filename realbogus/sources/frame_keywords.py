"""Names of the header keywords in which frames of surveys have their quantities."""

from pydantic import BaseModel, ConfigDict

from realbogus.epochs import DATE_KEYWORDS


class FrameKeywords(BaseModel):
    """Header keywords of each quantity, tried in order in the image's header, then in the file's first.

    A table of pairs may have columns of the same names, which take precedence over the header.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gain_e_per_count: tuple[str, ...] = ("GAIN", "EGAIN", "GAINEFF", "CCDGAIN", "ATODGAIN", "ESO DET OUT1 CONAD")
    """Electrons per count."""
    saturation_counts: tuple[str, ...] = ("SATURATE", "SATURAT", "SATLEVEL", "SATURATION", "MAXLIN", "LINMAX")
    """Counts, background included."""
    zero_point_mag: tuple[str, ...] = ("MAGZP", "MAGZPT", "MAGZERO", "ZEROPT", "PHOTZP", "ZP")
    """Magnitude of a source of one count in this frame (not one count per second)."""
    pixel_arcsec: tuple[str, ...] = ("PIXSCALE", "SECPIX", "PIXSCAL1", "PIXSIZE")
    """Arcsec; the WCS takes precedence."""
    exposure_s: tuple[str, ...] = ("EXPTIME", "EXPOSURE", "TEXPTIME")
    """Seconds."""
    epoch_mjd: tuple[str, ...] = DATE_KEYWORDS
    """Days, UTC, as `epochs.header_epoch` reads them; a date takes its time from `epochs.TIME_KEYWORDS`."""
    detector: tuple[str, ...] = ("CCDID", "CCDNUM", "DETID", "IMAGEID", "DETECTOR")
    """No unit."""
    site_longitude_deg: float = 0.0
    """Degrees, east positive: nights are counted from the site's noon."""

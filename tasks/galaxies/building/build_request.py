"""The parameters of a galaxy build, and which of them go together."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from galaxy.images import cutouts
from tasks.galaxies.choices import SourceName
from tasks.store.schema import check_name

SIMULATED_LIMIT = 600
"""Objects of the simulated sky without a limit: the whole sky would take an hour to render."""
DEFAULT_RELEASES = {"sdss": "dr17", "simulated": "dr17", "legacy": "ls-dr10", "archive": None}


class GalaxyBuildRequest(BaseModel):
    """The parameters of `build-galaxy-dataset`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    catalog: str | None
    metadata: str | None
    columns: dict[str, str] | None = None
    source: SourceName
    images: str | None
    mapping: str | None
    scheme: str
    size_px: int = Field(ge=16, le=1024)
    request_px: int = Field(ge=64, le=2048)
    crop_fraction: float = Field(gt=0, le=1)
    field: cutouts.Field
    scale_arcsec_per_px: float | None
    limit: int | None = Field(ge=1)
    service_url: str | None
    release: str | None
    max_rate_per_s: float | None
    max_connections: int = Field(ge=1, le=256)
    min_stored_fraction: float = Field(ge=0, le=1)
    allow_mixed: bool
    retry_rejected: bool
    verify_existing: bool = Field(default=False, exclude=True)  # no part of what is built, nor of its digest
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _goes_together(self) -> "GalaxyBuildRequest":
        check_name(self.dataset)
        if self.source == "archive" and self.images is None:
            raise ValueError("source=archive needs images=FOLDER or images=ZIP")
        if self.catalog is None and self.source != "simulated":
            raise ValueError(f"source={self.source} needs catalog=TABLE (a file, an address, or an ingested name)")
        if self.catalog is None and self.columns:
            raise ValueError(f"columns={self.columns} names columns of a table: give catalog=TABLE too")
        if self.field == "fixed" and self.scale_arcsec_per_px is None and self.source != "archive":
            raise ValueError("field=fixed needs scale_arcsec_per_px")
        return self

    @property
    def most_objects(self) -> int | None:
        """Number of objects at most; None takes the whole catalogue."""
        return SIMULATED_LIMIT if self.limit is None and self.catalog is None else self.limit

    @property
    def release_name(self) -> str | None:
        """The data release to request images of, by default the source's."""
        return self.release or DEFAULT_RELEASES[self.source]

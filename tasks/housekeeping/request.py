"""What a housekeeping may forget."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

GB = 1_000_000_000


class HousekeepingRequest(BaseModel):
    """Budget and rules of a housekeeping."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    budget_gb: float | None = None
    """Size that the workspace is brought to, oldest first, in units of 1e9 bytes; None: all that may go goes."""
    keep_days: float = Field(default=30, ge=0)
    """Younger things are kept, in days since they were last written."""
    keep_versions: int = Field(default=3, ge=1)
    """Newest versions of every dataset and of every registered model that are kept."""
    keep_nights: int = Field(default=60, ge=0)
    """Newest nights that are kept."""
    plan_only: bool = True
    """Remove nothing."""

    @field_validator("budget_gb")
    @classmethod
    def _is_a_size(cls, budget_gb: float | None) -> float | None:
        if budget_gb is not None and budget_gb <= 0:
            raise ValueError("a budget is larger than 0; null removes all that may go")
        return budget_gb

    @property
    def budget_bytes(self) -> int | None:
        """The budget in bytes."""
        return None if self.budget_gb is None else round(self.budget_gb * GB)

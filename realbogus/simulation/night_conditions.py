"""What is special about a simulated night: poor seeing, clouds, a faulty chip, wrong labels."""

import re
from dataclasses import replace
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, field_validator, model_validator

from realbogus.simulation.conditions import Conditions

_CHIP = re.compile(r"(?:chip)?(\d{1,4})")


class NightConditions(BaseModel):
    """Departures of a night from those that the survey draws; the defaults depart in nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    seeing_factor: float = Field(default=1.0, ge=0.5, le=5)
    """Factor on the seeing of the new frames."""
    extinction_mag: float = Field(default=0.0, ge=0, le=10)
    """Extinction by clouds in the new frames, magnitudes; with 3 or more most frames cannot be worked on."""
    hot_chip: StrictInt | StrictStr | None = None
    """Number or name, such as chip03, of a chip with hot pixels and amplifier glow that its dark frame lacks."""
    wrong_labels: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the night's labels that are flipped; the hidden truth stays right. Frames do not depend on it."""

    @model_validator(mode="before")
    @classmethod
    def _names_are_known(cls, given: Any) -> Any:
        unknown = sorted(set(given) - set(cls.model_fields)) if isinstance(given, dict) else []
        if unknown:
            raise ValueError(f"unknown condition {unknown[0]!r}; there are: {', '.join(cls.model_fields)}")
        return given

    @field_validator("hot_chip")
    @classmethod
    def _chip_by_number(cls, chip: int | str | None) -> int | None:
        """Return the number of a chip that may be given by name, so that both mean the same request."""
        if chip is None:
            return None
        number = _CHIP.fullmatch(str(chip).strip())
        if number is None:
            raise ValueError(f"hot_chip={chip!r} is no chip: give its number, such as 3, or its name, such as chip03")
        return int(number[1])

    @property
    def given(self) -> dict[str, Any]:
        """The conditions that depart from the defaults, by name."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def is_ordinary(self) -> bool:
        """Whether the night departs in nothing."""
        return self == type(self)()

    def require_chip(self, chips: int) -> Self:
        """Return these conditions if their hot chip is one of the first `chips`.

        Raises
        ------
        ValueError
            Names the chip and the chips there are.
        """
        if self.hot_chip is not None and int(self.hot_chip) >= chips:
            raise ValueError(f"hot_chip={self.hot_chip}: there are chips 0 to {chips - 1}")
        return self

    def impose_on(self, drawn: Conditions) -> Conditions:
        """Return a visit's drawn conditions under the seeing and the clouds of this night."""
        return replace(
            drawn,
            seeing_arcsec=drawn.seeing_arcsec * self.seeing_factor,
            transparency=drawn.transparency * 10 ** (-0.4 * self.extinction_mag),
        )

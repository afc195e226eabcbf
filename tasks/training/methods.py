"""Training methods: named changes of a preset, each of which an ablation can switch on or off alone.

The methods of a problem derive from `PresetMethods`, in `tasks.galaxies.methods` and `tasks.candidates.methods`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

MOST_LABEL = 60
"""Characters of the methods in names of runs and reports."""

Preset = TypeVar("Preset", bound=BaseModel)


class MethodError(ValueError):
    """A training method does not suit the network, its weights, or the dataset."""


class PresetMethods(BaseModel):
    """Changes of a preset; a field that is null keeps what the preset has."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _names_are_known(cls, given: Any) -> Any:
        unknown = sorted(set(given) - set(cls.model_fields)) if isinstance(given, dict) else []
        if unknown:
            raise ValueError(f"unknown method {unknown[0]!r}; there are: {', '.join(cls.model_fields)}")
        return given

    @property
    def given(self) -> dict[str, Any]:
        """The methods that are not null, by name."""
        return self.model_dump(exclude_none=True)

    @property
    def label(self) -> str:
        """The methods in a form that suits the name of a file; empty where there are none."""
        words = [_worded(name.replace("_", "-"), value) for name, value in self.given.items()]
        label = "+".join(words)
        if len(label) <= MOST_LABEL:
            return label
        digest = hashlib.sha256(json.dumps(self.given, sort_keys=True).encode()).hexdigest()[:8]
        return f"{len(words)}-methods-{digest}"


def _worded(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no-{name}"
    return f"{name}-{value:g}" if isinstance(value, float) else f"{name}-{value}"


def replace_entries(preset: Preset, given: Mapping[str, Any], places: Mapping[str, Sequence[str]]) -> Preset:
    """Return the preset with the given entries replaced.

    Parameters
    ----------
    preset : pydantic model
    given : mapping
        Values by name of the entry; names without a place are ignored.
    places : mapping
        Names of entries by the preset's section (``training``, ``augmentation``, ...) that has them; by an empty name
        those of the preset itself.
    """
    changes: dict[str, Any] = {}
    for section, names in places.items():
        replaced = {name: given[name] for name in names if name in given}
        if not section:
            changes |= replaced
        elif replaced:
            changes[section] = getattr(preset, section).model_copy(update=replaced)
    return preset.model_copy(update=changes)

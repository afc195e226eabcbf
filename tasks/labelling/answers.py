"""An answer of a person to one item of a queue, as the log keeps it, and which answers stand."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from tasks.decisions.labelling_queue import UNSURE

Action = Literal["answer", "skip", "undo"]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class Answer(BaseModel):
    """What a person did with one item; an undo is an answer of its own, and changes no earlier one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Name
    """Drawn by who sends it: the same id twice is the same answer."""
    action: Action
    sample: str = Field(min_length=1)
    """Id in the dataset."""
    label: str | None = None
    """Class, or unsure; None but for answers."""
    undone: str | None = None
    """Id of the answer or skip that an undo takes back."""
    labeller: Name
    comment: str = Field(default="", max_length=2000)
    queue: str
    reason: str
    """Why the queue asks about the sample."""
    inclusion_probability: float | None = Field(default=None, gt=0, le=1)
    """Chance with which the sample came into the queue; None: it is no sample of known chances."""
    gold: bool = False
    """The queue asked because the right answer is known."""
    previous: str | None = None
    """The sample's label in the label version."""
    label_version: str
    """``DATASET@VERSION`` of the queue, with ``:NAME`` of its relabelling."""
    at: AwareDatetime

    @field_validator("at")
    @classmethod
    def _in_utc(cls, at: datetime) -> datetime:
        return at.astimezone(UTC)

    @model_validator(mode="after")
    def _fits_action(self) -> "Answer":
        if (self.label is not None) != (self.action == "answer"):
            raise ValueError(f"label={self.label!r} of action={self.action}: an answer has a label, nothing else has")
        if (self.undone is not None) != (self.action == "undo"):
            raise ValueError(f"undone={self.undone!r} of action={self.action}: an undo names an answer, nothing else")
        return self

    @property
    def is_class(self) -> bool:
        """Whether it says a class."""
        return self.label is not None and self.label != UNSURE

    def says_the_same(self, other: "Answer") -> bool:
        """Return whether both are the same but for the time at which they arrived."""
        return self.model_copy(update={"at": other.at}) == other


def standing_answers(answers: Iterable[Answer]) -> list[Answer]:
    """Return the answers and skips that were neither undone nor replaced, in their order.

    A labeller's later answer on a sample of a queue replaces the earlier one. Undoing brings no replaced one back.

    Parameters
    ----------
    answers : iterable of Answer
        In the order of the log.
    """
    standing: dict[Any, Answer] = {}
    for answer in answers:
        place = (answer.queue, answer.sample, answer.labeller)
        if answer.action != "undo":
            standing.pop(place, None)
            standing[place] = answer
        elif place in standing and standing[place].id == answer.undone:
            del standing[place]
    return list(standing.values())

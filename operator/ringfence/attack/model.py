"""What the attack table speaks of: attempts, what was observed, verdicts. Pure data.

Everything a probe reports comes from inside a Sandbox: it is parsed strictly, cut, and freed of
control characters before anybody reads it.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ringfence.api import Layer
from ringfence.printable import printable

Line = Annotated[str, AfterValidator(printable)]
Outcome = Literal["through", "refused", "silent", "untried"]


class _Reported(BaseModel):
    """Base of what a probe reports."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )


class Attempt(_Reported):
    """One way that was tried; the words are those of probes/kit.py."""

    what: Line
    outcome: Outcome
    errno: Line = ""
    filter: Line = ""
    known: bool = False
    detail: Line = ""

    @property
    def line(self) -> str:
        """For people."""
        said = {"through": "succeeded", "silent": "no answer", "untried": "not tried"}
        answer = said.get(self.outcome) or self.filter or self.errno or "refused"
        return f"{self.what}: {answer}" + (f" ({self.detail})" if self.detail else "")


class Identity(_Reported):
    """Who the probe was."""

    uid: int
    seccomp: int
    no_new_privileges: int
    capabilities: Line
    bounding: Line
    app_armor: Line
    app_armor_in_kernel: bool


class Observed(_Reported):
    """What one probe reported."""

    attempts: tuple[Attempt, ...] = Field(max_length=1000)
    facts: dict[Line, bool | int | float | Line] = Field(default={}, max_length=50)
    me: Identity

    def number(self, fact: str) -> float:
        """A fact that is a number; 0 if the probe did not report it."""
        value = self.facts.get(fact, 0)
        return 0 if isinstance(value, str) else value


class Lost(NamedTuple):
    """A probe that did not report.

    Attributes:
        why: For people.
        out_of_memory: Its container was killed for taking too much memory.
    """

    why: str
    out_of_memory: bool = False


def parse(line: str) -> Observed | Lost:
    """What a probe printed; Lost if it is no report."""
    try:
        return Observed.model_validate_json(line)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        return Lost(printable(f"its report does not read: {first['loc']} {first['msg']}"))


class Limits(NamedTuple):
    """Limits that the Sandbox promises, in processes and bytes."""

    pids: int
    memory: int
    disk: int


class Status(StrEnum):
    """How a row ended."""

    STOPPED = "stopped"
    """Refused, and every defence that the row names stands."""
    TOLERATED = "tolerated"
    """It succeeded, and harms nobody but the agent itself."""
    WEAKENED = "weakened"
    """Refused, but a defence that the row names is missing."""
    BREACHED = "breached"
    """The attack succeeded."""
    INCONCLUSIVE = "inconclusive"
    """It could not be tried, or nothing proves that a fence stopped it."""
    NOT_APPLICABLE = "notApplicable"
    """The node lacks what the row is about."""

    @property
    def passed(self) -> bool:
        """Whether a release may go out with it."""
        return self in (Status.STOPPED, Status.TOLERATED, Status.NOT_APPLICABLE)


class Verdict(NamedTuple):
    """What a row's result means.

    Attributes:
        status: How it ended.
        seen: What was seen, in one line.
        layer: The layer that stopped it.
        by: The defence of that layer.
        also: Further defences that would have.
    """

    status: Status
    seen: str
    layer: Layer | None = None
    by: str = ""
    also: tuple[str, ...] = ()

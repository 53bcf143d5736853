"""What a check is and what it answers. Standard library only, for the front door."""

from __future__ import annotations

from orchestrator.fs.failure import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import ClassVar

    from orchestrator.doctor.context import Context
    from orchestrator.doctor.surface import Surface

_SHOWN = 10


class Status(str):
    """How a check ended, one of four; `SKIP` says that it could not be looked at, or does not apply."""

    __slots__ = ()

    OK: ClassVar[Status]
    WARN: ClassVar[Status]
    FAIL: ClassVar[Status]
    SKIP: ClassVar[Status]


Status.OK, Status.WARN, Status.FAIL, Status.SKIP = map(Status, ("ok", "warn", "fail", "skip"))

_ORDER = (Status.SKIP, Status.OK, Status.WARN, Status.FAIL)


class Diagnosis:
    """The answer of one check. `remedy` is one command or sentence, empty when nothing needs to be done.

    `fixable` tells that `doctor --fix` does it.
    """

    __slots__ = ("evidence", "fixable", "remedy", "status", "summary")

    def __init__(
        self,
        status: Status,
        summary: str,
        evidence: tuple[str, ...] = (),
        remedy: str = "",
        fixable: bool = False,
    ) -> None:
        self.status = status
        self.summary = summary
        self.evidence = evidence
        self.remedy = remedy
        self.fixable = fixable

    def __repr__(self) -> str:
        shown = (self.status, self.summary, self.evidence, self.remedy, self.fixable)
        return f"Diagnosis{shown!r}"


class Check:
    """One thing that is looked at. `id` is stable; `quick` tells that `doctor --quick` looks at it too.

    `probe` reads and never writes; what it raises becomes the answer (see `isolation.answered`).
    """

    __slots__ = ("group", "id", "meaning", "probe", "summary")

    quick = False

    def __init__(
        self, id: str, group: str, summary: str, meaning: str, probe: Callable[[Context], Diagnosis]
    ) -> None:
        self.id = id
        self.group = group
        self.summary = summary
        self.meaning = meaning
        self.probe = probe


class QuickCheck(Check):
    """A check that `doctor --quick` makes too: what it asks can be seen from the `Surface`."""

    __slots__ = ()

    quick = True
    if TYPE_CHECKING:
        probe: Callable[[Surface], Diagnosis]

        def __init__(
            self, id: str, group: str, summary: str, meaning: str, probe: Callable[[Surface], Diagnosis]
        ) -> None: ...


class Answer:
    """A check and what it found."""

    __slots__ = ("check", "diagnosis")

    def __init__(self, check: Check, diagnosis: Diagnosis) -> None:
        self.check = check
        self.diagnosis = diagnosis


def worst(answers: Sequence[Answer]) -> Status:
    """Returns the worst status: `fail`, `warn` or `ok`; skipped checks do not count."""
    found = max((answer.diagnosis.status for answer in answers), key=_ORDER.index, default=Status.OK)
    return Status.OK if found is Status.SKIP else found


def ok(summary: str, evidence: Iterable[str] = ()) -> Diagnosis:
    """Returns the answer that all is well."""
    return Diagnosis(Status.OK, summary, listed(evidence))


def skip(summary: str) -> Diagnosis:
    """Returns the answer that there is nothing to look at, or no way to."""
    return Diagnosis(Status.SKIP, summary)


def warn(summary: str, remedy: str, evidence: Iterable[str] = (), *, fixable: bool = False) -> Diagnosis:
    """Returns the answer that something should be seen to."""
    return Diagnosis(Status.WARN, summary, listed(evidence), remedy, fixable)


def fail(summary: str, remedy: str, evidence: Iterable[str] = (), *, fixable: bool = False) -> Diagnosis:
    """Returns the answer that something is broken."""
    return Diagnosis(Status.FAIL, summary, listed(evidence), remedy, fixable)


def listed(lines: Iterable[str]) -> tuple[str, ...]:
    """Returns the first lines in a printable form, and how many more there are."""
    found = [printable(line) for line in lines]
    more = len(found) - _SHOWN
    return (*found[:_SHOWN], *((f"and {more} more",) if more > 0 else ()))


def counted(number: int, noun: str, plural: str = "") -> str:
    """Returns `1 run`, `3 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def in_bytes(count: int) -> str:
    """Returns a number of bytes in words: `812 B`, `4.1 MiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"

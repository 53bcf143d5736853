"""Looks a secret up in places that are in order, each a small class; says what was seen in every one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.secretstore import identity
from orchestrator.secretstore.store import Store

PLACEHOLDERS = frozenset({"proxy-injected"})
"""What machines put in place of a key, so that a tool believes it has one. Source: Claude Code on the web."""

OWN_PREFIX = "ORCHESTRATOR_SECRET_"


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen in one place: `value` where it is there, and in words why it is not."""

    place: str
    value: str | None = field(default=None, repr=False)
    why_not: str = ""


class Source(Protocol):
    """A place where values are; every class below is one."""

    def look(self, name: str) -> Sight:
        """Returns what is there under a name.

        Raises:
            OrchestratorError: something is there that cannot be used; nothing further is looked at.
        """
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """The value of a secret, None where no place has one, and every place looked at, in order."""

    name: str
    value: str | None = field(repr=False)
    seen: tuple[Sight, ...]

    @property
    def source(self) -> str | None:
        """Returns the place that the value comes from."""
        return self.seen[-1].place if self.value is not None else None


def look_up(name: str, sources: Iterable[Source]) -> Answer:
    """Returns the value in the first place that has one; places behind it are not looked at."""
    seen: list[Sight] = []
    for source in sources:
        sight = source.look(name)
        seen.append(sight)
        if sight.value is not None:
            return Answer(name, sight.value, tuple(seen))
    return Answer(name, None, tuple(seen))


def sighted(place: str, text: str | None, *, placeholders: frozenset[str] = PLACEHOLDERS) -> Sight:
    """Returns what was seen where `text` stood: nothing, an empty text and a placeholder are no value."""
    if text is None:
        return Sight(place, why_not="not there")
    if not text.strip():
        return Sight(place, why_not="empty")
    if text.strip() in placeholders:
        return Sight(place, why_not=f"holds the placeholder {text.strip()}")
    return Sight(place, text)


@dataclass(frozen=True, slots=True)
class Override:
    """What the agent of a step is given in so many words (`env:`); here a placeholder is what is meant."""

    values: Mapping[str, str] = field(repr=False)

    def look(self, name: str) -> Sight:
        """Returns the value written for the step's agent."""
        return sighted("`env` of the step's agent", self.values.get(name), placeholders=frozenset())


@dataclass(frozen=True, slots=True)
class OwnVariable:
    """The variable that is meant for this tool alone."""

    environment: Mapping[str, str] = field(repr=False)

    def look(self, name: str) -> Sight:
        """Returns the value of ORCHESTRATOR_SECRET_<name>."""
        variable = OWN_PREFIX + name
        return sighted(f"variable {variable}", self.environment.get(variable))


@dataclass(frozen=True, slots=True)
class NativeVariable:
    """The variable that other tools read too."""

    environment: Mapping[str, str] = field(repr=False)

    def look(self, name: str) -> Sight:
        """Returns the value of the variable with the secret's own name."""
        return sighted(f"variable {name}", self.environment.get(name))


@dataclass(frozen=True, slots=True)
class InStore:
    """A store of encrypted files; keys are loaded only where there is something to open."""

    store: Store
    environment: Mapping[str, str] = field(repr=False)

    def look(self, name: str) -> Sight:
        """Returns the decrypted value; what is there and cannot be opened is an error."""
        place = f"{self.store.label} {self.store.path(name)}"
        if not self.store.has(name):
            return sighted(place, None)
        value = self.store.reveal(name, identity.load_identities(self.environment))
        return sighted(place, None if value is None else value.decode("utf-8", "surrogateescape"))


@dataclass(slots=True)
class Prompt:
    """A person at a terminal, asked once for each name while this object lives; `ask` None: nobody."""

    ask: Callable[[str], str] | None
    _answers: dict[str, str] = field(default_factory=dict, repr=False)

    def look(self, name: str) -> Sight:
        """Returns what was typed."""
        place = "prompt on a terminal"
        if self.ask is None:
            return Sight(place, why_not="nobody can be asked")
        if name not in self._answers:
            self._answers[name] = self.ask(name)
        return sighted(place, self._answers[name])


def described(sights: Sequence[Sight]) -> str:
    """Returns one line that names every place and what was wrong with it."""
    return "; ".join(f"{sight.place} ({sight.why_not})" for sight in sights if sight.value is None)

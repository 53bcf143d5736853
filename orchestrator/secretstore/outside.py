"""Places that other programs keep: the keyring of the operating system, and commands of password managers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.errors import Failed
from orchestrator.process.spawn import minimal_environment, run_captured
from orchestrator.secretstore.lookup import Sight, sighted

SERVICE = "orchestrator"
"""The name under which values are put into a keyring, as in `keyring set orchestrator NAME`."""

_PLACE = "keyring of the operating system"
_PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keyring, where the package of that name is installed; `off` says why it is not asked."""

    off: str = ""

    def look(self, name: str) -> Sight:
        """Returns what the keyring holds under our service; one that cannot be opened holds nothing."""
        if self.off:
            return Sight(_PLACE, why_not=self.off)
        try:
            import keyring
        except ImportError:
            return Sight(_PLACE, why_not="not installed")
        try:
            return sighted(_PLACE, keyring.get_password(SERVICE, name))
        except Exception as error:  # every backend has errors of its own, and none is a reason to stop
            return Sight(_PLACE, why_not=f"cannot be used: {type(error).__name__}")


@dataclass(frozen=True, slots=True)
class Provider:
    """A command that prints a value: `{name}` in `argv` is replaced; `names` limits what it is asked for.

    It gets the minimal environment and the `variables` of the caller's that it names.
    """

    argv: tuple[str, ...]
    names: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FromCommand:
    """One provider. `off` says why it is not asked, for instance because nobody has approved it."""

    provider: Provider
    environment: Mapping[str, str] = field(repr=False)
    off: str = ""

    def look(self, name: str) -> Sight:
        """Returns what the command prints, without the last line end; a failure is no value."""
        place = f"command {' '.join(self.provider.argv)}"
        if self.provider.names and name not in self.provider.names:
            return Sight(place, why_not="not for this name")
        if self.off:
            return Sight(place, why_not=self.off)
        argv = [word.replace("{name}", name) for word in self.provider.argv]
        named = (*_PLACES, *self.provider.variables)
        given = {each: self.environment[each] for each in named if each in self.environment}
        try:
            done = run_captured(
                argv, cwd=os.sep, environment=minimal_environment(given), timeout_s=_TIMEOUT_S
            )
        except Failed as failure:
            return Sight(place, why_not=failure.message.rstrip("."))
        if done.status != 0:
            return Sight(place, why_not=f"ended with status {done.status}")
        return sighted(place, without_line_end(done.stdout).decode("utf-8", "surrogateescape"))


def without_line_end(data: bytes) -> bytes:
    """Returns the bytes without one line end at their end, which programs and people add unasked."""
    return data[:-2] if data.endswith(b"\r\n") else data.removesuffix(b"\n")

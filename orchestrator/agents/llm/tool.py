"""What a tool of the built-in agent is, and the arguments that a model gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from orchestrator.agents.llm.order import Permission
from orchestrator.model.json import Json, JsonObject

# Models write what other tools have taught them.
_ALSO = {
    "path": ("file_path", "filePath", "filename", "file"),
    "content": ("contents", "text", "file_text"),
    "old": ("old_string", "oldString", "old_str", "search"),
    "new": ("new_string", "newString", "new_str", "replace"),
    "all": ("replace_all", "replaceAll"),
    "command": ("cmd", "cmdline"),
    "pattern": ("query", "text"),
}


class ToolProblem(Exception):
    """A tool cannot do what it is asked; the sentence is for the model, which may try again."""


class Arguments:
    """What a model gave a tool: checked when it is asked for, under the names that models use."""

    def __init__(self, given: Mapping[str, Json]) -> None:
        self._given = given

    @property
    def all(self) -> dict[str, Json]:
        """Returns everything that was given, as it was given."""
        return dict(self._given)

    def text(self, name: str, default: str | None = None, *, empty: bool = False) -> str:
        """Returns a text.

        Raises:
            ToolProblem: it is missing, of another type, or empty where it must not be.
        """
        value = self._value(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise ToolProblem(f"`{name}` is missing" if value is None else f"`{name}` must be text")
        if not value and not empty and name in ("path", "pattern", "command"):
            raise ToolProblem(f"`{name}` is empty")
        return value

    def whole(self, name: str, default: int) -> int:
        """Returns a whole number.

        Raises:
            ToolProblem: it is something else.
        """
        value = self._value(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ToolProblem(f"`{name}` must be a whole number")
        return int(value)

    def flag(self, name: str) -> bool:
        """Returns whether something is wished."""
        return self._value(name) is True

    def _value(self, name: str) -> Json:
        names = (name, *_ALSO.get(name, ()))
        return next((self._given[each] for each in names if self._given.get(each) is not None), None)


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: what the model is told, and what does it.

    `properties` are those of its JSON schema. `do` returns what the model is answered, and raises
    `ToolProblem` or `PathRefused` where it cannot.
    """

    name: str
    description: str
    properties: JsonObject
    required: tuple[str, ...]
    do: Callable[[Arguments], str]
    permission: Permission = "allow"

    @property
    def schema(self) -> dict[str, Json]:
        """Returns its JSON schema."""
        return {"type": "object", "properties": dict(self.properties), "required": list(self.required)}


def permitted(tools: Iterable[Tool], permissions: Mapping[str, Permission]) -> tuple[Tool, ...]:
    """Returns tools with the permissions that are named; the others keep theirs."""
    return tuple(replace(tool, permission=permissions.get(tool.name, tool.permission)) for tool in tools)

"""The types that keys of `workflow.yaml` are declared with."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")

PRESETS = ("claude", "codex", "gemini", "copilot", "opencode")
KINDS = ("command", "acp", "llm", *PRESETS)
"""Those of our own; packages bring others, by entry points of the group `AGENT_ENTRIES`."""
AGENT_ENTRIES = "orchestrator.agents"
UNLISTED = (*PRESETS, "llm")
"""Agents that need not be listed: their name is their kind."""
REVIEWING = frozenset({"review", "suggestions"})
"""The tasks of steps that are answered with findings."""

YEAR_S = 366 * 24 * 3600
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Word = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Argv = Annotated[tuple[Word, ...], Field(min_length=1)]
Pattern = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
SECRET_NAME = r"^[A-Z][A-Z0-9_]{0,63}$"
SecretName = Annotated[str, Field(pattern=SECRET_NAME)]
Seconds = Annotated[float, Field(gt=0, le=YEAR_S, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Amount = Annotated[int, Field(ge=1, le=2**50)]
Money = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Parallel = Annotated[int, Field(ge=1, le=1000)]
Kind = Annotated[str, Field(pattern=NAME)]
Approve = Literal["never", "edits", "commands", "diff", "plan"]
Sandbox = Literal["auto", "bwrap", "off"]


def later(default: T, description: str) -> T:
    """Declares a key whose part does not exist yet: only its default is accepted."""
    return Field(default=default, description=description, json_schema_extra={"later": True})


class Section(BaseModel):
    """What all parts of the file have in common: immutable, and no key is ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

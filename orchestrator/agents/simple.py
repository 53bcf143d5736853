"""What a class of somebody else's has to have to be an agent; see docs/adding-agents.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AgentContext:
    """What an agent may know beside its task.

    `tree` is the directory with the project, which is the current one too; `files` tells its files, and what
    is in those that the task names, as quoted data.
    """

    tree: Path
    files: str


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What an agent has to say; code blocks that name a file become files. Tokens are told where known."""

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


class TextAgent(Protocol):
    """An agent that is asked once and answers with a text.

    It is made without arguments, in a supervised process of its own, for one turn; keys come by its
    environment. An error that it raises is the failure of the turn.
    """

    def execute(self, task: str, context: AgentContext) -> TaskResult:
        """Returns what it has to say to the task."""
        ...

    def validate_response(self, result: TaskResult) -> bool:
        """Returns whether its own answer is usable."""
        ...

    def format_output(self, result: TaskResult) -> str:
        """Returns the text from which files are taken, and that a person reads."""
        ...

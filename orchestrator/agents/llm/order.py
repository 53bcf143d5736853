"""What the worker is told on its standard input: everything about a turn but its secrets."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Literal, Self

from pydantic import JsonValue, TypeAdapter, ValidationError

from orchestrator.errors import Refused

Permission = Literal["allow", "ask", "deny"]
Mode = Literal["tools", "text", "class"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as the configuration names it; prices are US dollars per million tokens.

    `base_url` is empty where the provider's own address is meant. Without capabilities it is taken for one
    that can use tools; `context_window` is in tokens.
    """

    provider: str
    name: str
    base_url: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    context_window: int | None = None
    capabilities: tuple[str, ...] = ()
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None

    @property
    def uses_tools(self) -> bool:
        """Returns whether tools can be offered to it; else its answers are all it gives."""
        return not self.capabilities or "tools" in self.capabilities


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool from the configuration: its JSON schema, and the words of the command that does it."""

    name: str
    description: str
    parameters: dict[str, JsonValue]
    run: tuple[str, ...]
    permission: Permission


@dataclass(frozen=True, slots=True)
class Order:
    """One turn for the worker.

    `mode`: a loop with `tools`, one `text` answer, or the turn of an installed `class`, whose entry point is
    `entry`. `permissions` are those of the built-in tools. `session_file` is where the conversation is kept,
    `continues` tells that it must be there. `secrets` names the variables whose values are taken out of what
    is sent and kept, `hidden` those that commands of the model do not get. `cache_dir` empty: no answer is
    looked up or kept. `limits` are those of `process.command.Limits`, in its order.
    """

    mode: Mode
    prompt: str
    session: str
    session_file: str
    marker: str
    model: ModelSpec | None = None
    entry: str = ""
    tools: tuple[ToolSpec, ...] = ()
    permissions: tuple[tuple[str, Permission], ...] = ()
    continues: bool = False
    max_turns: int | None = None
    timeout_s: float = 3600.0
    secrets: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    cache_dir: str = ""
    limits: tuple[int | None, int | None, int | None, int | None] = field(default=(None, None, None, None))

    def encode(self) -> bytes:
        """Returns it as one line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Returns what `encode` was given.

        Raises:
            Refused: `order-invalid`, something else wrote it.
        """
        try:
            return TypeAdapter(cls).validate_json(data)
        except ValidationError as error:
            raise Refused(
                f"The worker cannot read what it is asked: {error.errors(include_input=False)[0]['msg']}.",
                code="order-invalid",
                hint="It is started by orchestrator itself: orchestrator run --agent NAME …",
            ) from error

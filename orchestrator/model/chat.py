"""What is said to a language model outside of an agent's loop, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.model.run import Usage


@dataclass(frozen=True, slots=True)
class Message:
    """One part of a conversation."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer; `is_whole` is False where it was cut off at the most tokens that it may have.

    `usage` is empty for an answer that was known already.
    """

    text: str
    usage: Usage
    model: str
    is_whole: bool = True
    is_known: bool = False

"""What an agent says of the end of its turn."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model.agent import Cause


@dataclass(frozen=True, slots=True)
class Told:
    """What the wire brought: a stop reason of the protocol, or the problem instead of it.

    `lost`: the wire came to its end before the answer; how the process ended tells more. The tokens are
    those of the whole turn, None where the agent does not tell them; `metered`: it told some usage.
    """

    stop: str = ""
    problem: str = ""
    cause: Cause = Cause.OTHER
    lost: bool = False
    metered: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None

"""The agents that speak ACP themselves or by a bridge, as data.

Source: facts measured with claude-agent-acp 0.49.0, codex-acp 2.6.0, gemini 0.61.0, copilot 1.0.102,
opencode 1.18.33.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Speaker:
    """How one program is started to speak ACP on its standard streams, and what has to be set in a session.

    `modes`: the session modes that are right for us, the best first; none: its own is left alone. With
    `model_option`, `model_variable` or `model_settings` (a variable that holds a JSON object) the model is
    told when it starts, else in the session. `authenticate` maps a variable to the method that is asked for
    when that variable is set; `authenticates_first`: at once, not only when it refuses a session without.
    `always_metered`: it tells its usage after every turn that reached a model, so that a turn without any is
    no success. `tokens_of_turn`: the tokens that it tells are those of the whole turn.
    """

    program: str
    args: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    model_option: str = ""
    model_variable: str = ""
    model_settings: str = ""
    authenticate: Mapping[str, str] = field(default_factory=dict)
    authenticates_first: bool = False
    always_metered: bool = False
    tokens_of_turn: bool = True


SPEAKERS: Mapping[str, Speaker] = {
    "claude": Speaker(
        program="claude-agent-acp",
        modes=("default",),
        model_variable="ANTHROPIC_MODEL",
        always_metered=True,
    ),
    # Never its mode `agent`: there a model answers for us what the sandbox does not allow.
    "codex": Speaker(
        program="codex-acp",
        modes=("workspace-write",),
        model_settings="CODEX_CONFIG",
        authenticate={"CODEX_API_KEY": "api-key", "OPENAI_API_KEY": "api-key"},
        always_metered=True,
    ),
    "gemini": Speaker(
        program="gemini",
        args=("--acp", "--skip-trust"),
        modes=("default",),
        model_option="-m",
        authenticate={"GEMINI_API_KEY": "gemini-api-key"},
        authenticates_first=True,
        always_metered=True,
    ),
    "copilot": Speaker(
        program="copilot",
        args=("--acp", "--no-auto-update"),
        modes=("https://agentclientprotocol.com/protocol/session-modes#agent",),
        model_option="--model",
        always_metered=True,
    ),
    "opencode": Speaker(
        program="opencode",
        args=("acp",),
        modes=("build",),
        always_metered=True,
        tokens_of_turn=False,
    ),
}
"""By the name of the preset."""

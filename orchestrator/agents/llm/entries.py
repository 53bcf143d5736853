"""What installed packages bring: agents (`orchestrator.agents`) and providers (`orchestrator.providers`).

Whoever installs a package into our environment trusts it as much as us; a repository cannot bring any.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from orchestrator.agents.llm.order import ModelSpec
from orchestrator.agents.simple import TaskResult, TextAgent
from orchestrator.config.section import AGENT_ENTRIES
from orchestrator.errors import Refused
from orchestrator.model.run import Usage

if TYPE_CHECKING:
    from pydantic_ai.models import Model

PROVIDER_ENTRIES = "orchestrator.providers"


def names(group: str) -> tuple[str, ...]:
    """Returns the names of what packages bring of a kind; nothing of theirs is imported."""
    return tuple(sorted({entry.name for entry in entry_points(group=group)}))


def made_agent(name: str) -> TextAgent:
    """Returns the agent that a package brings.

    Raises:
        Refused: `entry-unknown`, none does; `entry-broken`, it cannot be made, or is no agent.
    """
    entry = _entry(AGENT_ENTRIES, name)
    agent = _made(entry)
    missing = [verb for verb in ("execute", "validate_response", "format_output") if not hasattr(agent, verb)]
    if missing:
        raise _broken(entry, f"it has no `{missing[0]}`")
    made: TextAgent = agent  # type: ignore[assignment]  # its verbs were looked for above
    return made


def provided(spec: ModelSpec, environment: Mapping[str, str]) -> object:
    """Returns what a package's provider makes of a model: an `LLMClient`, or a model of pydantic-ai.

    Raises:
        Refused: `provider-unknown`, nobody brings it; `entry-broken`, it cannot make one.
    """
    if spec.provider not in names(PROVIDER_ENTRIES):
        from orchestrator.agents.llm.providers import unknown_provider

        raise unknown_provider(spec.provider)
    return _made(_entry(PROVIDER_ENTRIES, spec.provider), spec, dict(environment))


def as_model(spec: ModelSpec, made: object) -> Model:
    """Returns what a provider made, as the model of pydantic-ai that it is.

    Raises:
        Refused: `entry-broken`, it is something else.
    """
    from pydantic_ai.models import Model

    if isinstance(made, Model):
        return made
    entry = _entry(PROVIDER_ENTRIES, spec.provider)
    raise _broken(entry, "it makes neither a client with `chat` nor a model of pydantic-ai")


def usage_of(result: TaskResult) -> Usage:
    """Returns what an agent tells that it has consumed."""
    return Usage(
        input_tokens=result.input_tokens,
        output_tokens=result.output_tokens,
        cost_usd=result.cost_usd,
        turns=1,
    )


def _entry(group: str, name: str) -> EntryPoint:
    found = [entry for entry in entry_points(group=group) if entry.name == name]
    if not found:
        raise Refused(
            f"No installed package brings {name!r} under the entry points {group}.",
            code="entry-unknown",
            hint="Install the package into the same environment as orchestrator.",
        )
    return found[0]


def _made(entry: EntryPoint, *arguments: object) -> object:
    # Whatever somebody else's code raises: what stands there is their sentence, not a bug of ours.
    try:
        return entry.load()(*arguments)
    except Exception as error:
        raise _broken(entry, f"{type(error).__name__}: {error}") from error


def _broken(entry: EntryPoint, reason: str) -> Refused:
    return Refused(
        f"{entry.value} ({entry.group}: {entry.name}) cannot be used: {reason}",
        code="entry-broken",
        hint="See docs/adding-agents.md for what it must have.",
    )

"""A turn with tools: puts model, tools and conversation together and runs the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic_ai.exceptions import AgentRunError, UserError
from pydantic_ai.messages import ModelMessage

from orchestrator.agents.confined import ConfinedTree
from orchestrator.agents.llm import entries, failure, textual
from orchestrator.agents.llm.commands import CommandTools, Surroundings, environment_of_commands
from orchestrator.agents.llm.conversation import kept
from orchestrator.agents.llm.files import FileTools
from orchestrator.agents.llm.loop import Loop, Means
from orchestrator.agents.llm.order import Order
from orchestrator.agents.llm.providers import PROVIDERS
from orchestrator.agents.llm.served import host_of, model_of, settings_of
from orchestrator.agents.llm.telling import Teller
from orchestrator.agents.llm.tool import Tool, permitted
from orchestrator.agents.llm.traffic import Traffic
from orchestrator.process.command import Limits
from orchestrator.redaction.redactor import Redactor


def take(
    order: Order, teller: Teller, environment: Mapping[str, str], redactor: Redactor, tree: Path
) -> None:
    """Takes the turn and tells how it went.

    Raises:
        OrchestratorError: it cannot begin: no key, no such provider, a lost session.
    """
    spec = order.model
    assert spec is not None
    made = None if spec.provider in PROVIDERS else entries.provided(spec, environment)
    if hasattr(made, "chat"):  # a package's client of plain answers: there is nobody to offer tools to
        return textual.take(order, teller, environment, redactor, tree)
    traffic = Traffic(teller.request, silence_s=order.timeout_s)
    model = model_of(spec, environment, traffic.client) if made is None else entries.as_model(spec, made)
    history = kept(Path(order.session_file), order.session) if order.continues else []
    teller.opened(order.session, spec.name)
    means = Means(
        spec=spec,
        model=model,
        settings=settings_of(spec),
        tools=tools_of(order, teller, environment, redactor, ConfinedTree(tree)),
        teller=teller,
        redactor=redactor,
    )
    host = host_of(spec, environment)
    try:
        asyncio.run(_talk(Loop(means), traffic, order, history))
    except (AgentRunError, UserError) as error:
        words, status = failure.told(error, host) if isinstance(error, AgentRunError) else (str(error), None)
        teller.error(words, status)


async def _talk(loop: Loop, traffic: Traffic, order: Order, history: list[ModelMessage]) -> None:
    try:
        await loop.run(order.prompt, history, order.max_turns)
    finally:
        traffic.flush()
        with suppress(RuntimeError):
            await traffic.client.aclose()


def tools_of(
    order: Order, teller: Teller, environment: Mapping[str, str], redactor: Redactor, tree: ConfinedTree
) -> dict[str, Tool]:
    """Returns every tool of a turn by its name, with the permission that it has."""
    around = Surroundings(
        tree=tree,
        environment=environment_of_commands(environment, order.hidden),
        limits=Limits(*order.limits),
        marker=order.marker,
        deadline=time.monotonic() + order.timeout_s,
        redactor=redactor,
        beat=teller.beat,
    )
    commands = CommandTools(around)
    own = permitted((*FileTools(tree).tools(), commands.shell()), dict(order.permissions))
    return {tool.name: tool for tool in (*own, *map(commands.configured, order.tools))}

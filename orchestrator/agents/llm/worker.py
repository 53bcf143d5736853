"""The process in which a turn of the built-in agent runs; a supervised child like any other agent.

It reads one `Order` from stdin and tells one JSON object a line on stdout. Keys come by its environment
alone. Killed at any moment it leaves the files of the tree, and what it has told of the conversation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator.agents.llm.order import Order
from orchestrator.agents.llm.telling import Teller
from orchestrator.errors import OrchestratorError
from orchestrator.redaction.redactor import Redactor

FAILED = 1


def main() -> None:
    """Takes one turn and ends the process: status 0 when the turn came to an end by itself, 1 otherwise."""
    teller = Teller(os.dup(1))
    os.dup2(2, 1)  # what a library prints must not come between our lines
    try:
        order = Order.decode(sys.stdin.buffer.read())
        take(order, teller, os.environ)
    except OrchestratorError as error:
        hint = f" ({error.hint})" if error.hint else ""
        teller.error(f"{error.message.rstrip('.')}{hint}")
        sys.exit(FAILED)


def take(order: Order, teller: Teller, environment: Mapping[str, str]) -> None:
    """Takes the turn that is ordered, in the current directory.

    Raises:
        OrchestratorError: whatever stands in its way; nothing of it has been told.
    """
    redactor = Redactor()
    for name in order.secrets:
        redactor.add(name, environment.get(name, ""))
    tree = Path(os.getcwd())
    if order.mode == "tools":
        from orchestrator.agents.llm import turn

        turn.take(order, teller, environment, redactor, tree)
    else:
        from orchestrator.agents.llm import textual

        textual.take(order, teller, environment, redactor, tree)


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # whoever asked is gone, and nobody listens any more
        main()

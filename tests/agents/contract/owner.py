"""Owns one turn in a process of its own, so that a test can kill the owner.

python -m tests.agents.contract.owner SUBJECT PLAY PLACE TREE MARKER
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator.model.agent import AgentRequest
from orchestrator.redaction.redactor import Redactor
from tests.agents.contract.stage import Play
from tests.agents.contract.subject import all_subjects


def main(name: str, play: str, place: str, tree: str, marker: str) -> None:
    """Takes the turn to its end, which the test does not wait for."""
    request = AgentRequest("do it", f"{place}/transcript.log", marker, timeout_s=60.0, idle_timeout_s=60.0)
    with all_subjects()[name].make(Play(play), Path(place), Redactor()) as agent:
        for _ in agent.run(request, worktree=Path(tree), cancelled=lambda: False):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])

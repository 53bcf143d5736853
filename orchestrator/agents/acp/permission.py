"""Answers an agent that asks for permission.

Approvals are advisory: agents do much without asking. The isolated tree, the gates and the sandbox enforce.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.agents.acp.detail import OTHER, tool_paths

Decide = Callable[[dict[str, Any]], bool]

_CHANGES = ("edit", "delete", "move", OTHER, "")
"""The kinds that may change files; of `other` and of none nobody knows."""


def inside(worktree: Path, *further: str) -> Decide:
    """Returns the policy that allows everything but changes of files outside of the tree.

    `further` are directories that count as inside, as does the one for temporary files. Commands are
    allowed: what they touch cannot be told from their words.
    """
    places = [os.fspath(worktree), tempfile.gettempdir(), *further]
    roots = [os.path.realpath(place) for place in places if place]

    def decide(call: dict[str, Any]) -> bool:
        if (call.get("kind") or "") not in _CHANGES:
            return True
        paths = (os.path.realpath(os.path.join(worktree, path)) for path in tool_paths(call))
        return all(_is_below(path, roots) for path in paths)

    return decide


def choose(options: Sequence[tuple[str, str]], *, allow: bool) -> str | None:
    """Returns the id of the option, given as (id, kind), that answers this one time; None if there is none.

    Options are chosen by kind, because every agent has ids of its own. What holds for always is never
    chosen: it would answer questions that nobody has seen.
    """
    wanted = "allow_once" if allow else "reject_once"
    return next((option for option, kind in options if kind == wanted), None)


def _is_below(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)

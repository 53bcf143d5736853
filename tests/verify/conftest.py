"""Gives tests of checks a repository to check, and a way to write a request in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.config.schema import Verify, Worktrees
from orchestrator.discovery import locate
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.repo.repository import Repository
from orchestrator.repo.trees import IsolatedTrees
from orchestrator.verify.checks import CheckRequest
from tests.conftest import GitCall

RequestFor = Callable[..., CheckRequest]
MARK = f"mark-{uuid4().hex}"  # the processes of tests running beside are not ours


def python(code: str, *arguments: str) -> list[str]:
    """Returns the words that run a piece of Python."""
    return [sys.executable, "-c", code, *arguments]


@pytest.fixture
def trees(repository: Path, home: Path) -> IsolatedTrees:
    located = locate(str(repository), {})
    return IsolatedTrees(Repository(located, trusted=True), repository / ".orchestrator" / "worktrees")


@pytest.fixture
def request_for(repository: Path, trees: IsolatedTrees, git: GitCall, tmp_path: Path) -> RequestFor:
    """Returns a function that makes a request for the checks given, on the tree of a commit (HEAD)."""

    def make(
        verify: Mapping[str, object],
        *,
        revision: str = "HEAD",
        worktrees: Mapping[str, object] | None = None,
        **options: object,
    ) -> CheckRequest:
        return CheckRequest(
            trees=trees,
            run_id=RunId("run-1"),
            tree=ObjectId(git(repository, "rev-parse", f"{revision}^{{tree}}")),
            verify=Verify.model_validate(verify),
            worktrees=Worktrees.model_validate(worktrees or {}),
            artifacts=tmp_path / "artifacts",
            marker=MARK,
            **{"timeout_s": 60.0, **options},  # type: ignore[arg-type]
        )

    return make

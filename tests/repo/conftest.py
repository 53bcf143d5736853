"""Gives the tests of this room a repository opened by our code and a place for its trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.discovery import locate
from orchestrator.model.ids import RunId
from orchestrator.model.record import Checkpoint
from orchestrator.paths import OrchestratorPaths
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.repo.fingerprint import differences
from orchestrator.repo.repository import Repository
from orchestrator.repo.trees import IsolatedTree, IsolatedTrees
from tests.conftest import GitCall

RUN = RunId("run-1")


@dataclass
class Bench:
    """A repository, its trees and its checkpoints, and what the last checkpoint could not keep."""

    path: Path
    repository: Repository
    trees: IsolatedTrees
    checkpoints: Checkpoints
    git: GitCall
    left_out: list[str]

    @staticmethod
    def at(path: Path, git: GitCall, *, trusted: bool = False) -> Bench:
        repository = Repository(locate(str(path)), trusted=trusted)
        paths = OrchestratorPaths(Path(repository.located.home))
        trees = IsolatedTrees(repository, paths.worktrees_dir)
        return Bench(path, repository, trees, Checkpoints(repository, paths, trees), git, [])

    def tree(self, name: str = "main", revision: str = "HEAD") -> IsolatedTree:
        return self.trees.create(RUN, name, self.repository.resolve(revision))

    def take(
        self,
        tree: IsolatedTree,
        *,
        label: str = "after work",
        include: tuple[str, ...] = (),
        brought: tuple[str, ...] = (),
    ) -> Checkpoint:
        self.left_out.clear()
        return self.checkpoints.take(
            tree,
            run_id=RUN,
            document={"run": {"id": RUN}},
            label=label,
            include=include,
            brought=brought,
            report=self.left_out.append,
        )

    def files(self, treeish: str) -> dict[str, str]:
        """Returns mode-and-content by path of a tree, read by plain git."""
        found = {}
        for item in self.git(self.path, "ls-tree", "-r", "-z", treeish).split("\0"):
            if item:
                facts, name = item.split("\t", 1)
                mode, kind, oid = facts.split(" ")
                found[name] = oid if kind == "commit" else self.git(self.path, "cat-file", "blob", oid)
                assert mode
        return found

    def reaches(self, oid: str) -> bool:
        """Returns whether our refs reach an object."""
        return oid in self.git(
            self.path, "rev-list", "--objects", "--no-object-names", "--glob=refs/orchestrator/*"
        ).split("\n")


@pytest.fixture
def bench(repository: Path, git: GitCall) -> Iterator[Bench]:
    """Yields a bench on the usual repository and checks afterwards that it is as it was."""
    made = Bench.at(repository, git)
    before = made.repository.fingerprint()
    yield made
    assert differences(before, made.repository.fingerprint()) == ()
    assert git(repository, "status", "--porcelain", "--", ":!.orchestrator") == ""
    assert git(repository, "fsck", "--no-dangling", "--no-progress") == ""


@pytest.fixture
def hostile(tmp_path: Path) -> Callable[[Path], None]:
    """Returns a function that fills a git directory with all that could run, each leaving `pwned-*`."""

    def fill(git_dir: Path) -> None:
        trap = tmp_path / "pwned"
        lines = [
            f'[core]\n\tfsmonitor = "touch {trap}-fsmonitor; false"\n\thooksPath = {tmp_path}/evil-hooks\n'
            f'\tsshCommand = "touch {trap}-ssh"\n\talternateRefsCommand = "touch {trap}-alternates; true"\n'
            f'\tpager = "touch {trap}-pager"\n\teditor = "touch {trap}-editor"\n',
            f'[filter "evil"]\n\tclean = "touch {trap}-clean; cat"\n\trequired\n',
            f'[filter "evil"]\n\tsmudge = "touch {trap}-smudge; cat"\n',
            f'[filter "long"]\n\tprocess = "touch {trap}-process"\n\trequired\n',
            f'[merge "evil"]\n\tdriver = "touch {trap}-merge"\n',
            f'[diff]\n\texternal = "touch {trap}-diff"\n',
            f'[diff "evil"]\n\ttextconv = "touch {trap}-textconv; cat"\n',
            f'[credential]\n\thelper = "!touch {trap}-credential"\n[gpg]\n\tprogram = "{trap}-gpg"\n',
        ]
        with open(git_dir / "config", "a") as file:
            file.writelines(lines)
        hooks = tmp_path / "evil-hooks"
        hooks.mkdir(exist_ok=True)
        for place in (hooks, git_dir / "hooks"):
            place.mkdir(exist_ok=True)
            for name in (
                "post-checkout",
                "reference-transaction",
                "post-index-change",
                "pre-commit",
                "pre-auto-gc",
            ):
                (place / name).write_text(f"#!/bin/sh\ntouch {trap}-hook-{name}\n")
                (place / name).chmod(0o755)
        (git_dir / "info").mkdir(exist_ok=True)
        (git_dir / "info" / "attributes").write_text(
            "*.evil filter=evil merge=evil diff=evil\n*.long filter=long\n"
        )

    return fill


@pytest.fixture
def pwned(tmp_path: Path) -> Callable[[], list[str]]:
    """Returns a function that names the traps that went off."""
    return lambda: sorted(path.name for path in tmp_path.glob("pwned*"))

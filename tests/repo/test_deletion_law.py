"""One deletion law: raw removals live in fs, and removing work goes through repo/removal.py."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchestrator

ROOT = Path(orchestrator.__file__).parent

RAW_CALLS = frozenset({"rmtree", "unlink", "rmdir", "removedirs"})
"""Names under which the standard library removes files, whatever object they are called on."""

RAW_REMOVERS = {
    "fs/disk.py": "the effects class",
    "fs/temp.py": "temporary files that it makes",
    "fs/tree.py": "its removal of directories",
    "repo/snapshot.py": "copies of an index in our scratch directory; a sync would slow every checkpoint",
}
"""Where raw removals may stand, and why."""

OWN_FILES_ONLY = {
    "engine/plan_only.py": "transcripts of a planner that worked for no run",
    "engine/verification.py": "reports of an attempt that is repeated",
    "migrate/apply.py": "scratch copies of a database that a killed migration left",
    "migrate/finalize.py": "originals whose bytes a ref keeps, and the record's own files",
    "migrate/mover.py": "a source whose verified copy is at its new place, and half-made copies",
    "migrate/publish.py": "a record of our own that never appeared, or was put away",
    "migrate/rollback.py": "the `.orchestrator/` that the migration itself made",
    "migrate/sqlite.py": "a private copy of a database",
    "repo/removal.py": "the law itself",
    "repo/index_lock.py": "the scratch directory of a move",
    "repo/ref_locks.py": "logs of refs of ours that are deleted",
    "repo/scratch.py": "git directories made for one checkpoint",
    "repo/trees.py": "a tree that was never finished, before its receipt",
    "takeover/taking_over.py": "scratch copies of originals, below our tmp",
    "verify/clean.py": "clean trees, made from a tree hash that a checkpoint keeps",
    "verify/installed.py": "what a setup command of ours installed",
    "verify/watch.py": "scratch space of a comparison",
}
"""Modules that remove whole directories through `Disk`, and why no work can be in them."""

GIT_REMOVALS = (
    ("branch", "-D"),
    ("branch", "-d"),
    ("branch", "--delete"),
    ("reset", "--hard"),
    ("clean",),
    ("worktree", "remove"),
    ("worktree", "prune"),
    ("stash", "drop"),
    ("stash", "clear"),
    ("reflog", "expire"),
    ("gc",),
    ("prune",),
    ("update-ref", "-d"),
)
GIT_REMOVERS = frozenset({"repo/removal.py"})


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_bytes())


def called(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Yields (what it is called on, name, line) of every call and of every import of such a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            yield (owner.id if isinstance(owner, ast.Name) else ""), node.func.attr, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module in ("os", "shutil", "pathlib"):
            for alias in node.names:
                yield node.module, alias.name, node.lineno


def raw_removals(tree: ast.Module) -> list[int]:
    return [
        line
        for owner, name, line in called(tree)
        if name in RAW_CALLS or (owner == "os" and name in ("remove", "replace", "rename"))
    ]


def git_removals(tree: ast.Module) -> list[int]:
    """Returns the lines where the words of a removing git command stand side by side, call or tuple."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            items: list[ast.expr] = node.args if node.func.attr in ("run", "text", "lines", "zsplit") else []
        elif isinstance(node, ast.Tuple | ast.List):
            items = node.elts
        else:
            continue
        words = [
            item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)
        ]
        # A single word in a tuple may be any word; in a call of the git wrapper it is the command.
        shortest = 1 if isinstance(node, ast.Call) else 2
        if any(_says(words, removal) for removal in GIT_REMOVALS if len(removal) >= shortest):
            found.append(node.lineno)
    return found


def _says(words: list[str], removal: tuple[str, ...]) -> bool:
    return words[:1] == [removal[0]] and all(word in words for word in removal)


def test_only_fs_removes_or_replaces_files_itself() -> None:
    offenders = {
        name: lines for name, tree in modules() if name not in RAW_REMOVERS and (lines := raw_removals(tree))
    }

    assert offenders == {}


def test_whole_directories_are_removed_only_where_no_work_can_be() -> None:
    removers = {
        name
        for name, tree in modules()
        if not name.startswith("fs/")
        and any(
            called_name == "remove_tree" and owner not in ("removal", "integration")
            for owner, called_name, _ in called(tree)
        )
    }

    assert removers <= set(OWN_FILES_ONLY), (
        "say why no work can be in what it removes, or use repo/removal.py"
    )


def test_git_commands_that_remove_work_stand_in_the_one_module_that_may() -> None:
    offenders = {
        name: lines for name, tree in modules() if name not in GIT_REMOVERS and (lines := git_removals(tree))
    }

    assert offenders == {}


@pytest.mark.parametrize(
    "source",
    [
        "import shutil\nshutil.rmtree(p)",
        "import os\nos.remove(p)",
        "import os\nos.replace(p, q)",
        "Path(p).unlink()",
        "from shutil import rmtree",
        "os.rmdir(p)",
    ],
)
def test_the_law_sees_every_way_to_remove_a_file(source: str) -> None:
    assert raw_removals(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "git.run('branch', '-D', name)",
        "git.run('reset', '-q', '--hard')",
        "git.run('clean', '-fdx')",
        "git.run('gc')",
        "words = ('update-ref', '--no-deref', '-d', name)",
        "words = ['worktree', 'remove', place]",
    ],
)
def test_the_law_sees_every_git_command_that_removes_work(source: str) -> None:
    assert git_removals(ast.parse(source))

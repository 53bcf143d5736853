"""Repositories that go wrong in every way, and what `migrate` makes of old state in them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import GitCall
from tests.doctor.conftest import Printed, front
from tests.migrate.building import Facts, plain, put, snapshot
from tests.nasty import test_nasty as nasty
from tests.takeover import w_files

Build = Callable[[Path, GitCall], None]

_RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def old_state(repo: Path) -> None:
    """Writes what workflow-orchestrator left, and a second earlier layout beside it."""
    plain(repo)
    w_files.write_json(repo / ".workflow_state.json", w_files.a_state())
    w_files.write_lines(repo / ".workflow_log.jsonl", w_files.a_log())


def dirty_index(repo: Path, git: GitCall) -> None:
    (repo / "app.py").write_text("print(2)\n")
    git(repo, "add", "app.py")
    (repo / "app.py").write_text("print(3)\n")
    (repo / "new.py").write_text("")


def odd_names_in_it(repo: Path, git: GitCall) -> None:
    (repo / "checkpoints").mkdir()
    nasty.strange_names(repo / "checkpoints", git)
    git(repo, "reset", "-q")
    put(repo / "checkpoints" / "-rf")
    put(repo / "checkpoints" / ("n" * 250))
    for name in ("CON", "nul.txt", "trail.", "a:b", "q?", "star*", "cafe\u0301", "caf\u00e9"):
        put(repo / "checkpoints" / name, name.encode())


def blanks_and_quotes(repo: Path, git: GitCall) -> None:
    odd = repo.parent / 'it\'s a "repo" $HOME;x'
    repo.rename(odd)
    repo.symlink_to(odd)


def submodule(repo: Path, git: GitCall) -> None:
    git(repo.parent, "clone", "-q", "repo", "sub")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", "../sub", "sub")
    git(repo, "commit", "-q", "-m", "sub")
    old_state(repo / "sub")


def old_state_in_a_repository_inside(repo: Path, git: GitCall) -> None:
    nasty.repository_in_repository(repo, git)
    old_state(repo / "inner")


def shallow(repo: Path, git: GitCall) -> None:
    git(repo, "commit", "-q", "--allow-empty", "-m", "second")
    repo.rename(repo.parent / "full")
    git(repo.parent, "clone", "-q", "--depth=1", f"file://{repo.parent}/full", "repo")


def sparse(repo: Path, git: GitCall) -> None:
    put(repo / "far/y.py")
    git(repo, "add", "far")
    git(repo, "commit", "-q", "-m", "far")
    git(repo, "sparse-checkout", "set", "--cone", "near")


def odd_ignore_file(repo: Path, git: GitCall) -> None:
    put(repo / ".gitignore", b"# a\r\nlogs/\r\n!keep", 0o640)


def ignore_file_is_a_link(repo: Path, git: GitCall) -> None:
    put(repo.parent / "shared-ignore", b"*.pyc\n")
    (repo / ".gitignore").symlink_to("../shared-ignore")


def from_the_future(repo: Path, git: GitCall) -> None:
    put(repo / "checkpoints/late")
    os.utime(repo / "checkpoints/late", (4e9, 4e9))
    os.utime(repo / "app.py", (-86400, -86400))


MIGRATE: tuple[Build, ...] = (
    nasty.no_commit,
    nasty.detached_head,
    nasty.index_lock_left,
    nasty.sha256,
    nasty.ignored_by_a_rule,
    dirty_index,
    odd_names_in_it,
    blanks_and_quotes,
    submodule,
    old_state_in_a_repository_inside,
    shallow,
    sparse,
    odd_ignore_file,
    ignore_file_is_a_link,
    from_the_future,
)
"""What is merely odd: everything moves, and back, and nothing else is touched."""

REFUSE: tuple[tuple[Build, str], ...] = (
    (nasty.link_to_elsewhere, "unsafe-directory"),
    (nasty.file_in_its_place, "unsafe-directory"),
    (nasty.foreign_directory, "layout-newer"),
    (nasty.newer_layout, "layout-newer"),
    (nasty.lock_is_symlink, "foreign-directory"),
    (nasty.not_a_repository, "not-a-repository"),
    (nasty.bare, "bare-repository"),
    (nasty.corrupt_head, "broken-repository"),
    (nasty.spoofed_commondir, "git-dir-spoofed"),
    (nasty.worktree_of_deleted_repository, "broken-repository"),
    (nasty.owned_by_somebody_else, "unsafe-owner"),
    (nasty.mid_merge, "operation-in-progress"),
)
"""What cannot be used, each with the code of the error; nothing may change."""


def everything(repo: Path) -> Facts:
    """Returns all that lies around the repository, git's directory too."""
    return snapshot(repo.parent)


def migrating(repo: Path, *words: str) -> Printed:
    """Calls `migrate` and looks at what it prints: no traceback, and nothing that drives a terminal."""
    said = front(repo, *words, command="migrate")
    assert "Traceback" not in said.out + said.err
    assert not _RAW.search(said.out + said.err)
    return said


@pytest.mark.parametrize("build", MIGRATE, ids=lambda build: build.__name__)
def test_old_state_in_an_odd_repository_moves_once_and_back(
    repository: Path, git: GitCall, build: Build
) -> None:
    build(repository, git)
    old_state(repository)
    before = everything(repository)

    shown = migrating(repository, "--dry-run")
    assert everything(repository) == before
    first = migrating(repository, "-y")
    moved = [name for name in (".workflow_state.json", "checkpoints") if not (repository / name).exists()]
    again = migrating(repository, "-y")
    back = migrating(repository, "--rollback", "-y")

    assert (shown.status, first.status, again.status, back.status) == (0, 0, 0, 0), first.err + back.err
    assert moved == [".workflow_state.json", "checkpoints"]
    assert again.out == "Nothing to migrate.\n"
    assert everything(repository) == before


@pytest.mark.parametrize(("build", "code"), REFUSE, ids=lambda value: getattr(value, "__name__", None))
def test_old_state_stays_where_nothing_can_be_done(
    repository: Path, git: GitCall, build: Build, code: str
) -> None:
    build(repository, git)
    (repository / "checkpoints").mkdir()
    if build is nasty.bare:
        shutil.rmtree(repository / "checkpoints")
    else:
        old_state(repository)
    before = everything(repository)

    refused = migrating(repository, "-y")

    assert refused.status == 2
    assert refused.err.startswith(f"error[{code}]: ")
    assert "hint: " in refused.err
    assert everything(repository) == before

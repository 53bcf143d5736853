"""Repositories that go wrong in every way, and what `init`, `status` and `doctor` make of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import GitCall
from tests.doctor.conftest import front, snapshot

Build = Callable[[Path, GitCall], None]


def link_to_elsewhere(repo: Path, git: GitCall) -> None:
    (repo.parent / "victim").mkdir()
    (repo / ".orchestrator").symlink_to(repo.parent / "victim")


def file_in_its_place(repo: Path, git: GitCall) -> None:
    (repo / ".orchestrator").write_text("a file\n")


def foreign_directory(repo: Path, git: GitCall) -> None:
    (repo / ".orchestrator").mkdir()
    (repo / ".orchestrator" / "VERSION").write_text("999\n")


def newer_layout(repo: Path, git: GitCall) -> None:
    (repo / ".orchestrator").mkdir()
    document = {"tool": "orchestrator", "layout_version": 999, "repo_id": "0" * 32}
    (repo / ".orchestrator" / "layout.json").write_text(json.dumps(document))


def lock_is_symlink(repo: Path, git: GitCall) -> None:
    (repo.parent / "victim").write_text("precious\n")
    (repo / ".orchestrator").mkdir()
    (repo / ".orchestrator" / "lock").symlink_to("../../victim")


def not_a_repository(repo: Path, git: GitCall) -> None:
    shutil.rmtree(repo / ".git")


def bare(repo: Path, git: GitCall) -> None:
    git(repo.parent, "clone", "-q", "--bare", "repo", "bare")
    shutil.rmtree(repo)
    (repo.parent / "bare").rename(repo)


def corrupt_head(repo: Path, git: GitCall) -> None:
    (repo / ".git" / "HEAD").write_text("garbage")


def spoofed_commondir(repo: Path, git: GitCall) -> None:
    (repo / ".git" / "commondir").write_text("/trusted/by/user/.git\n")


def worktree_of_deleted_repository(repo: Path, git: GitCall) -> None:
    git(repo, "worktree", "add", "-q", "../wt", "-b", "w")
    shutil.rmtree(repo)
    (repo.parent / "wt").rename(repo)


def owned_by_somebody_else(repo: Path, git: GitCall) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    for directory, _, files in os.walk(repo):
        for name in ("", *files):
            os.chown(os.path.join(directory, name), 65534, 65534, follow_symlinks=False)


def no_commit(repo: Path, git: GitCall) -> None:
    shutil.rmtree(repo / ".git")
    git(repo, "init", "-q")


def detached_head(repo: Path, git: GitCall) -> None:
    git(repo, "checkout", "-q", "--detach")


def mid_merge(repo: Path, git: GitCall) -> None:
    for branch, text in (("side", "side\n"), ("main", "main\n")):
        git(repo, "checkout", "-q", *(["-b", "side"] if branch == "side" else ["main"]))
        (repo / "app.py").write_text(text)
        git(repo, "commit", "-qam", branch)
    git(repo, "merge", "side", ok=False)


def index_lock_left(repo: Path, git: GitCall) -> None:
    (repo / ".git" / "index.lock").write_bytes(b"")


def strange_names(repo: Path, git: GitCall) -> None:
    for name in (
        "a\nb",
        "\x1b[31mred",
        " lead and trail ",
        "'\"`$(id)",
        "--upload-pack=id",
        "log\u202egnp.exe",
    ):
        (repo / name).write_text("x")
    with open(os.fsencode(repo) + b"/bad-\xff\xfe", "wb") as file:
        file.write(b"x")
    os.mkfifo(repo / "pipe")
    (repo / "loop").symlink_to("loop")
    git(repo, "add", "-A", "--", ":!pipe")


def sha256(repo: Path, git: GitCall) -> None:
    shutil.rmtree(repo / ".git")
    git(repo, "init", "-q", "--object-format=sha256")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "first")


def ignored_by_a_rule(repo: Path, git: GitCall) -> None:
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "exclude").write_text(".*\n")


def repository_in_repository(repo: Path, git: GitCall) -> None:
    (repo / "inner").mkdir()
    git(repo / "inner", "init", "-q")


def linked_worktree(repo: Path, git: GitCall) -> None:
    git(repo, "worktree", "add", "-q", "../wt", "-b", "w")
    repo.rename(repo.parent / "main-tree")
    git(repo.parent / "main-tree", "worktree", "repair", "../wt")
    git(repo.parent / "main-tree", "worktree", "move", "../wt", "../repo")


REFUSED: tuple[tuple[Build, str], ...] = (
    (link_to_elsewhere, "layout-ownership"),
    (file_in_its_place, "layout-ownership"),
    (foreign_directory, "layout-ownership"),
    (newer_layout, "layout-ownership"),
    (lock_is_symlink, "layout-ownership"),
    (not_a_repository, "repository-root"),
    (bare, "repository-root"),
    (corrupt_head, "repository-root"),
    (spoofed_commondir, "repository-root"),
    (worktree_of_deleted_repository, "repository-root"),
    (owned_by_somebody_else, "repository-root"),
)
"""Each with the check that must fail; nothing may change, and every command says why on one line."""

WORKING: tuple[tuple[Build, str], ...] = (
    (no_commit, "repository-first-commit"),
    (detached_head, ""),
    (mid_merge, "repository-operation"),
    (index_lock_left, "git-index-lock"),
    (strange_names, ""),
    (sha256, ""),
    (ignored_by_a_rule, "layout-shared"),
    (repository_in_repository, ""),
    (linked_worktree, ""),
)
"""Each with the check that must warn once it is initialised, if any."""


def statuses(repo: Path) -> dict[str, str]:
    told = json.loads(front(repo, "--json").out)
    assert not [check for check in told["checks"] if "the check itself failed" in check["summary"]]
    return {check["id"]: check["status"] for check in told["checks"]}


@pytest.mark.parametrize(("build", "check"), REFUSED, ids=lambda value: getattr(value, "__name__", None))
def test_what_cannot_be_used_is_refused_and_left_as_it_is(
    repository: Path, git: GitCall, home: Path, build: Build, check: str
) -> None:
    build(repository, git)
    before = snapshot(repository.parent)

    said = {command: front(repository, command=command) for command in ("init", "status", "doctor")}

    assert [said[command].status for command in ("init", "status", "doctor")] == [2, 2, 1]
    assert said["init"].err.startswith("error[")
    assert "hint: " in said["init"].err
    assert "Traceback" not in "".join(each.err + each.out for each in said.values())
    assert statuses(repository)[check] == "fail"
    assert snapshot(repository.parent) == before


@pytest.mark.parametrize(("build", "check"), WORKING, ids=lambda value: getattr(value, "__name__", None))
def test_what_is_merely_odd_works_and_doctor_names_it(
    repository: Path, git: GitCall, home: Path, build: Build, check: str
) -> None:
    build(repository, git)
    before = git(repository, "status", "--porcelain=v2", "--branch")

    assert front(repository, command="init").status == 0
    assert front(repository, command="init").status == 0
    assert front(repository, command="status").status == 0
    found = statuses(repository)

    assert "fail" not in found.values(), found
    if check:
        assert found[check] == "warn"
    after = git(repository, "status", "--porcelain=v2", "--branch").replace("? .orchestrator/\n", "")
    assert after.removesuffix("\n? .orchestrator/") == before


def test_names_that_drive_a_terminal_are_never_printed_raw(repository: Path, git: GitCall) -> None:
    strange_names(repository, git)
    secret = "sk-" + "0" * 20
    (repository / "\x1b[31mred\u202e").write_text(secret)
    git(repository, "add", "--", "\x1b[31mred\u202e")

    said = front(repository, "-v")

    assert "\x1b" not in said.out
    assert "\u202e" not in said.out
    assert secret not in said.out


def test_a_hostile_repository_runs_nothing(repository: Path, git: GitCall, tmp_path: Path) -> None:
    trap = tmp_path / "pwned"
    (repository / ".gitattributes").write_text("*.py filter=x diff=x\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "attributes")
    hooks = repository / ".evil-hooks"
    hooks.mkdir()
    for name in ("post-checkout", "pre-commit", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {trap}-hook\n")
        (hooks / name).chmod(0o755)
    for key, value in (
        ("core.fsmonitor", f"touch {trap}-fsmonitor"),
        ("core.hooksPath", ".evil-hooks"),
        ("core.pager", f"touch {trap}-pager"),
        ("diff.external", f"touch {trap}-diff"),
        ("diff.x.textconv", f"touch {trap}-textconv; cat"),
        ("filter.x.clean", f"touch {trap}-clean; cat"),
        ("filter.x.smudge", f"touch {trap}-smudge; cat"),
        ("alias.status", f"!touch {trap}-alias"),
    ):
        git(repository, "config", key, value)
    git(repository, "clone", "-q", "--bare", ".", "vendor/evil.git")
    os.utime(repository / "app.py", (1, 1))
    for place in tmp_path.glob("pwned*"):  # what plain git of the preparation set off
        place.unlink()

    for command, words in (
        ("doctor", ()),
        ("init", ()),
        ("status", ()),
        ("doctor", ("--json",)),
        ("doctor", ("--footprint",)),
        ("doctor", ("--fix",)),
    ):
        assert front(repository, *words, command=command).status in (0, 1)

    assert statuses(repository)["git-local-programs"] == "warn"
    assert list(tmp_path.glob("pwned*")) == []
    assert list(repository.rglob("pwned*")) == []


def test_variables_of_a_hook_do_not_mislead_us(
    repository: Path, git: GitCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/elsewhere/index")

    assert front(repository, command="init").status == 0
    found = statuses(repository)

    assert found["environment-git"] == "warn"
    assert found["repository-root"] == "ok"


def test_a_path_with_blanks_and_quotes_works(repository: Path, git: GitCall) -> None:
    odd = repository.parent / 'it\'s a "repo" $HOME;x'
    repository.rename(odd)

    assert front(odd, command="init").status == 0
    assert front(odd).status == 0


def test_a_buried_bare_repository_is_no_place_to_work(repository: Path, git: GitCall) -> None:
    git(repository, "clone", "-q", "--bare", ".", "vendor/evil.git")

    assert front(repository / "vendor" / "evil.git", command="init").status == 2
    assert not (repository / ".orchestrator").exists()

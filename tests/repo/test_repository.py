"""Facts of the user's repository, the refs that are ours, and the fingerprint."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import Failed, GitFailed, Refused
from orchestrator.model.ids import ObjectId
from orchestrator.repo import history
from orchestrator.repo.fingerprint import differences
from orchestrator.repo.permissions import Opened
from orchestrator.repo.repository import Identity
from orchestrator.repo.special import special_files
from tests.conftest import GitCall
from tests.repo.conftest import Bench


def test_head_tells_commit_and_branch(repository: Path, git: GitCall, tmp_path: Path) -> None:
    bench = Bench.at(repository, git)
    oid = git(repository, "rev-parse", "HEAD")
    assert (bench.repository.head().oid, bench.repository.head().branch) == (oid, "refs/heads/main")
    git(repository, "checkout", "-q", "--detach")
    assert bench.repository.head().branch is None
    git(tmp_path, "init", "-q", "empty")
    empty = Bench.at(tmp_path / "empty", git).repository
    assert empty.head().oid is None
    with pytest.raises(Refused) as refused:
        empty.resolve("HEAD")
    assert refused.value.code == "no-commit"
    assert empty.null_id == "0" * 40


@pytest.mark.parametrize(
    "revision",
    ["nothing", "--all", "-h", "", "a\0b", "HEAD:app.py", "HEAD..HEAD", "../../etc", "@{99}", "HEAD\n"],
)
def test_a_base_that_is_no_commit_is_refused(bench: Bench, revision: str) -> None:
    with pytest.raises(Refused) as refused:
        bench.repository.resolve(revision)

    assert refused.value.code == "base-unknown"


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("MERGE_HEAD", "merge"),
        ("rebase-merge", "rebase"),
        ("CHERRY_PICK_HEAD", "cherry-pick"),
        ("BISECT_LOG", "bisect"),
    ],
)
def test_an_operation_the_user_has_begun_is_named(
    repository: Path, git: GitCall, entry: str, what: str
) -> None:
    bench = Bench.at(repository, git)
    assert bench.repository.operation_in_progress() is None

    (repository / ".git" / entry).touch()

    assert bench.repository.operation_in_progress() == what


def test_the_identity_is_the_users_and_its_variables_win(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.repository.identity() == Identity(*("A User", "user@example.invalid") * 2)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Another")
    monkeypatch.setenv("GIT_AUTHOR_DATE", "1700000000 +0000")

    identity = bench.repository.identity()

    assert identity.author_name == "Another"
    assert identity.environment()["GIT_AUTHOR_DATE"] == "1700000000 +0000"
    assert identity.environment()["GIT_COMMITTER_EMAIL"] == "user@example.invalid"


def test_a_missing_identity_is_refused(bench: Bench, home: Path) -> None:
    text = (home / ".gitconfig").read_text()
    (home / ".gitconfig").write_text("[init]\n\tdefaultBranch = main\n")

    with pytest.raises(Refused) as refused:
        bench.repository.identity()

    assert refused.value.code == "identity-missing"
    (home / ".gitconfig").write_text(text)


def test_dirty_paths_are_named_with_odd_names_and_conflicts(repository: Path, git: GitCall) -> None:
    bench = Bench.at(repository, git)
    assert not bench.repository.is_dirty()
    (repository / "a b\nc").write_text("x")
    (repository / "app.py").write_text("2\n")

    assert bench.repository.dirty_paths() == ("app.py",)
    assert bench.repository.dirty_paths(untracked=True) == ("app.py", "a b\nc")
    git(repository, "checkout", "-q", "-b", "x")
    git(repository, "commit", "-qam", "x")
    git(repository, "checkout", "-q", "main")
    (repository / "app.py").write_text("3\n")
    git(repository, "commit", "-qam", "y")
    git(repository, "merge", "-q", "x", ok=False)
    assert bench.repository.dirty_paths() == ("app.py",)


def test_a_diff_between_any_two_trees(repository: Path, git: GitCall) -> None:
    bench = Bench.at(repository, git)
    before = bench.repository.resolve("HEAD")
    (repository / "app.py").write_text("2\n")
    (repository / "b").write_text("b\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "b")
    after = bench.repository.resolve("HEAD")

    assert b"+2\n" in bench.repository.diff(before, after)
    assert b"app.py" not in bench.repository.diff(before, after, paths=("b",))
    assert b"2 files changed" in bench.repository.diff(before, bench.repository.tree_of(after), stat=True)
    assert bench.repository.changed_paths(before, after) == ("app.py", "b")


def test_our_refs_move_only_from_where_they_were_believed_to_be(bench: Bench) -> None:
    head = bench.repository.resolve("HEAD")
    name = "refs/orchestrator/results/run-1"
    bench.repository.update_ref(name, head, None)
    assert bench.repository.our_refs() == {name: head}

    for old in (None, ObjectId("1" * 40)):
        with pytest.raises(Failed) as failed:
            bench.repository.update_ref(name, head, old)
        assert failed.value.code == "ref-moved"
    with pytest.raises(GitFailed):
        bench.repository.update_ref(name, ObjectId("1" * 40), head)
    with pytest.raises(ValueError, match="not ours"):
        bench.repository.update_ref("refs/heads/main", head, head)
    assert bench.repository.read_ref("refs/orchestrator/absent") is None


def test_several_of_our_refs_move_together_past_a_lock_that_a_killed_git_left(bench: Bench) -> None:
    head = bench.repository.resolve("HEAD")
    names = [f"refs/orchestrator/{kind}/run-1" for kind in ("bases", "runs")]
    lock = bench.repository.common_dir / f"{names[1]}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()

    bench.repository.update_refs({name: (head, None) for name in names})

    assert bench.repository.refs(*names) == dict.fromkeys(names, head)
    assert not lock.exists()


def test_several_of_our_refs_do_not_move_from_where_they_are_not(bench: Bench) -> None:
    head = bench.repository.resolve("HEAD")
    bench.repository.update_ref("refs/orchestrator/runs/run-1", head, None)

    with pytest.raises(Failed) as raised:
        bench.repository.update_refs({"refs/orchestrator/runs/run-1": (head, None)})
    with pytest.raises(ValueError, match="not ours"):
        bench.repository.update_refs({"refs/heads/main": (head, None)})

    assert raised.value.code == "ref-moved"


def test_hooks_that_would_run_are_named(repository: Path, git: GitCall, tmp_path: Path) -> None:
    bench = Bench.at(repository, git)
    hooks = repository / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name, mode in (("pre-merge-commit", 0o755), ("off", 0o644), ("x.sample", 0o755)):
        (hooks / name).write_text("#!/bin/sh\n")
        (hooks / name).chmod(mode)
    assert bench.repository.local_hooks() == ("pre-merge-commit",)
    git(repository, "config", "core.hooksPath", str(tmp_path / "absent"))
    assert bench.repository.local_hooks() == ()


_CHANGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda d: (d / "config").write_text((d / "config").read_text() + "# x\n"), "the configuration changed"),
    (lambda d: (d / "index").write_bytes(b""), "the index changed"),
    (lambda d: (d / "HEAD").write_text("ref: refs/heads/other\n"), "HEAD changed"),
    (lambda d: (d / "FETCH_HEAD").write_text("x"), "FETCH_HEAD appeared"),
    (lambda d: (d / "hooks" / "pre-commit").write_text("x"), "the hooks changed"),
    (lambda d: (d / "index").chmod(0o600), "the index changed"),
    (lambda d: (d / "ORIG_HEAD").symlink_to("HEAD"), "ORIG_HEAD appeared"),
    (lambda d: (d / "shallow").mkdir(), "the shallow file appeared"),
    (lambda d: (d / "logs" / "HEAD").unlink(), "the reflog of HEAD is gone"),
    (
        lambda d: (d / "refs" / "heads" / "x").write_text((d / "refs/heads/main").read_text()),
        "refs/heads/x appeared",
    ),
    (lambda d: (d / "worktrees").mkdir(), "the list of linked worktrees appeared"),
]


@pytest.mark.parametrize(("change", "sentence"), _CHANGES, ids=[sentence for _, sentence in _CHANGES])
def test_every_change_of_the_users_repository_is_told(
    repository: Path, git: GitCall, change: Callable[[Path], object], sentence: str
) -> None:
    repo = Bench.at(repository, git).repository
    (repository / ".git" / "hooks").mkdir(exist_ok=True)
    before = repo.fingerprint()
    assert differences(before, repo.fingerprint()) == ()

    change(repository / ".git")

    assert differences(before, repo.fingerprint()) == (sentence,)


def test_a_moved_branch_and_a_new_stash_are_told_and_our_refs_are_not(repository: Path, git: GitCall) -> None:
    repo = Bench.at(repository, git).repository
    before = repo.fingerprint()
    old = repo.resolve("HEAD")
    git(repository, "update-ref", "refs/orchestrator/x", old)
    git(repository, "update-ref", "refs/heads/orchestrator/run", old)
    assert differences(before, repo.fingerprint()) == ()
    new = git(repository, "commit-tree", "HEAD^{tree}", "-m", "x")
    git(repository, "update-ref", "refs/heads/main", new)
    git(repository, "update-ref", "refs/stash", new)

    told = differences(before, repo.fingerprint())

    assert f"refs/heads/main moved from {old} to {new}" in told
    assert "refs/stash appeared" in told


def test_git_directories_outside_the_tree_are_not_read(
    tmp_path: Path, repository: Path, git: GitCall
) -> None:
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    top = Path(os.path.realpath(tree))
    assert history.git_files(tree, inside=top) is None
    (tree / ".git").write_text(f"gitdir: {repository}/.git\n")
    assert history.git_files(tree, inside=top) is None
    assert history.git_files(tree, inside=Path("/")) is not None
    (tree / ".git").write_text("rubbish\n")
    assert history.git_files(tree, inside=top) is None
    (tree / ".git").unlink()
    git(tree, "init", "-q")
    files = history.git_files(tree, inside=top)
    assert files is not None
    assert history.head(files) is None
    (tree / ".git" / "commondir").write_text(f"{repository}/.git\n")
    assert history.git_files(tree, inside=top) is None


def test_linked_worktrees_an_agent_made_are_part_of_its_history(bench: Bench) -> None:
    tree = bench.tree()
    bench.git(tree.path, "worktree", "add", "-q", "--detach", str(tree.path / "side"))
    (tree.path / "side" / "app.py").write_text("side\n")
    bench.git(tree.path / "side", "commit", "-qam", "side")
    made = bench.git(tree.path / "side", "rev-parse", "HEAD")
    (tree.path / "side" / "new").write_text("new\n")

    taken = bench.take(tree)

    assert bench.reaches(made)
    assert bench.files(taken.tree)["side/app.py"] == "side"
    assert bench.files(taken.tree)["side/new"] == "new"


def test_locked_away_files_are_opened_for_the_snapshot_and_locked_again(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    (top / "d").mkdir(parents=True)
    (top / ".git").mkdir(mode=0o100)
    (top / "d" / "f").write_text("f")
    (top / "link").symlink_to("d/f")
    os.mkfifo(top / "pipe", 0o000)
    (top / "d" / "f").chmod(0o000)
    (top / "d").chmod(0o000)
    opened = Opened()

    opened.open_root(top)
    opened.open_all(top)
    during = [oct(os.lstat(top / name).st_mode & 0o777) for name in ("d", "d/f", "pipe", ".git")]
    opened.restore()

    assert during == ["0o700", "0o400", "0o0", "0o100"]
    assert os.lstat(top / "d").st_mode & 0o777 == 0
    (top / "d").chmod(0o700)
    assert os.lstat(top / "d" / "f").st_mode & 0o777 == 0


@pytest.mark.skipif(not hasattr(os, "fork") or os.geteuid() != 0, reason="needs root to become another user")
def test_files_without_permissions_are_kept_by_a_user_who_is_not_root(bench: Bench, tmp_path: Path) -> None:
    shared = Path(tempfile.gettempdir()).resolve()
    for place in (tmp_path, *tmp_path.parents):
        if shared in place.parents:  # pytest's own directories
            place.chmod(0o755)
    for directory, _, files in os.walk(bench.path.parent):
        os.chown(directory, 12345, 12345)
        for name in files:
            os.chown(os.path.join(directory, name), 12345, 12345)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgid(12345)
            os.setuid(12345)
            tree = bench.tree()
            (tree.path / "app.py").write_text("2\n")
            (tree.path / "app.py").chmod(0)
            (tree.path / "d").mkdir()
            (tree.path / "d" / "f").write_text("f\n")
            (tree.path / "d").chmod(0)
            tree.path.chmod(0)
            taken = bench.take(tree)
            files_kept = bench.files(taken.tree)
            assert os.lstat(tree.path).st_mode & 0o777 == 0
            tree.path.chmod(0o700)
            assert os.lstat(tree.path / "d").st_mode & 0o777 == 0
            assert files_kept == {"app.py": "2", "README.md": "# app", "d/f": "f"}
            status = 0
        finally:
            os._exit(status)
    ended = os.waitpid(child, 0)[1]
    for directory, _, files in os.walk(bench.path.parent):
        os.chown(directory, 0, 0)
        for name in files:
            os.chown(os.path.join(directory, name), 0, 0)
    assert ended == 0


def test_special_files_are_looked_for_beside_what_changed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    os.mkfifo(tmp_path / "a" / "pipe")
    os.mkfifo(tmp_path / "top")

    assert special_files(tmp_path, [b"a/b/changed", b"gone/x"]) == (b"a/pipe", b"top")

"""Undo: a merge is taken back while it is still ours, an undo too, and a kill leaves either."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import Failed, Locked, NotTrusted, Refused
from orchestrator.fs.effects import observe
from orchestrator.model.ids import ObjectId
from orchestrator.model.json import JsonObject
from orchestrator.repo.merge import merge
from orchestrator.repo.undo import settle, undo
from tests.conftest import GitCall
from tests.repo.checkouts import Notebook, effects_of, killed_at, look, opened
from tests.sampling import EVERY, points

_VISIBLE = ("files", "head", "index", "status", "around", "locks")


@pytest.fixture
def done(git: GitCall, repository: Path, tmp_path: Path) -> JsonObject:
    """Returns the facts of a merge that changed app.py, added deep/new.txt and removed README.md."""
    git(repository, "checkout", "-q", "-b", "result")
    (repository / "app.py").write_text("print(2)\n")
    (repository / "deep").mkdir()
    (repository / "deep" / "new.txt").write_text("new\n" * 40)
    (repository / "README.md").unlink()
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "the result")
    git(repository, "checkout", "-q", "main")
    notebook = Notebook(tmp_path / "merge")
    merge(opened(repository), ObjectId(git(repository, "rev-parse", "result")), "Merge", notebook)
    assert notebook.facts is not None
    return notebook.facts


def seen(git: GitCall, place: Path) -> dict[str, object]:
    found = look(git, place)
    return {key: found[key] for key in _VISIBLE} | {"main": git(place, "rev-parse", "main")}


def test_undo_takes_a_merge_back_and_undo_of_undo_brings_it_again(
    git: GitCall, repository: Path, done: JsonObject, tmp_path: Path
) -> None:
    after = seen(git, repository)
    notebook = Notebook(tmp_path / "undo")

    undo(opened(repository), done, notebook)
    taken_back = seen(git, repository)
    git(repository, "reflog", "expire", "--expire=now", "--all")
    git(repository, "gc", "-q", "--prune=now")
    assert notebook.facts is not None
    redo = Notebook(tmp_path / "redo")
    undo(opened(repository), notebook.facts, redo)
    again = seen(git, repository)
    assert redo.facts is not None
    undo(opened(repository), redo.facts, Notebook(tmp_path / "undo-2"))

    assert taken_back["main"] == git(repository, "rev-parse", "result~1")
    assert taken_back["status"] == ""
    assert (repository / "README.md").exists()
    assert not (repository / "deep").exists()
    ignored = {"around": None}
    assert again | ignored == after | ignored
    assert git(repository, "rev-parse", "main") == taken_back["main"]


def built_upon(git: GitCall, place: Path) -> None:
    git(place, "commit", "-q", "--allow-empty", "-m", "more")


def gone(git: GitCall, place: Path) -> None:
    git(place, "reset", "-q", "--hard", "HEAD~1")


def elsewhere(git: GitCall, place: Path) -> None:
    git(place, "checkout", "-q", "result")


def pushed(git: GitCall, place: Path) -> None:
    git(place, "update-ref", "refs/remotes/origin/main", "main")


def dirty(git: GitCall, place: Path) -> None:
    (place / "app.py").write_text("mine\n")


def in_the_way(git: GitCall, place: Path) -> None:
    (place / "README.md").write_text("mine\n")


@pytest.mark.parametrize(
    ("spoil", "code", "hint"),
    [
        (built_upon, "built-upon", "git revert -m 1"),
        (gone, "built-upon", "not in this branch"),
        (elsewhere, "not-here", "git switch main"),
        (pushed, "pushed", "git revert -m 1"),
        (dirty, "dirty-tree", "git stash"),
        (in_the_way, "untracked-in-the-way", "Move them"),
    ],
)
def test_a_merge_that_is_no_longer_only_ours_is_left_and_the_way_out_is_named(
    git: GitCall,
    repository: Path,
    done: JsonObject,
    tmp_path: Path,
    spoil: Callable[[GitCall, Path], None],
    code: str,
    hint: str,
) -> None:
    spoil(git, repository)
    before = seen(git, repository)
    notebook = Notebook(tmp_path / "undo")

    with pytest.raises(Refused) as refusal:
        undo(opened(repository), done, notebook)

    assert refusal.value.code == code
    assert hint in refusal.value.hint
    assert notebook.facts is None
    assert seen(git, repository) == before


def test_a_redo_of_something_pushed_needs_no_revert(
    git: GitCall, repository: Path, done: JsonObject, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path / "undo")
    undo(opened(repository), done, notebook)
    git(repository, "update-ref", "refs/remotes/origin/main", "main")
    assert notebook.facts is not None

    undo(opened(repository), notebook.facts, Notebook(tmp_path / "redo"))

    assert git(repository, "rev-parse", "main") == done["new"]


def test_undo_runs_no_filter_of_an_untrusted_repository(
    git: GitCall, repository: Path, done: JsonObject, tmp_path: Path
) -> None:
    git(repository, "config", "filter.evil.smudge", "touch pwned; cat")

    with pytest.raises(NotTrusted):
        undo(opened(repository, trusted=False), done, Notebook(tmp_path / "undo"))

    assert not (repository / "pwned").exists()


def test_a_journal_that_cannot_be_read_is_left_alone(
    git: GitCall, repository: Path, done: JsonObject, tmp_path: Path
) -> None:
    newer = {**done, "schema_version": 2}

    with pytest.raises(Failed) as refusal:
        settle(opened(repository), newer, Notebook(tmp_path / "settle"))

    assert refusal.value.code == "journal-unreadable"


@EVERY
def test_a_kill_before_any_effect_leaves_the_undo_done_or_never_begun(
    git: GitCall, repository: Path, done: JsonObject, tmp_path: Path, every: bool
) -> None:
    before = seen(git, repository)
    outcomes = []
    calm = shutil.copytree(repository, tmp_path / "calm", symlinks=True)
    total = effects_of(lambda: undo(opened(calm), done, Notebook(tmp_path / "calm-journal")))
    for effect in [*points(total, every=every), total + 1]:
        place = tmp_path / f"case-{effect}"
        shutil.copytree(repository, place, symlinks=True)
        git(place, "status")
        notebook = Notebook(tmp_path / f"journal-{effect}")
        killed = killed_at(effect, lambda: undo(opened(place), done, notebook))  # noqa: B023 - called at once
        if notebook.facts is not None:
            outcomes.append(settle(opened(place), notebook.facts, notebook).outcome)
        found = seen(git, place)
        assert found["locks"] == []
        assert found["around"] == before["around"]
        assert found["status"] == ""
        if outcomes and outcomes[-1] == "finished":
            assert found["main"] == done["old"]
            assert (place / "README.md").exists()
            assert not (place / "deep").exists()
        else:
            assert found == before
        shutil.rmtree(place)
        assert killed == (effect <= total)

    assert total > 10
    assert outcomes[-1] == "finished"
    assert outcomes.count("reverted") > (10 if every else 1)


@pytest.fixture
def ready(git: GitCall, repository: Path) -> ObjectId:
    """Returns a result: app.py and long.txt changed, added/new.txt added, README.md removed."""
    (repository / "long.txt").write_text("old\n" * 50)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "long")
    git(repository, "checkout", "-q", "-b", "result")
    (repository / "app.py").write_text("print(2)\n")
    (repository / "long.txt").write_text("new\n" * 50)
    (repository / "added").mkdir()
    (repository / "added" / "new.txt").write_text("new\n" * 50)
    (repository / "README.md").unlink()
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "the result")
    git(repository, "checkout", "-q", "main")
    return ObjectId(git(repository, "rev-parse", "result"))


def interrupt(place: Path, theirs: ObjectId, notebook: Notebook, effect: str) -> JsonObject:
    """Kills a merge before its first effect with these words and returns the facts it left."""
    child = os.fork()
    if child == 0:

        def cut(name: str) -> None:
            if effect in name:
                os.kill(os.getpid(), signal.SIGKILL)

        with observe(cut):
            merge(opened(place), theirs, "Merge", notebook)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert notebook.facts is not None
    return notebook.facts


def half_written(place: Path) -> None:
    (place / "long.txt").write_text("new\nnew\n")


def emptied(place: Path) -> None:
    (place / "long.txt").write_text("")


def zeroed(place: Path) -> None:
    (place / "long.txt").write_bytes(b"new\n" + b"\0" * 196)


def vanished(place: Path) -> None:
    (place / "long.txt").unlink()


def done_in_part(place: Path) -> None:
    (place / "app.py").write_text("print(2)\n")
    (place / "README.md").unlink()


def added_in_part(place: Path) -> None:
    (place / "added").mkdir()
    (place / "added" / "new.txt").write_text("new\n")


def added(place: Path) -> None:
    (place / "added").mkdir()
    (place / "added" / "new.txt").write_text("new\n" * 50)


@pytest.mark.parametrize(
    "damage", [half_written, emptied, zeroed, vanished, done_in_part, added_in_part, added]
)
def test_files_that_git_had_written_in_part_are_as_before(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    before = seen(git, repository)
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, "git read-tree")
    damage(repository)

    settled = settle(opened(repository), facts, notebook)

    assert settled.outcome == "reverted"
    assert settled.left == ()
    assert seen(git, repository) == before


def test_files_that_the_user_changed_meanwhile_stay_and_are_named(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, "git commit-tree")
    (repository / "app.py").write_text("mine\n")
    (repository / "added" / "new.txt").write_text("mine too\n")
    (repository / "added" / "own.txt").write_text("own\n")

    settled = settle(opened(repository), facts, notebook)

    assert settled.outcome == "reverted"
    assert set(settled.left) == {"app.py", "added/new.txt"}
    assert (repository / "app.py").read_text() == "mine\n"
    assert (repository / "added" / "new.txt").read_text() == "mine too\n"
    assert (repository / "added" / "own.txt").exists()
    assert (repository / "long.txt").read_text() == "old\n" * 50
    assert (repository / "README.md").exists()


def test_a_lock_of_somebody_else_is_never_removed(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, "git commit-tree")
    lock = repository / ".git" / "index.lock"
    lock.unlink()
    lock.write_text("DIRC somebody else's")

    with pytest.raises(Locked):
        settle(opened(repository), facts, notebook)
    stays = lock.read_text()
    lock.unlink()
    settled = settle(opened(repository), facts, notebook)

    assert stays == "DIRC somebody else's"
    assert settled.outcome == "reverted"
    assert git(repository, "status", "--porcelain") == ""


def test_a_lock_with_our_words_and_another_inode_is_not_ours(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, "git commit-tree")
    lock = repository / ".git" / "index.lock"
    words = lock.read_text()
    lock.rename(tmp_path / "kept")
    lock.write_text(words)

    with pytest.raises(Locked):
        settle(opened(repository), facts, notebook)

    assert lock.exists()


def test_a_copy_of_the_repository_settles_itself_and_not_the_original(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, "git commit-tree")
    shutil.copytree(repository, tmp_path / "copy", symlinks=True)
    original = {path: path.lstat().st_mtime_ns for path in repository.rglob("*")}

    settled = settle(opened(tmp_path / "copy"), facts, Notebook(tmp_path / "journal-of-the-copy"))

    assert settled.outcome == "reverted"
    assert git(tmp_path / "copy", "status", "--porcelain") == ""
    assert not (tmp_path / "copy" / ".git" / "index.lock").exists()
    assert {path: path.lstat().st_mtime_ns for path in repository.rglob("*")} == original


def test_a_user_who_removed_our_lock_and_went_on_is_left_alone(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, "git commit-tree")
    (repository / ".git" / "index.lock").unlink()
    git(repository, "commit", "-q", "-am", "took it as it was")
    before = seen(git, repository)

    settled = settle(opened(repository), facts, notebook)

    assert settled.outcome == "left"
    assert {**seen(git, repository), "around": None} == {**before, "around": None}
    assert not list((repository / ".git").glob("orchestrator-*"))


def test_a_user_who_removed_our_lock_and_staged_something_keeps_it_when_the_merge_is_finished(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, f"/index -> {repository}/.git/index")
    (repository / ".git" / "index.lock").unlink()
    (repository / "own.txt").write_text("own\n")
    git(repository, "add", "own.txt")

    settled = settle(opened(repository), facts, notebook)

    assert settled.outcome == "finished"
    assert settled.notes
    assert git(repository, "status", "--porcelain") == "A  own.txt"


def test_a_lock_that_a_killed_git_left_at_the_branch_is_removed_when_it_names_our_commit(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, "git update-ref")
    lock = repository / ".git" / "refs" / "heads" / "main.lock"
    lock.write_text(f"{facts['new']}\n")

    settled = settle(opened(repository), facts, notebook)

    assert settled.outcome == "reverted"
    assert not lock.exists()


def test_files_are_not_taken_back_with_the_filters_of_an_untrusted_repository(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path
) -> None:
    git(repository, "config", "filter.evil.smudge", "touch pwned; cat")
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, "git commit-tree")
    before = seen(git, repository)

    with pytest.raises(NotTrusted):
        settle(opened(repository, trusted=False), facts, notebook)
    untouched = seen(git, repository)
    settled = settle(opened(repository), facts, notebook)

    assert untouched == before
    assert settled.outcome == "reverted"
    assert git(repository, "status", "--porcelain") == ""


def test_a_settling_without_hard_links_takes_the_lock_again(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seen(git, repository)
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, "git commit-tree")
    (repository / ".git" / "index.lock").unlink()

    def unsupported(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    # Patched: no file system without hard links can be mounted by a test without being root.
    monkeypatch.setattr(os, "link", unsupported)
    settled = settle(opened(repository), facts, notebook)

    assert settled.outcome == "reverted"
    assert seen(git, repository) == before


def test_an_index_the_user_changed_against_the_merge_is_left_and_told(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, f"/index -> {repository}/.git/index")
    (repository / ".git" / "index.lock").unlink()
    (repository / "app.py").write_text("mine\n")
    git(repository, "add", "app.py")

    settled = settle(opened(repository), facts, notebook)

    assert settled.outcome == "finished"
    assert "left as it is" in settled.notes[0]
    assert git(repository, "show", ":app.py") == "mine"
    assert not (repository / ".git" / "index.lock").exists()


def test_commits_on_top_of_an_interrupted_merge_do_not_hide_that_it_happened(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, notebook, f"remove {repository}/.git/index.lock")
    (repository / ".git" / "index.lock").unlink()
    git(repository, "commit", "-q", "--allow-empty", "-m", "on top")

    settled = settle(opened(repository), facts, notebook)

    assert settled.outcome == "finished"
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "log", "-1", "--format=%s") == "on top"


@EVERY
def test_settling_is_itself_safe_to_kill_at_any_effect(
    git: GitCall, repository: Path, ready: ObjectId, tmp_path: Path, every: bool
) -> None:
    before = seen(git, repository)
    stale = Notebook(tmp_path / "journal")
    facts = interrupt(repository, ready, stale, "git commit-tree")
    calm = shutil.copytree(repository, tmp_path / "calm", symlinks=True)
    first = Notebook(tmp_path / "calm-journal")
    first(facts)
    total = effects_of(lambda: settle(opened(calm), facts, first))
    for effect in [*points(total, every=every), total + 1]:
        place = tmp_path / f"case-{effect}"
        shutil.copytree(repository, place, symlinks=True)
        notebook = Notebook(tmp_path / f"journal-{effect}")
        notebook(facts)
        killed = killed_at(effect, lambda: settle(opened(place), facts, notebook))  # noqa: B023 - at once
        assert notebook.facts is not None
        again = settle(opened(place), json.loads(json.dumps(notebook.facts)), notebook)
        assert again.outcome == "reverted"
        assert seen(git, place) == before
        shutil.rmtree(place)
        assert killed == (effect <= total)

    assert total > 9

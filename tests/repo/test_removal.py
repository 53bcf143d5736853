"""Removal: nothing goes that is not kept somewhere, and every removal says how to take it back."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import DiskFailed, Failed, GitFailed, Refused
from orchestrator.fs.effects import observe
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.repo.export import export_bundle, holds, unmerged_runs
from orchestrator.repo.ref_locks import NOTE
from orchestrator.repo.removal import (
    DISCARDED_REFS,
    WayBack,
    discard,
    remove_orchestrator_dir,
    remove_ref,
    remove_refs,
    remove_session,
    remove_tree,
)
from orchestrator.repo.undo import settle, undo
from tests.conftest import GitCall
from tests.repo.checkouts import Notebook, killed_at, look, opened

RUN = RunId("run-1")
BRANCH = f"refs/heads/orchestrator/{RUN}"
RESULT = f"refs/orchestrator/results/{RUN}"
CHECKPOINTS = f"refs/orchestrator/runs/{RUN}"
PIN = DISCARDED_REFS + RUN


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    return Notebook(tmp_path / "journal")


@pytest.fixture
def tip(git: GitCall, repository: Path) -> ObjectId:
    """Returns the result of a run: two commits, a branch and a kept result."""
    git(repository, "checkout", "-q", "-b", "made")
    for number in (1, 2):
        git(repository, "commit", "-q", "--allow-empty", "-m", f"phase {number}")
    tip = ObjectId(git(repository, "rev-parse", "HEAD"))
    git(repository, "checkout", "-q", "main")
    git(repository, "branch", "-q", "-D", "made")
    git(repository, "update-ref", BRANCH, tip)
    git(repository, "update-ref", RESULT, tip)
    return tip


def ref(git: GitCall, place: Path, name: str) -> str:
    return git(place, "rev-parse", "-q", "--verify", name, ok=False)


def checkpoint(git: GitCall, place: Path, content: str) -> ObjectId:
    """Makes a checkpoint commit of the run: the directory `tree` in it is the work tree."""
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=place, input=content, capture_output=True, text=True
    ).stdout.strip()
    inner = mktree(place, f"100644 blob {blob}\tmade.txt\n")
    outer = mktree(place, f"040000 tree {inner}\ttree\n")
    commit = git(place, "commit-tree", outer, "-m", "checkpoint")
    git(place, "update-ref", CHECKPOINTS, commit)
    return ObjectId(commit)


def mktree(place: Path, listing: str) -> str:
    done = subprocess.run(["git", "mktree"], cwd=place, input=listing, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_discarded_result_is_gone_stays_reachable_and_undo_brings_it_back(
    git: GitCall, repository: Path, tip: ObjectId, notebook: Notebook
) -> None:
    before = look(git, repository)

    way = discard(opened(repository), RUN, recorded=tip, record=notebook)
    gone = (ref(git, repository, BRANCH), ref(git, repository, RESULT))
    git(repository, "reflog", "expire", "--expire=now", "--all")
    git(repository, "gc", "-q", "--prune=now")
    assert notebook.facts is not None
    redo = Notebook(repository.parent / "redo")
    undo(opened(repository), notebook.facts, redo)
    restored = look(git, repository)
    assert redo.facts is not None
    undo(opened(repository), redo.facts, Notebook(repository.parent / "again"))

    assert way is not None
    assert way.command == f"git branch orchestrator/{RUN} {tip}"
    assert gone == ("", "")
    assert restored["refs"] == before["refs"]
    assert restored["status"] == before["status"]
    assert ref(git, repository, BRANCH) == ""
    assert ref(git, repository, PIN) == tip


def test_the_way_back_that_is_printed_works(
    git: GitCall, repository: Path, tip: ObjectId, notebook: Notebook
) -> None:
    way = discard(opened(repository), RUN, recorded=tip, record=notebook)
    assert way is not None

    git(repository, *shlex.split(way.command)[1:])

    assert ref(git, repository, BRANCH) == tip


def test_a_branch_with_commits_that_are_not_ours_is_not_discarded(
    git: GitCall, repository: Path, tip: ObjectId, notebook: Notebook
) -> None:
    git(
        repository,
        "update-ref",
        BRANCH,
        git(repository, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", "mine"),
    )
    before = look(git, repository)

    with pytest.raises(Refused) as refusal:
        discard(opened(repository), RUN, recorded=tip, record=notebook)

    assert refusal.value.code == "branch-not-ours"
    assert f"git branch -m orchestrator/{RUN}" in refusal.value.hint
    assert notebook.facts is None
    assert look(git, repository) == before


def test_a_branch_nobody_recorded_is_not_discarded(
    git: GitCall, repository: Path, notebook: Notebook
) -> None:
    git(repository, "update-ref", BRANCH, "main")

    with pytest.raises(Refused) as refusal:
        discard(opened(repository), RUN, recorded=None, record=notebook)

    assert refusal.value.code == "branch-not-ours"


def test_a_branch_that_is_checked_out_is_not_discarded(
    git: GitCall, repository: Path, tip: ObjectId, notebook: Notebook, tmp_path: Path
) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"), f"orchestrator/{RUN}")

    with pytest.raises(Refused) as refusal:
        discard(opened(repository), RUN, recorded=tip, record=notebook)

    assert refusal.value.code == "branch-checked-out"
    assert ref(git, repository, BRANCH) == tip


def test_a_run_without_a_result_has_nothing_to_discard(repository: Path, notebook: Notebook) -> None:
    assert discard(opened(repository), RUN, recorded=None, record=notebook) is None
    assert notebook.facts is None


def test_undo_of_a_discard_does_not_overwrite_a_branch_that_took_the_name(
    git: GitCall, repository: Path, tip: ObjectId, notebook: Notebook
) -> None:
    discard(opened(repository), RUN, recorded=tip, record=notebook)
    git(repository, "update-ref", BRANCH, "main")
    assert notebook.facts is not None

    with pytest.raises(Refused) as refusal:
        undo(opened(repository), notebook.facts, Notebook(repository.parent / "undo"))

    assert refusal.value.code == "branch-taken"
    assert ref(git, repository, BRANCH) == git(repository, "rev-parse", "main")


def test_discarding_again_leaves_a_branch_that_moved_meanwhile(
    git: GitCall, repository: Path, tip: ObjectId, notebook: Notebook
) -> None:
    discard(opened(repository), RUN, recorded=tip, record=notebook)
    assert notebook.facts is not None
    redo = Notebook(repository.parent / "redo")
    undo(opened(repository), notebook.facts, redo)
    git(repository, "update-ref", BRANCH, "main")
    assert redo.facts is not None

    with pytest.raises(Refused) as refusal:
        undo(opened(repository), redo.facts, Notebook(repository.parent / "again"))

    assert refusal.value.code == "branch-not-ours"


def test_a_ref_moved_between_the_record_and_a_kill_is_left_and_told(
    git: GitCall, repository: Path, tip: ObjectId, notebook: Notebook
) -> None:
    def move(effect: str) -> None:
        if effect == "git update-ref":
            git(repository, "update-ref", BRANCH, "main")

    with observe(move), pytest.raises(Failed):
        discard(opened(repository), RUN, recorded=tip, record=notebook)
    assert notebook.facts is not None
    settled = settle(opened(repository), notebook.facts, notebook)

    assert BRANCH in settled.notes[0]
    assert ref(git, repository, BRANCH) == git(repository, "rev-parse", "main")
    assert ref(git, repository, PIN) == tip


def test_a_kill_before_any_effect_of_a_discard_or_its_undo_is_finished_or_never_begun(
    git: GitCall, repository: Path, tip: ObjectId, tmp_path: Path
) -> None:
    first = Notebook(tmp_path / "first")
    begin = look(git, repository)["refs"]
    for action in ("discard", "undo"):
        before = look(git, repository)["refs"]
        notebook = Notebook(tmp_path / action)
        effect = 0
        for effect in range(1, 100):
            notebook = Notebook(tmp_path / f"{action}-{effect}")

            def act(action: str = action, notebook: Notebook = notebook) -> object:
                if action == "discard":
                    return discard(opened(repository), RUN, recorded=tip, record=notebook)
                assert first.facts is not None
                return undo(opened(repository), first.facts, notebook)

            killed = killed_at(effect, act)
            if notebook.facts is None:
                assert look(git, repository)["refs"] == before
                continue
            settle(opened(repository), notebook.facts, notebook)
            found = look(git, repository)
            assert found["locks"] == []
            if action == "discard":
                assert f"{tip} commit\t{PIN}" in str(found["refs"])
                assert BRANCH not in str(found["refs"])
            else:
                assert found["refs"] == begin
            if not killed:
                break
            for name in (BRANCH, RESULT, PIN):
                git(repository, "update-ref", "-d", name)
            for line in str(before).splitlines():
                oid, _, name = line.replace("\t", " ").split(" ")
                git(repository, "update-ref", name, oid)
        assert effect > 3
        first(notebook.facts or {})


def test_a_tree_is_removed_only_after_a_checkpoint_that_a_ref_keeps(
    git: GitCall, repository: Path, tmp_path: Path
) -> None:
    root = tmp_path / "trees"
    (root / RUN / "work").mkdir(parents=True)
    (root / RUN / "work" / "mine.txt").write_text("mine\n")
    (root / RUN / ".work").mkdir()
    (root / RUN / ".work" / "ready.json").write_text("{}")

    def fails() -> ObjectId:
        raise DiskFailed(path="x", reason="no space", code="disk-full")

    kept: list[Callable[[], ObjectId]] = [fails, lambda: ObjectId(git(repository, "rev-parse", "main"))]
    for each in kept:
        with pytest.raises(Failed):
            remove_tree(opened(repository), root / RUN / "work", root=root, run_id=RUN, checkpoint=each)
        assert (root / RUN / "work" / "mine.txt").exists()
    way = remove_tree(
        opened(repository),
        root / RUN / "work",
        root=root,
        run_id=RUN,
        checkpoint=lambda: checkpoint(git, repository, "mine\n"),
    )

    assert way.command == f"orchestrator restore {ref(git, repository, CHECKPOINTS)} --into DIR"
    assert list(root.iterdir()) == []


def test_what_is_no_isolated_tree_is_never_removed(git: GitCall, repository: Path, tmp_path: Path) -> None:
    root = tmp_path / "trees"
    root.mkdir()
    (root / "link").symlink_to(repository)
    (root / "dir").symlink_to(tmp_path)

    for path in (repository, root, root / "link", root / ".." / "repo", root / "dir" / "repo"):
        with pytest.raises(Refused) as refusal:
            remove_tree(
                opened(repository),
                path,
                root=root,
                run_id=RUN,
                checkpoint=lambda: checkpoint(git, repository, ""),
            )
        assert refusal.value.code == "not-ours"

    assert (repository / "app.py").exists()
    assert ref(git, repository, CHECKPOINTS) == ""


def test_only_refs_of_ours_are_removed_and_only_where_they_were_expected(
    git: GitCall, repository: Path, tip: ObjectId
) -> None:
    main = ObjectId(git(repository, "rev-parse", "main"))

    with pytest.raises(ValueError, match="not ours"):
        remove_ref(opened(repository), "refs/heads/main", main)
    with pytest.raises(Failed) as refusal:
        remove_ref(opened(repository), BRANCH, main)
    way = remove_ref(opened(repository), BRANCH, tip)
    gone = ref(git, repository, BRANCH)
    git(repository, *shlex.split(way.command)[1:])

    assert refusal.value.code == "ref-moved"
    assert gone == ""
    assert ref(git, repository, BRANCH) == tip


def test_a_lock_that_a_killed_git_left_at_a_ref_of_ours_does_not_stop_its_removal(
    git: GitCall, repository: Path, tip: ObjectId
) -> None:
    lock = repository / ".git" / f"{BRANCH}.lock"
    lock.write_text("")

    remove_ref(opened(repository), BRANCH, tip)

    assert ref(git, repository, BRANCH) == ""
    assert not lock.exists()


def test_an_export_holds_everything_of_ours_and_nothing_is_lost_with_the_refs(
    git: GitCall, repository: Path, tip: ObjectId, tmp_path: Path
) -> None:
    kept = checkpoint(git, repository, "mine\n")
    before = opened(repository).our_refs()
    bundle = tmp_path / "all.bundle"

    exported = export_bundle(opened(repository), bundle, scratch=tmp_path)
    ways = remove_refs(opened(repository), exported, exported=bundle)
    gone = opened(repository).our_refs()
    git(repository, "gc", "-q", "--prune=now")
    for way in ways:
        git(repository, *shlex.split(way.command)[1:])

    assert exported == before == {BRANCH: tip, RESULT: tip, CHECKPOINTS: kept}
    assert gone == {}
    assert opened(repository).our_refs() == before
    assert git(repository, "show", f"{CHECKPOINTS}:tree/made.txt") == "mine"
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_bundle_that_lacks_a_ref_or_is_damaged_is_no_export(
    git: GitCall, repository: Path, tip: ObjectId, tmp_path: Path
) -> None:
    bundle = tmp_path / "all.bundle"
    export_bundle(opened(repository), bundle, scratch=tmp_path)
    checkpoint(git, repository, "later\n")
    torn = tmp_path / "torn.bundle"
    torn.write_bytes(b"no bundle")
    refs = opened(repository).our_refs()

    with pytest.raises(Refused) as refusal:
        remove_refs(opened(repository), refs, exported=bundle)
    with pytest.raises(GitFailed):
        remove_refs(opened(repository), refs, exported=torn)

    assert refusal.value.code == "not-exported"
    assert opened(repository).our_refs() == refs


def test_an_export_overwrites_nothing_and_says_when_there_is_nothing(
    git: GitCall, repository: Path, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as nothing:
        export_bundle(opened(repository), tmp_path / "all.bundle", scratch=tmp_path)
    checkpoint(git, repository, "mine\n")
    (tmp_path / "all.bundle").write_text("mine\n")
    with pytest.raises(Refused) as exists:
        export_bundle(opened(repository), tmp_path / "all.bundle", scratch=tmp_path)

    assert nothing.value.code == "nothing-to-export"
    assert exists.value.code == "export-exists"
    assert (tmp_path / "all.bundle").read_text() == "mine\n"


def test_a_run_that_works_on_while_it_is_exported_is_noticed(
    git: GitCall, repository: Path, tip: ObjectId, tmp_path: Path
) -> None:
    def work(effect: str) -> None:
        if effect == "git bundle":
            checkpoint(git, repository, "later\n")
            git(repository, "update-ref", BRANCH, "main")

    with observe(work), pytest.raises(Refused) as refusal:
        export_bundle(opened(repository), tmp_path / "all.bundle", scratch=tmp_path)

    assert refusal.value.code == "export-changed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "repo"]


def test_unmerged_work_is_named_until_it_is_merged(git: GitCall, repository: Path, tip: ObjectId) -> None:
    refs = opened(repository).our_refs()

    with pytest.raises(Refused, match=RUN) as refusal:
        remove_refs(opened(repository), refs, exported=None)
    git(repository, "merge", "-q", "--no-ff", "-m", "merge", BRANCH)
    remove_refs(opened(repository), refs, exported=None)

    assert refusal.value.code == "unmerged"
    assert opened(repository).our_refs() == {}


def test_a_checkpoint_with_work_that_no_result_holds_is_unmerged(git: GitCall, repository: Path) -> None:
    checkpoint(git, repository, "mine\n")
    assert unmerged_runs(opened(repository)) == (RUN,)
    kept = git(repository, "commit-tree", f"{CHECKPOINTS}:tree", "-m", "the same files")

    git(repository, "update-ref", f"refs/orchestrator/bases/{RUN}", kept)

    assert unmerged_runs(opened(repository)) == ()


def test_a_checked_out_branch_keeps_every_ref_in_place(
    git: GitCall, repository: Path, tip: ObjectId, tmp_path: Path
) -> None:
    bundle = tmp_path / "all.bundle"
    refs = export_bundle(opened(repository), bundle, scratch=tmp_path)
    git(repository, "checkout", "-q", f"orchestrator/{RUN}")

    with pytest.raises(Refused) as refusal:
        remove_refs(opened(repository), refs, exported=bundle)

    assert refusal.value.code == "branch-checked-out"
    assert opened(repository).our_refs() == refs
    assert holds(opened(repository), bundle) == refs


def test_only_a_directory_of_our_name_is_taken_out(repository: Path, tmp_path: Path) -> None:
    ours = repository / ".orchestrator"
    ours.mkdir()
    (ours / "state.db").write_text("")
    linked = tmp_path / ".orchestrator"
    linked.symlink_to(repository)

    for path in (repository, linked):
        with pytest.raises(Refused):
            remove_orchestrator_dir(path, exported=None)
    ways = (
        remove_orchestrator_dir(ours, exported=None),
        remove_orchestrator_dir(ours, exported=tmp_path / "all.bundle"),
    )

    assert ways[0] == WayBack(str(ours), "orchestrator init")
    assert "doctor --recover" in ways[1].command
    assert not ours.exists()
    assert (repository / "app.py").exists()


def test_an_export_that_was_cut_off_after_its_bundle_is_taken_up_again(
    git: GitCall, repository: Path, tip: ObjectId, tmp_path: Path
) -> None:
    bundle = tmp_path / "all.bundle"
    first = export_bundle(opened(repository), bundle, scratch=tmp_path)
    content = bundle.read_bytes()
    git(repository, "update-ref", "-d", BRANCH)

    second = export_bundle(opened(repository), bundle, scratch=tmp_path)
    remove_refs(opened(repository), second, exported=bundle)
    third = export_bundle(opened(repository), bundle, scratch=tmp_path)

    assert first == {**second, BRANCH: tip}
    assert third == {}
    assert bundle.read_bytes() == content


def test_locks_that_a_killed_deletion_left_do_not_stop_the_next(
    git: GitCall, repository: Path, tip: ObjectId, tmp_path: Path
) -> None:
    git(repository, "pack-refs", "--all")
    bundle = tmp_path / "all.bundle"
    refs = export_bundle(opened(repository), bundle, scratch=tmp_path)
    (repository / ".git" / NOTE).touch()
    for name in ("packed-refs.lock", "packed-refs.new", f"{RESULT}.lock"):
        place = repository / ".git" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()

    remove_refs(opened(repository), refs, exported=bundle)

    assert git(repository, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    left = {path.name for path in (repository / ".git").rglob("*orchestrator*")}
    assert left == set()
    assert not list((repository / ".git").rglob("*.lock"))


def test_a_lock_on_the_packed_refs_that_is_not_ours_stays(
    git: GitCall, repository: Path, tip: ObjectId
) -> None:
    (repository / ".git" / "packed-refs.lock").touch()

    with pytest.raises(GitFailed):
        remove_ref(opened(repository), RESULT, tip)

    assert (repository / ".git" / "packed-refs.lock").exists()
    assert opened(repository).read_ref(RESULT) == tip


@pytest.mark.parametrize("runs", [0, 2])
def test_only_a_session_without_runs_is_removed_as_one(tmp_path: Path, runs: int) -> None:
    sessions = tmp_path / "sessions"
    for place in (sessions / "one", tmp_path / "elsewhere"):
        place.mkdir(parents=True)
        (place / "work.txt").write_text("work")

    with pytest.raises(Refused) as elsewhere:
        remove_session(tmp_path / "elsewhere", root=sessions, runs=0)
    if runs:
        with pytest.raises(Refused) as used:
            remove_session(sessions / "one", root=sessions, runs=runs)
        assert used.value.code == "session-in-use"
    else:
        assert remove_session(sessions / "one", root=sessions, runs=runs) == 4

    assert elsewhere.value.code == "not-ours"
    assert (tmp_path / "elsewhere" / "work.txt").exists()
    assert (sessions / "one").exists() is bool(runs)

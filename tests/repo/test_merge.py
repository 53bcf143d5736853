"""Merging: what `git merge --no-ff` promises, and that a refusal or a kill changes nothing."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import (
    AnswerIsNo,
    DiskFailed,
    Failed,
    GitFailed,
    Locked,
    NotTrusted,
    Refused,
)
from orchestrator.fs.effects import observe
from orchestrator.model.ids import ObjectId
from orchestrator.repo.merge import Merged, merge, simulate
from orchestrator.repo.undo import settle
from tests.conftest import GitCall
from tests.repo.checkouts import Notebook, effects_of, killed_at, look, opened
from tests.sampling import EVERY, points


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    return Notebook(tmp_path / "journal")


@pytest.fixture
def theirs(git: GitCall, repository: Path) -> ObjectId:
    """Returns a result that changes, adds, removes and re-types files; main went on meanwhile."""
    git(repository, "checkout", "-q", "-b", "result")
    (repository / "app.py").write_text("print(2)\n")
    (repository / "new").mkdir()
    (repository / "new" / "deep.txt").write_text("deep\n" * 50)
    (repository / "README.md").unlink()
    (repository / "link").symlink_to("app.py")
    (repository / "tool.sh").write_text("#!/bin/sh\n")
    (repository / "tool.sh").chmod(0o755)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "the result")
    git(repository, "checkout", "-q", "main")
    (repository / "other.txt").write_text("other\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "meanwhile")
    return ObjectId(git(repository, "rev-parse", "result"))


def merged(place: Path, theirs: ObjectId, notebook: Notebook, *, trusted: bool = True) -> Merged:
    return merge(opened(place, trusted=trusted), theirs, "Merge the result", notebook)


def hook(place: Path, name: str, script: str) -> Path:
    path = place / ".git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return path


def test_a_merge_makes_a_merge_commit_of_the_user_and_updates_files_and_index(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    before = git(repository, "rev-parse", "HEAD")

    done = merged(repository, theirs, notebook)

    assert git(repository, "rev-parse", "main") == done.commit
    assert git(repository, "log", "-1", "--format=%P|%an|%ce|%s") == (
        f"{before} {theirs}|A User|user@example.invalid|Merge the result"
    )
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / "app.py").read_text() == "print(2)\n"
    assert (repository / "link").is_symlink()
    assert os.access(repository / "tool.sh", os.X_OK)
    assert not (repository / "README.md").exists()
    assert "merge: Merge the result" in git(repository, "reflog", "-1")
    assert "merge: Merge the result" in git(repository, "reflog", "-1", "main")
    assert git(repository, "diff-files", "--name-only") == ""


def test_a_merge_gives_exactly_what_git_merge_gives(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", str(repository), "twin")
    git(tmp_path / "twin", "merge", "-q", "--no-ff", "-m", "x", "origin/result")

    merged(repository, theirs, notebook)

    mine, twin = look(git, repository), look(git, tmp_path / "twin")
    assert mine["files"] == twin["files"]
    assert mine["index"] == twin["index"]


def test_a_fast_forward_becomes_a_merge_commit_all_the_same(
    git: GitCall, repository: Path, notebook: Notebook
) -> None:
    git(repository, "checkout", "-q", "-b", "result")
    git(repository, "commit", "-q", "--allow-empty", "-m", "ahead")
    git(repository, "checkout", "-q", "main")

    merged(repository, ObjectId(git(repository, "rev-parse", "result")), notebook)

    assert len(git(repository, "log", "-1", "--format=%P").split()) == 2


def test_a_result_that_is_in_the_branch_already_changes_nothing_and_records_nothing(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    merged(repository, theirs, Notebook(repository.parent / "first"))
    before = look(git, repository)

    again = merged(repository, theirs, notebook)

    assert again.already
    assert again.commit == git(repository, "rev-parse", "main")
    assert notebook.facts is None
    assert look(git, repository) == before


def test_a_merge_in_a_linked_worktree_moves_the_branch_that_is_checked_out_there(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook, tmp_path: Path
) -> None:
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    before = look(git, repository)

    done = merged(tmp_path / "linked", theirs, notebook)

    assert done.branch == "refs/heads/side"
    assert git(tmp_path / "linked", "status", "--porcelain") == ""
    assert (tmp_path / "linked" / "app.py").read_text() == "print(2)\n"
    assert git(repository, "status", "--porcelain") == ""
    assert look(git, repository)["files"] == before["files"]


def test_a_conflict_names_the_files_and_changes_nothing(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    (repository / "app.py").write_text("print(3)\n")
    git(repository, "commit", "-q", "-am", "the other way")
    before = look(git, repository)

    with pytest.raises(Failed, match=r"app\.py") as refusal:
        merged(repository, theirs, notebook)

    assert refusal.value.code == "merge-conflict"
    assert refusal.value.exit_status == 3
    assert notebook.facts is None
    assert look(git, repository) == before


def test_a_simulation_tells_the_tree_or_the_conflicts(
    git: GitCall, repository: Path, theirs: ObjectId
) -> None:
    ours = ObjectId(git(repository, "rev-parse", "main"))
    clean = simulate(opened(repository), ours, theirs)
    (repository / "app.py").write_text("print(3)\n")
    git(repository, "commit", "-q", "-am", "the other way")
    clash = simulate(opened(repository), ObjectId(git(repository, "rev-parse", "main")), theirs)

    assert clean.conflicts == ()
    assert clean.tree is not None
    assert "new/deep.txt" in git(repository, "ls-tree", "-r", "--name-only", clean.tree)
    assert clash.tree is None
    assert clash.conflicts == ("app.py",)


def test_histories_without_a_common_ancestor_are_told_from_a_broken_git(
    git: GitCall, repository: Path, notebook: Notebook
) -> None:
    git(repository, "checkout", "-q", "--orphan", "stranger")
    git(repository, "commit", "-q", "--allow-empty", "-m", "stranger")
    stranger = ObjectId(git(repository, "rev-parse", "HEAD"))
    git(repository, "checkout", "-q", "main")

    with pytest.raises(Failed) as unrelated:
        merged(repository, stranger, notebook)
    with pytest.raises(GitFailed):
        simulate(opened(repository), stranger, ObjectId("1" * 40))

    assert unrelated.value.code == "unrelated-histories"


def staged(git: GitCall, place: Path) -> None:
    (place / "other.txt").write_text("mine\n")
    git(place, "add", "other.txt")


def unstaged(git: GitCall, place: Path) -> None:
    (place / "app.py").write_text("mine\n")


def removed(git: GitCall, place: Path) -> None:
    (place / "other.txt").unlink()


def untracked(git: GitCall, place: Path) -> None:
    (place / "tool.sh").write_text("mine\n")


def ignored(git: GitCall, place: Path) -> None:
    (place / ".git" / "info" / "exclude").write_text("tool.sh\n")
    (place / "tool.sh").write_text("mine\n")


def file_for_directory(git: GitCall, place: Path) -> None:
    (place / "new").write_text("mine\n")


def link_for_directory(git: GitCall, place: Path) -> None:
    (place / "new").symlink_to("/nowhere")


def directory_for_file(git: GitCall, place: Path) -> None:
    (place / "tool.sh").mkdir()
    (place / "tool.sh" / "mine").write_text("mine\n")


def detached(git: GitCall, place: Path) -> None:
    git(place, "checkout", "-q", "--detach")


def unborn(git: GitCall, place: Path) -> None:
    git(place, "symbolic-ref", "HEAD", "refs/heads/unborn")


def merging(git: GitCall, place: Path) -> None:
    git(place, "merge", "--no-commit", "-s", "ours", "result")


def bisecting(git: GitCall, place: Path) -> None:
    git(place, "bisect", "start")


def anonymous(git: GitCall, place: Path) -> None:
    Path(os.environ["GIT_CONFIG_GLOBAL"]).write_text("")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (staged, "dirty-tree"),
        (unstaged, "dirty-tree"),
        (removed, "dirty-tree"),
        (untracked, "untracked-in-the-way"),
        (ignored, "untracked-in-the-way"),
        (file_for_directory, "untracked-in-the-way"),
        (link_for_directory, "untracked-in-the-way"),
        (directory_for_file, "untracked-in-the-way"),
        (detached, "detached-head"),
        (unborn, "no-commit"),
        (merging, "operation-in-progress"),
        (bisecting, "operation-in-progress"),
        (anonymous, "identity-missing"),
    ],
)
def test_a_checkout_that_is_not_ready_is_refused_and_left_exactly_as_it_is(
    git: GitCall,
    repository: Path,
    theirs: ObjectId,
    notebook: Notebook,
    spoil: Callable[[GitCall, Path], None],
    code: str,
) -> None:
    spoil(git, repository)
    files = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}

    with pytest.raises(Refused) as refusal:
        merged(repository, theirs, notebook)

    assert refusal.value.code == code
    assert refusal.value.hint
    assert notebook.facts is None
    after = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    assert {path: after.get(path) for path in files} == files


def test_untracked_files_that_are_in_nobodys_way_do_not_matter(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    (repository / "notes.txt").write_text("mine\n")
    (repository / "new").mkdir()
    (repository / "new" / "mine.txt").write_text("mine\n")

    merged(repository, theirs, notebook)

    assert (repository / "notes.txt").read_text() == "mine\n"
    assert (repository / "new" / "mine.txt").read_text() == "mine\n"
    assert (repository / "new" / "deep.txt").exists()


def test_a_file_that_becomes_a_directory_and_the_other_way_round_are_merged(
    git: GitCall, repository: Path, notebook: Notebook
) -> None:
    (repository / "dir").mkdir()
    (repository / "dir" / "a").write_text("a\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "a directory")
    git(repository, "checkout", "-q", "-b", "result")
    git(repository, "rm", "-q", "-r", "dir", "app.py")
    (repository / "dir").write_text("a file now\n")
    (repository / "app.py").mkdir()
    (repository / "app.py" / "main").write_text("print(1)\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "swapped")
    git(repository, "checkout", "-q", "main")

    merged(repository, ObjectId(git(repository, "rev-parse", "result")), notebook)

    assert (repository / "dir").read_text() == "a file now\n"
    assert (repository / "app.py" / "main").exists()
    assert git(repository, "status", "--porcelain") == ""


def test_an_index_lock_of_somebody_else_is_named_and_stays(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    lock = repository / ".git" / "index.lock"
    lock.write_text("")

    with pytest.raises(Locked) as refusal:
        merged(repository, theirs, notebook)

    assert str(lock) in refusal.value.message
    assert lock.exists()
    assert notebook.facts is None


def test_a_lock_taken_in_the_last_moment_stops_the_merge_before_any_effect(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    before = look(git, repository)
    lock = repository / ".git" / "index.lock"

    def take(effect: str) -> None:
        if effect.startswith("link "):
            lock.write_text("DIRC")

    with observe(take), pytest.raises(Locked):
        merged(repository, theirs, notebook)

    assert lock.read_text() == "DIRC"
    lock.unlink()
    assert look(git, repository) == before


def test_a_base_that_moved_since_the_checks_is_not_merged_into(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    checked = ObjectId(git(repository, "rev-parse", "main~1"))

    with pytest.raises(AnswerIsNo) as refusal:
        merge(opened(repository), theirs, "Merge", notebook, onto=checked)

    assert refusal.value.code == "base-moved"


def test_hooks_of_the_user_run_as_git_runs_them(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    log = repository.parent / "log"
    hook(
        repository,
        "pre-merge-commit",
        f'echo "pre $(cat app.py) $(git diff --cached --name-only | wc -l)" >>{log}\n',
    )
    hook(repository, "prepare-commit-msg", f'echo "prepare $2" >>{log}; echo "# Not a comment" >>"$1"\n')
    hook(repository, "commit-msg", f'echo "msg $(head -1 "$1")" >>{log}; echo "Reviewed-by: me" >>"$1"\n')
    hook(repository, "post-merge", f'echo "post $1 $(git rev-parse HEAD)" >>{log}\n')

    done = merged(repository, theirs, notebook)

    assert log.read_text().splitlines() == [
        "pre print(2) 5",
        "prepare merge",
        "msg Merge the result",
        f"post 0 {done.commit}",
    ]
    assert git(repository, "log", "-1", "--format=%B") == "Merge the result\n# Not a comment\nReviewed-by: me"


def test_what_a_hook_stages_is_part_of_the_merge(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    hook(repository, "pre-merge-commit", "echo 'print(9)' >app.py; git add app.py\n")

    merged(repository, theirs, notebook)

    assert git(repository, "show", "HEAD:app.py") == "print(9)"
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["pre-merge-commit", "prepare-commit-msg", "commit-msg"])
def test_a_hook_that_says_no_stops_the_merge_and_everything_is_as_before(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook, name: str
) -> None:
    hook(repository, name, "echo 'house rules' >&2; exit 1\n")
    before = look(git, repository)

    with pytest.raises(Failed, match="house rules") as refusal:
        merged(repository, theirs, notebook)

    assert refusal.value.code == "hook-failed"
    assert look(git, repository) == before


def test_a_hook_that_stages_something_and_says_no_leaves_everything_as_before(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    hook(repository, "pre-merge-commit", "echo 'print(9)' >app.py; echo x >x; git add app.py x; exit 1\n")
    before = look(git, repository)

    with pytest.raises(Failed):
        merged(repository, theirs, notebook)

    assert look(git, repository) == before


def test_what_a_hook_changed_and_did_not_stage_stays_and_is_named(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    hook(repository, "pre-merge-commit", "echo reformatted >app.py; exit 1\n")

    with pytest.raises(Failed) as refusal:
        merged(repository, theirs, notebook)

    assert "app.py" in refusal.value.hint
    assert git(repository, "status", "--porcelain") == "M app.py"
    assert not (repository / "tool.sh").exists()


def test_a_hook_that_empties_the_message_stops_the_merge(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    hook(repository, "commit-msg", 'echo >"$1"\n')
    before = look(git, repository)

    with pytest.raises(Failed, match="empty"):
        merged(repository, theirs, notebook)

    assert look(git, repository) == before


def test_a_post_merge_hook_that_fails_is_told_and_the_merge_stands(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    hook(repository, "post-merge", "exit 7\n")

    done = merged(repository, theirs, notebook)

    assert "post-merge" in done.notes[0]
    assert git(repository, "rev-parse", "main") == done.commit


def test_hooks_of_the_repository_need_trust_and_those_of_the_user_do_not(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook, home: Path
) -> None:
    path = hook(repository, "commit-msg", "touch pwned\n")

    with pytest.raises(NotTrusted) as refusal:
        merged(repository, theirs, notebook, trusted=False)
    assert refusal.value.commands == (str(path),)
    mine = home / "hooks"
    mine.mkdir()
    shutil.move(path, mine / "commit-msg")
    git(repository, "config", "--global", "core.hooksPath", str(mine))
    merged(repository, theirs, notebook, trusted=False)

    assert (repository / "pwned").exists()


def test_a_hooks_path_of_the_repository_needs_trust(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook, home: Path
) -> None:
    git(repository, "config", "--global", "core.hooksPath", str(home))
    git(repository, "config", "core.hooksPath", "tools")
    (repository / "tools").mkdir()
    shutil.copy(hook(repository, "post-merge", "touch pwned\n"), repository / "tools")

    with pytest.raises(NotTrusted):
        merged(repository, theirs, notebook, trusted=False)

    assert not (repository / "pwned").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("filter.evil.clean", "touch pwned; cat"),
        ("merge.evil.driver", "touch pwned; false"),
        ("gpg.program", "touch pwned"),
        ("gpg.ssh.defaultKeyCommand", "touch pwned"),
    ],
)
def test_filters_drivers_and_signing_programs_of_the_repository_need_trust(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook, key: str, value: str
) -> None:
    git(repository, "config", key, value)
    git(repository, "config", "commit.gpgSign", "true")
    (repository / ".git" / "info" / "attributes").write_text("* filter=evil merge=evil\n")

    with pytest.raises(NotTrusted) as refusal:
        merged(repository, theirs, notebook, trusted=False)

    assert key.lower() in [name.lower() for name in refusal.value.commands]
    assert not (repository / "pwned").exists()


def test_a_merge_is_signed_when_the_user_signs_commits(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook, home: Path
) -> None:
    signer = home / "signer"
    signer.write_text(
        "#!/bin/sh\ncat >/dev/null\necho '[GNUPG:] SIG_CREATED ' >&2\n"
        "printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nours\\n-----END PGP SIGNATURE-----\\n'\n"
    )
    signer.chmod(0o755)
    git(repository, "config", "--global", "gpg.program", str(signer))
    git(repository, "config", "--global", "commit.gpgSign", "true")

    merged(repository, theirs, notebook, trusted=False)

    assert "gpgsig -----BEGIN PGP SIGNATURE-----" in git(repository, "cat-file", "commit", "HEAD")


def test_a_signature_that_cannot_be_made_stops_the_merge_and_everything_is_as_before(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    git(repository, "config", "--global", "gpg.program", "false")
    git(repository, "config", "--global", "commit.gpgSign", "true")
    before = look(git, repository)

    with pytest.raises(GitFailed):
        merged(repository, theirs, notebook)

    assert look(git, repository) == before


def test_filters_and_line_endings_of_a_trusted_repository_give_what_git_merge_gives(
    git: GitCall, repository: Path, notebook: Notebook, tmp_path: Path
) -> None:
    git(repository, "config", "filter.rot.clean", "tr a-m n-z")
    git(repository, "config", "filter.rot.smudge", "tr n-z a-m")
    git(repository, "checkout", "-q", "-b", "result")
    (repository / ".gitattributes").write_text("*.rot filter=rot\n*.bat text eol=crlf\n")
    (repository / "a.rot").write_text("abc\n")
    (repository / "a.bat").write_bytes(b"one\r\ntwo\r\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "filtered")
    git(repository, "checkout", "-q", "main")

    merged(repository, ObjectId(git(repository, "rev-parse", "result")), notebook)

    assert (repository / "a.rot").read_text() == "abc\n"
    assert (repository / "a.bat").read_bytes() == b"one\r\ntwo\r\n"
    assert git(repository, "status", "--porcelain") == ""


def test_a_sparse_checkout_stays_sparse(git: GitCall, repository: Path, notebook: Notebook) -> None:
    for name in ("in", "out"):
        (repository / name).mkdir()
        (repository / name / "a").write_text("a\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "two directories")
    git(repository, "checkout", "-q", "-b", "result")
    for name in ("in", "out"):
        (repository / name / "a").write_text("b\n")
        (repository / name / "new").write_text("new\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "both changed")
    git(repository, "checkout", "-q", "main")
    git(repository, "sparse-checkout", "set", "--cone", "in")
    before = look(git, repository)

    hook(repository, "pre-merge-commit", "exit 1\n")
    with pytest.raises(Failed):
        merged(repository, ObjectId(git(repository, "rev-parse", "result")), notebook)
    reverted = look(git, repository)
    (repository / ".git" / "hooks" / "pre-merge-commit").unlink()
    merged(repository, ObjectId(git(repository, "rev-parse", "result")), notebook)

    assert reverted == before
    assert (repository / "in" / "new").exists()
    assert not (repository / "out").exists()
    assert git(repository, "show", "HEAD:out/a") == "b"
    assert "S out/new" in "\n".join(line for line in git(repository, "ls-files", "-t").splitlines())
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_edits_hidden_from_git_are_never_overwritten(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook, flag: str
) -> None:
    git(repository, "update-index", flag, "app.py")
    (repository / "app.py").write_text("hidden\n")

    with pytest.raises(Refused) as refusal:
        merged(repository, theirs, notebook)

    assert refusal.value.code == "dirty-tree"
    assert (repository / "app.py").read_text() == "hidden\n"
    assert not (repository / "tool.sh").exists()
    assert not (repository / ".git" / "index.lock").exists()


def test_a_split_index_and_index_flags_survive(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    git(repository, "update-index", "--split-index")
    git(repository, "update-index", "--assume-unchanged", "other.txt")
    (repository / "soon.txt").write_text("soon\n")

    merged(repository, theirs, notebook)

    assert "h other.txt" in git(repository, "ls-files", "-v")
    assert git(repository, "status", "--porcelain") == "?? soon.txt"
    assert git(repository, "fsck", "--no-dangling") == ""


def test_a_submodule_moves_in_the_index_and_its_directory_is_left_alone(
    git: GitCall, repository: Path, notebook: Notebook, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    git(inner, "commit", "-q", "--allow-empty", "-m", "one")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    git(repository, "commit", "-q", "-m", "a submodule")
    git(repository, "checkout", "-q", "-b", "result")
    git(repository / "sub", "commit", "-q", "--allow-empty", "-m", "two")
    git(repository, "commit", "-q", "-am", "submodule moved")
    git(repository, "checkout", "-q", "main")
    git(repository, "submodule", "--quiet", "update")
    here = git(repository / "sub", "rev-parse", "HEAD")
    (repository / "sub" / "mine.txt").write_text("mine\n")

    merged(repository, ObjectId(git(repository, "rev-parse", "result")), notebook)

    assert git(repository / "sub", "rev-parse", "HEAD") == here
    assert (repository / "sub" / "mine.txt").exists()
    assert git(repository, "rev-parse", "HEAD:sub") != here


def test_a_sha256_repository_is_merged_and_settled(
    git: GitCall, home: Path, tmp_path: Path, notebook: Notebook
) -> None:
    place = tmp_path / "sha256"
    place.mkdir()
    git(place, "init", "-q", "--object-format=sha256")
    (place / "a").write_text("a\n")
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "one")
    git(place, "checkout", "-q", "-b", "result")
    (place / "b").write_text("b\n")
    (place / "a").unlink()
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "two")
    git(place, "checkout", "-q", "main")
    theirs = ObjectId(git(place, "rev-parse", "result"))
    before = look(git, place)
    hook(place, "pre-merge-commit", "exit 1\n")

    with pytest.raises(Failed):
        merged(place, theirs, notebook)
    reverted = look(git, place)
    (place / ".git" / "hooks" / "pre-merge-commit").unlink()
    done = merged(place, theirs, notebook)

    assert reverted == before
    assert len(done.commit) == 64
    assert git(place, "status", "--porcelain") == ""


def test_strange_names_are_merged_and_taken_back(git: GitCall, repository: Path, notebook: Notebook) -> None:
    names = ["-dash", 'quo"te', "new\nline", "tab\tbed", "ünï", "-c core.x=y", ":(top)x", "*"]
    for name in names:
        (repository / name).write_text("old\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "strange")
    git(repository, "checkout", "-q", "-b", "result")
    for name in names:
        (repository / name).write_text("new\n")
        (repository / f"{name}2").write_text("new\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "stranger")
    git(repository, "checkout", "-q", "main")
    before = look(git, repository)
    theirs = ObjectId(git(repository, "rev-parse", "result"))
    refuse = hook(repository, "pre-merge-commit", "exit 1\n")

    with pytest.raises(Failed):
        merged(repository, theirs, notebook)
    refuse.unlink()
    reverted = look(git, repository)
    merged(repository, theirs, notebook)

    assert reverted == before
    assert {(repository / name).read_text() for name in names} == {"new\n"}


def test_names_that_are_no_utf8_are_merged_and_named_in_a_refusal(
    git: GitCall, repository: Path, notebook: Notebook
) -> None:
    name = os.fsdecode(b"caf\xe9")
    git(repository, "checkout", "-q", "-b", "result")
    (repository / name).write_text("new\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "latin")
    git(repository, "checkout", "-q", "main")
    theirs = ObjectId(git(repository, "rev-parse", "result"))
    (repository / name).write_text("mine\n")

    with pytest.raises(Refused, match=r"caf\\xe9") as refusal:
        merged(repository, theirs, notebook)
    refusal.value.message.encode("utf-8")
    (repository / name).unlink()
    merged(repository, theirs, notebook)

    assert (repository / name).read_text() == "new\n"


def test_a_full_disk_while_files_are_written_takes_everything_back(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    before = look(git, repository)

    def full(effect: str) -> None:
        if effect.startswith(f"sync-dir {repository / 'new'}"):
            raise DiskFailed(path="new", reason="no space", code="disk-full")

    with observe(full), pytest.raises(DiskFailed):
        merged(repository, theirs, notebook)

    assert look(git, repository) == before


def test_a_branch_moved_in_the_last_moment_stops_the_merge(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    def move(effect: str) -> None:
        if effect == "git commit-tree":
            git(repository, "update-ref", "refs/heads/main", "main~1")

    with observe(move), pytest.raises(Refused) as refusal:
        merged(repository, theirs, notebook)

    assert refusal.value.code == "dirty-tree"
    assert not (repository / ".git" / "index.lock").exists()
    assert git(repository, "rev-parse", "main") != theirs


def test_a_file_edited_in_the_last_moment_is_not_overwritten(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    def edit(effect: str) -> None:
        if effect == "git read-tree":
            (repository / "app.py").write_text("mine\n")

    with observe(edit), pytest.raises(Refused) as refusal:
        merged(repository, theirs, notebook)

    assert refusal.value.code == "dirty-tree"
    assert (repository / "app.py").read_text() == "mine\n"
    assert git(repository, "status", "--porcelain") == "M app.py"
    assert not (repository / ".git" / "index.lock").exists()


def test_something_staged_in_the_last_moment_is_not_committed_by_the_merge(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    def stage(effect: str) -> None:
        if effect.startswith("link "):
            (repository / "other.txt").write_text("mine\n")
            git(repository, "add", "other.txt")

    with observe(stage), pytest.raises(Refused) as refusal:
        merged(repository, theirs, notebook)

    assert refusal.value.code == "dirty-tree"
    assert git(repository, "status", "--porcelain") == "M  other.txt"
    assert not (repository / "tool.sh").exists()


@EVERY
def test_a_kill_before_any_effect_leaves_the_merge_done_or_never_begun(
    git: GitCall, repository: Path, theirs: ObjectId, tmp_path: Path, every: bool
) -> None:
    before = look(git, repository)
    outcomes = []
    calm = shutil.copytree(repository, tmp_path / "calm", symlinks=True)
    total = effects_of(lambda: merged(calm, theirs, Notebook(tmp_path / "calm-journal")))
    for effect in [*points(total, every=every, few=8), total + 1]:
        place = tmp_path / f"case-{effect}"
        shutil.copytree(repository, place, symlinks=True)
        notebook = Notebook(tmp_path / f"journal-{effect}")
        git(place, "status")
        killed = killed_at(effect, lambda: merged(place, theirs, notebook))  # noqa: B023 - called at once
        if notebook.facts is not None:
            outcome = settle(opened(place), notebook.facts, notebook).outcome
            outcomes.append(outcome)
        seen = look(git, place)
        if outcomes and outcomes[-1] == "finished":
            assert git(place, "rev-parse", "main^2") == theirs
            assert seen["status"] == ""
            assert "tool.sh" in str(seen["index"])
            assert seen["around"] == before["around"]
            assert seen["locks"] == []
        else:
            assert seen == before
        shutil.rmtree(place)
        assert killed == (effect <= total)

    assert total > 14
    assert outcomes[-1] == "finished"
    assert outcomes.count("reverted") > (10 if every else 1)
    assert outcomes.count("finished") > (3 if every else 1)


def test_a_file_system_without_hard_links_gives_the_same_merge_and_the_same_refusal(
    git: GitCall,
    repository: Path,
    theirs: ObjectId,
    notebook: Notebook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unsupported(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    # Patched: no file system without hard links can be mounted by a test without being root.
    monkeypatch.setattr(os, "link", unsupported)
    lock = repository / ".git" / "index.lock"

    def take(effect: str) -> None:
        if effect.startswith("create "):
            lock.write_text("DIRC")

    with observe(take), pytest.raises(Locked):
        merged(repository, theirs, Notebook(tmp_path / "refused"))
    stays = lock.read_text()
    lock.unlink()
    done = merged(repository, theirs, notebook)

    assert stays == "DIRC"
    assert git(repository, "rev-parse", "main") == done.commit
    assert not lock.exists()


def test_another_failure_of_the_lock_is_told_as_what_it_is(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    # Patched: the disk would have to fill between two calls.
    monkeypatch.setattr(os, "link", full)
    before = look(git, repository)

    with pytest.raises(DiskFailed) as refusal:
        merged(repository, theirs, notebook)

    assert refusal.value.code == "disk-full"
    assert look(git, repository) == before


def test_a_git_that_breaks_while_files_are_written_is_told_and_everything_is_as_before(
    git: GitCall, repository: Path, theirs: ObjectId, notebook: Notebook
) -> None:
    before = look(git, repository)

    def damage(effect: str) -> None:
        if effect == "git read-tree" and not broken:
            index = next((repository / ".git").glob("orchestrator-*/index"))
            index.write_bytes(b"no index")
            broken.append(effect)

    broken: list[str] = []
    with observe(damage), pytest.raises(GitFailed):
        merged(repository, theirs, notebook)

    assert look(git, repository) == before

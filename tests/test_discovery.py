from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.discovery import Located, locate
from orchestrator.errors import Refused
from tests.conftest import GitCall


def refused(start: Path, environment: dict[str, str] | None = None) -> Refused:
    with pytest.raises(Refused) as found:
        locate(str(start), environment or {})
    assert found.value.hint
    assert found.value.exit_status == 2
    return found.value


def found(start: Path, **environment: str) -> Located:
    return locate(str(start), environment)


@pytest.fixture
def linked(repository: Path, git: GitCall, tmp_path: Path) -> Path:
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    return tmp_path / "linked"


@pytest.mark.parametrize("below", [".", "a", "a/b/c"])
def test_the_root_is_found_from_any_subdirectory(repository: Path, below: str) -> None:
    (repository / "a/b/c").mkdir(parents=True)

    here = found(repository / below)

    assert here.checkout == here.home == str(repository)
    assert here.git_dir == here.common_dir == str(repository / ".git")
    assert here.orchestrator_dir == str(repository / ".orchestrator")
    assert not here.is_linked


def test_the_current_directory_and_environment_are_the_defaults(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(repository)
    plain = locate()
    monkeypatch.setenv("ORCHESTRATOR_DIR", str(tmp_path))

    assert plain.home == str(repository)
    assert locate().home == str(tmp_path)
    assert locate().checkout == str(repository)


def test_a_link_into_a_repository_leads_to_its_real_place(repository: Path, tmp_path: Path) -> None:
    (repository / "sub").mkdir()
    (tmp_path / "link").symlink_to(repository / "sub")

    assert found(tmp_path / "link").checkout == str(repository)


def test_linked_worktrees_share_the_state_of_the_main_one(repository: Path, linked: Path) -> None:
    (linked / "deep").mkdir()

    here = found(linked / "deep")

    assert here.checkout == str(linked)
    assert here.home == str(repository)
    assert here.common_dir == str(repository / ".git")
    assert here.git_dir == str(repository / ".git/worktrees/linked")
    assert here.is_linked


def test_what_we_find_is_what_git_says(repository: Path, linked: Path, git: GitCall) -> None:
    for place in (repository, linked):
        here = found(place)
        assert here.checkout == git(place, "rev-parse", "--show-toplevel")
        assert here.git_dir == git(place, "rev-parse", "--absolute-git-dir")
        common = git(place, "rev-parse", "--path-format=absolute", "--git-common-dir")
        assert here.common_dir == os.path.realpath(common)


@pytest.fixture
def submodule(repository: Path, git: GitCall, tmp_path: Path) -> Path:
    outer = tmp_path / "outer"
    git(tmp_path, "init", "-q", str(outer))
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repository), "libs/sub")
    return outer / "libs/sub"


def test_a_submodule_is_a_repository_of_its_own(submodule: Path) -> None:
    here = found(submodule)

    assert here.checkout == here.home == str(submodule)
    assert here.git_dir == here.common_dir == str(submodule.parents[1] / ".git/modules/libs/sub")


def test_a_worktree_of_a_submodule_has_its_home_in_the_submodule(
    submodule: Path, git: GitCall, tmp_path: Path
) -> None:
    git(submodule, "worktree", "add", "-q", "--detach", str(tmp_path / "subtree"))

    here = found(tmp_path / "subtree")

    assert here.checkout == str(tmp_path / "subtree")
    assert here.home == str(submodule)


def test_a_repository_with_a_separate_git_directory_is_found(git: GitCall, tmp_path: Path) -> None:
    place = tmp_path / "separate"
    git(tmp_path, "init", "-q", f"--separate-git-dir={tmp_path / 'store'}", str(place))

    here = found(place)

    assert here.home == str(place)
    assert here.git_dir == str(tmp_path / "store")


def test_a_worktree_of_a_separate_git_directory_has_its_home_in_the_main_checkout_or_is_refused(
    git: GitCall, tmp_path: Path
) -> None:
    place = tmp_path / "separate"
    git(tmp_path, "init", "-q", f"--separate-git-dir={tmp_path / 'store'}", str(place))
    git(place, "commit", "-q", "--allow-empty", "-m", "one")
    git(place, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))

    error = refused(tmp_path / "second")

    assert error.code == "main-checkout-unknown"
    assert found(tmp_path / "second", ORCHESTRATOR_DIR=str(place)).home == str(place)


@pytest.mark.parametrize("named", ["", ".orchestrator"])
def test_orchestrator_dir_names_the_home(repository: Path, tmp_path: Path, named: str) -> None:
    place = tmp_path / "elsewhere"
    (place / ".orchestrator").mkdir(parents=True)

    here = found(repository, ORCHESTRATOR_DIR=str(place / named))

    assert here.home == str(place)
    assert here.checkout == str(repository)


def test_an_orchestrator_dir_that_is_none_is_refused(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for place in (tmp_path / "missing", tmp_path / "file"):
        error = refused(repository, {"ORCHESTRATOR_DIR": str(place)})
        assert error.code == "orchestrator-dir-invalid"


def test_a_bare_repository_is_refused(git: GitCall, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare.git")

    assert refused(tmp_path / "bare.git").code == "bare-repository"
    assert refused(tmp_path / "bare.git" / "refs").code == "bare-repository"


def test_a_dot_git_that_says_it_is_bare_is_refused(repository: Path, git: GitCall) -> None:
    git(repository, "config", "core.bare", "true")

    assert refused(repository).code == "bare-repository"


@pytest.mark.parametrize(
    "lines",
    [
        '[core]\n\tworktree = "{}" ; theirs\n',
        "[CORE] WorkTree={}\n",
        "# [core]\n[ core ]\n;x\nworktree = {} # theirs\n",
        "[core]\nworktree = {}\nbare = true\n",
    ],
)
def test_a_repository_that_claims_the_files_of_another_place_is_refused(
    repository: Path, tmp_path: Path, lines: str
) -> None:
    with open(repository / ".git/config", "a") as config:
        config.write(lines.format(tmp_path))

    assert refused(repository).code == "work-tree-elsewhere"


@pytest.mark.parametrize("lines", ["[core]\n\tbare\n", '[core]\nbare = "yes"\n', "[core]\nbare = 1 ; so\n"])
def test_every_way_to_say_bare_is_understood(repository: Path, lines: str) -> None:
    (repository / ".git/config").write_text(lines)

    assert refused(repository).code == "bare-repository"


def test_settings_of_other_sections_mean_nothing(repository: Path, tmp_path: Path) -> None:
    with open(repository / ".git/config", "a") as config:
        config.write(f'[core "x"]\nbare = true\n[other]\nworktree = {tmp_path}\nbare = true\n')

    assert found(repository).home == str(repository)


@pytest.mark.parametrize("name", ["q'u\"o te", "back\\slash", "hash # and ; more", "tab\there"])
def test_a_work_tree_that_git_itself_wrote_down_is_understood(
    repository: Path, git: GitCall, tmp_path: Path, name: str
) -> None:
    place = tmp_path / name
    repository.rename(place)
    git(place, "config", "core.worktree", str(place))

    assert found(place).checkout == str(place)


def test_a_copied_worktree_does_not_share_the_originals_git_directory(linked: Path, tmp_path: Path) -> None:
    shutil.copytree(linked, tmp_path / "copy")

    error = refused(tmp_path / "copy")

    assert error.code == "git-dir-spoofed"
    assert "git worktree repair" in error.hint


def test_a_main_checkout_that_does_not_lead_back_is_not_taken(
    submodule: Path, git: GitCall, tmp_path: Path
) -> None:
    git(submodule, "worktree", "add", "-q", "--detach", str(tmp_path / "subtree"))
    (submodule / ".git").unlink()

    assert refused(tmp_path / "subtree").code == "main-checkout-unknown"


def test_the_inside_of_a_git_directory_is_no_place_to_work(repository: Path) -> None:
    assert refused(repository / ".git").code == "inside-git-directory"
    assert refused(repository / ".git/refs").code == "inside-git-directory"


def test_a_worktree_of_a_bare_repository_needs_a_named_home(
    git: GitCall, repository: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare.git")
    git(tmp_path / "bare.git", "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))

    error = refused(tmp_path / "tree")

    assert error.code == "bare-repository"
    assert f"ORCHESTRATOR_DIR={tmp_path / 'tree'}" in error.hint
    assert found(tmp_path / "tree", ORCHESTRATOR_DIR=str(tmp_path / "tree")).home == str(tmp_path / "tree")


def test_a_worktree_of_a_bare_dot_git_needs_a_named_home(
    git: GitCall, repository: Path, tmp_path: Path
) -> None:
    place = tmp_path / "project"
    place.mkdir()
    git(place, "clone", "-q", "--bare", str(repository), ".git")
    git(place, "worktree", "add", "-q", "--detach", "tree")

    assert refused(place / "tree").code == "bare-repository"


def test_a_bare_repository_buried_in_a_working_tree_is_not_followed(repository: Path, git: GitCall) -> None:
    git(repository, "init", "-q", "--bare", "fixtures/buried.git")

    assert refused(repository / "fixtures/buried.git").code == "bare-repository"
    assert found(repository / "fixtures").checkout == str(repository)


def test_a_place_outside_any_repository_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path).code == "not-a-repository"
    assert refused(tmp_path / "missing").code == "not-a-directory"


def test_inside_our_own_directory_the_users_repository_is_meant(repository: Path) -> None:
    (repository / ".orchestrator/worktrees").mkdir(parents=True)

    assert found(repository / ".orchestrator/worktrees").checkout == str(repository)
    assert found(repository / ".orchestrator").checkout == str(repository)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("HEAD", None),
        ("HEAD", b""),
        ("HEAD", b"nonsense\n"),
        ("HEAD", b"\xff\xfe\0"),
        ("HEAD", b"ref: ../../elsewhere\n"),
    ],
)
def test_a_corrupt_repository_is_refused(repository: Path, name: str, content: bytes | None) -> None:
    place = repository / ".git" / name
    place.unlink()
    if content is not None:
        place.write_bytes(content)

    assert refused(repository).code == "broken-repository"


@pytest.mark.parametrize("content", [b"", b"gitdir: \n", b"gitdir: /nowhere\n", b"nonsense", b"\xff\0"])
def test_a_dot_git_file_that_names_no_repository_is_refused(
    tmp_path: Path, home: Path, content: bytes
) -> None:
    (tmp_path / ".git").write_bytes(content)

    assert refused(tmp_path).code == "broken-repository"


def test_a_dot_git_that_is_no_file_never_blocks(tmp_path: Path, home: Path) -> None:
    os.mkfifo(tmp_path / ".git")

    assert refused(tmp_path).code == "broken-repository"


def test_a_head_that_is_no_file_never_blocks(repository: Path) -> None:
    (repository / ".git/HEAD").unlink()
    os.mkfifo(repository / ".git/HEAD")

    assert refused(repository).code == "broken-repository"


def test_a_dangling_link_as_dot_git_is_refused(tmp_path: Path, home: Path) -> None:
    (tmp_path / ".git").symlink_to(tmp_path / "gone")

    assert refused(tmp_path).code == "broken-repository"


@pytest.mark.parametrize("head", ["a" * 40, "b" * 64])
def test_a_detached_head_is_fine(repository: Path, head: str) -> None:
    (repository / ".git/HEAD").write_text(f"{head}\n")

    assert found(repository).checkout == str(repository)


def test_a_worktree_of_a_deleted_repository_is_refused(repository: Path, linked: Path) -> None:
    shutil.rmtree(repository)

    assert refused(linked).code == "broken-repository"


def test_a_moved_main_checkout_leaves_its_worktree_broken_and_says_how_to_repair(
    repository: Path, linked: Path, tmp_path: Path
) -> None:
    repository.rename(tmp_path / "moved")

    error = refused(linked)

    assert error.code == "broken-repository"
    assert "git worktree repair" in error.hint


def test_a_commondir_that_git_never_wrote_is_refused(repository: Path, git: GitCall, tmp_path: Path) -> None:
    """An archive can carry a `.git` that borrows the trust of another repository (CVE-2026-33068)."""
    git(tmp_path, "init", "-q", "victim")
    (repository / ".git/commondir").write_text(str(tmp_path / "victim/.git"))

    assert refused(repository).code == "git-dir-spoofed"


@pytest.mark.parametrize("to", ["../../../../victim/.git", "/nowhere", "", "."])
def test_a_worktree_whose_commondir_leads_elsewhere_is_refused(
    repository: Path, linked: Path, git: GitCall, tmp_path: Path, to: str
) -> None:
    git(tmp_path, "init", "-q", "victim")
    (repository / ".git/worktrees/linked/commondir").write_text(to)

    assert refused(linked).code == "git-dir-spoofed"


def test_a_directory_shaped_like_a_worktree_does_not_lend_its_owner_to_another(
    repository: Path, linked: Path, tmp_path: Path
) -> None:
    """A `.git` file may point at the worktree entry of a repository that knows nothing of this place."""
    intruder = tmp_path / "intruder"
    intruder.mkdir()
    (intruder / ".git").write_text(f"gitdir: {repository}/.git/worktrees/linked\n")

    assert refused(intruder).code == "git-dir-spoofed"


def test_a_link_at_the_place_of_commondir_is_judged_by_where_it_leads(
    repository: Path, linked: Path, tmp_path: Path
) -> None:
    entry = repository / ".git/worktrees/linked/commondir"
    entry.unlink()
    entry.symlink_to("/dev/null")

    assert refused(linked).code == "git-dir-spoofed"


NAMES = [b"qu'o\"te", b"new\nline", b"caf\xe9", b" space ", b"tab\there", b"-dash", b"$(x)", b"back\\slash"]


@pytest.mark.parametrize("name", NAMES)
def test_the_path_may_hold_any_byte(repository: Path, tmp_path: Path, name: bytes) -> None:
    place = os.path.join(os.fsencode(tmp_path), name)
    os.rename(os.fsencode(repository), place)
    os.mkdir(os.path.join(place, b"sub"))

    here = locate(os.fsdecode(os.path.join(place, b"sub")), {})

    assert os.fsencode(here.checkout) == place


@pytest.mark.parametrize("name", NAMES)
def test_a_linked_worktree_may_have_any_name(
    repository: Path, git: GitCall, tmp_path: Path, name: bytes
) -> None:
    place = os.path.join(os.fsencode(tmp_path), b"w" + name)
    git(repository, "worktree", "add", "-q", "--detach", os.fsdecode(place))

    here = locate(os.fsdecode(place), {})

    assert os.fsencode(here.checkout) == place
    assert here.home == str(repository)


@pytest.mark.parametrize("name", [b"new\nline", b" space ", b"caf\xe9"])
def test_the_main_checkout_of_a_worktree_may_have_any_name(
    repository: Path, git: GitCall, tmp_path: Path, name: bytes
) -> None:
    main = os.path.join(os.fsencode(tmp_path), name)
    os.rename(os.fsencode(repository), main)
    git(Path(os.fsdecode(main)), "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))

    assert os.fsencode(locate(str(tmp_path / "tree"), {}).home) == main


def test_a_checkout_of_somebody_else_is_refused(repository: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(repository, 12345, 12345)

    assert refused(repository).code == "unsafe-owner"


def test_a_git_directory_of_somebody_else_is_refused(repository: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(repository / ".git", 12345, 12345)

    assert refused(repository).code == "unsafe-owner"


def test_under_sudo_the_callers_own_repository_is_accepted(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root is ever under sudo")
    for place in (repository, repository / ".git"):
        os.chown(place, 12345, 12345)
    monkeypatch.setenv("SUDO_UID", "12345")

    assert found(repository).checkout == str(repository)


def test_looking_changes_nothing_and_imports_nothing_dear(repository: Path) -> None:
    before = sorted(str(path) for path in repository.rglob("*"))
    code = (
        "import sys; from orchestrator.discovery import locate; print(locate(sys.argv[1], {}).checkout);"
        "dear = 'pathlib subprocess dataclasses re json configparser typing enum'.split();"
        "print(*[name for name in dear if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(repository)],
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [str(repository)]
    assert sorted(str(path) for path in repository.rglob("*")) == before

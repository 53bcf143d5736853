"""How git is called: neutralised, with a listed environment, durable and announced where it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import GitFailed, Refused
from orchestrator.fs import effects
from orchestrator.repo.git import Git
from orchestrator.repo.settings import as_config
from tests.conftest import GitCall


def test_variables_of_the_caller_that_redirect_git_are_cleared(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))

    assert Git(repository, trusted=True).lines("ls-files") == ("README.md", "app.py")
    assert Git(repository, trusted=True).zsplit("ls-files", "-z") == (b"README.md", b"app.py")
    assert Git(repository, trusted=True).lines("ls-files", "absent") == ()


def test_mutations_are_announced_and_written_through(repository: Path) -> None:
    seen: list[str] = []
    git = Git(repository, trusted=True)

    with effects.observe(seen.append):
        git.run("update-ref", "refs/orchestrator/x", "HEAD", mutates=True)
        durable = git.run("config", "core.fsync", mutates=True).stdout
        plain = git.run("config", "core.fsync", ok=(1,)).stdout

    assert seen == ["git update-ref", "git config"]
    assert (durable, plain) == (b"committed,reference\n", b"")


def test_a_failure_names_the_command_and_the_last_line_git_said(repository: Path) -> None:
    with pytest.raises(GitFailed) as failed:
        Git(repository, trusted=True).run("rev-parse", "--verify", "nothing")

    assert failed.value.command == "rev-parse"
    assert "git rev-parse failed" in failed.value.message


@pytest.mark.parametrize(
    ("said", "code"),
    [("git version 2.37.1", "git-too-old"), ("nonsense", "git-too-old"), (None, "git-missing")],
)
def test_an_old_or_missing_git_is_refused(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, code: str
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    if said is not None:
        (tools / "git").write_text(f"#!/bin/sh\necho {said}\n")
        (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))

    with pytest.raises(Refused) as refused:
        Git(repository, trusted=True).run("status")

    assert refused.value.code == code


def test_a_repository_git_calls_dubious_is_refused_by_its_own_code(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").write_text(
        "#!/bin/sh\ncase $1 in --version) echo git version 2.40.0;;\n"
        "*) echo 'fatal: detected dubious ownership in repository' >&2; exit 128;; esac\n"
    )
    (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))

    for call in (
        lambda: Git(repository, trusted=True).run("status"),
        Git(repository, trusted=True).local_keys,
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.code == "unsafe-owner"


def test_keys_that_would_run_something_are_found_in_includes_too(repository: Path, git: GitCall) -> None:
    (repository / ".git" / "more").write_text(
        '[filter "a=b"]\n\tclean = touch x\n[core]\n\teditor = vi\n[remote "o"]\n\tuploadpack = evil\n'
    )
    git(repository, "config", "include.path", "more")

    keys = Git(repository, trusted=False).runnable_keys()

    assert keys == ("filter.a=b.clean", "core.editor", "remote.o.uploadpack")
    assert Git(repository, trusted=False).text("config", "filter.a=b.clean") == ""
    assert Git(repository, trusted=False).text("config", "remote.o.uploadpack") == "false"


def test_settings_survive_being_written_as_a_configuration_file(tmp_path: Path, git: GitCall) -> None:
    pairs = [
        ("core.eol", "lf"),
        ('remote.odd "name" \\ .x.url', 'a\tb # ; \\ "q"\nsecond'),
        ("filter.ü.clean", " leading and trailing "),
    ]
    (tmp_path / "config").write_bytes(as_config(pairs))

    read = git(tmp_path, "config", "-f", "config", "--list", "-z").split("\0")

    assert [tuple(item.split("\n", 1)) for item in read if item] == pairs

"""init, trust, config, agents, deinit."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.template import SCHEMA_NAME
from orchestrator.fs.effects import observe
from tests.cli.conftest import Call
from tests.conftest import GitCall


def tree(place: Path) -> dict[str, bytes | None]:
    """Returns every file below a directory with its bytes."""
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else None
        for path in sorted(place.rglob("*"))
        if not path.is_symlink()
    }


def files(place: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(place).items() if data is not None}


def test_init_creates_one_directory_and_nothing_else(repository: Path, call: Call) -> None:
    before = tree(repository)

    answer = call("init", cwd=repository)

    after = {name: data for name, data in tree(repository).items() if not name.startswith(".orchestrator")}
    assert (answer.status, answer.out) == (0, f"Initialised {repository}/.orchestrator\n")
    assert after == before


def test_init_again_changes_nothing(project: Path, call: Call) -> None:
    before = tree(project)

    answer = call("init", cwd=project)

    assert (answer.status, answer.out) == (0, f"{project}/.orchestrator is initialised already.\n")
    assert tree(project) == before


def test_init_from_a_subdirectory_and_with_a_directory(repository: Path, call: Call, tmp_path: Path) -> None:
    (repository / "deep").mkdir()

    assert call("init", cwd=repository / "deep").status == 0
    assert call("-C", str(repository), "init", "-v", cwd=tmp_path).out.endswith("initialised already.\n")


def test_a_dry_run_of_init_makes_nothing(repository: Path, call: Call) -> None:
    before = tree(repository)

    words = call("init", "--dry-run", cwd=repository)
    fields = call("init", "--dry-run", "--json", cwd=repository)

    assert tree(repository) == before
    assert f"would create {repository}/.orchestrator/workflow.yaml\n" in words.out
    assert {"layout.json", "workflow.yaml", SCHEMA_NAME} <= set(fields.json["would_create"])
    assert fields.json["workflow_yaml"].startswith("# yaml-language-server:")


def test_a_dry_run_after_init_finds_nothing_to_do(project: Path, call: Call) -> None:
    assert call("init", "--dry-run", cwd=project).out.endswith("nothing would change.\n")


def test_private_init_is_ignored_by_git(repository: Path, call: Call, git: GitCall) -> None:
    call("init", "--private", cwd=repository)

    assert git(repository, "status", "--porcelain") == ""


def test_an_existing_workflow_is_left_alone(repository: Path, call: Call) -> None:
    (repository / "workflow.yaml").write_text("version: 1\n")

    call("init", cwd=repository)

    assert not (repository / ".orchestrator" / "workflow.yaml").exists()


def test_a_killed_init_that_lacks_the_schema_is_completed(project: Path, call: Call) -> None:
    (project / ".orchestrator" / SCHEMA_NAME).unlink()

    assert call("init", "--json", cwd=project).json["created"] == [SCHEMA_NAME]


def test_a_foreign_directory_is_refused(repository: Path, call: Call) -> None:
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / "theirs.txt").write_text("x")

    answer = call("init", cwd=repository)

    assert (answer.status, answer.err.split(":")[0]) == (2, "error[foreign-directory]")
    assert [path.name for path in (repository / ".orchestrator").iterdir()] == ["theirs.txt"]


@pytest.mark.parametrize(
    "words",
    [
        ("init",),
        ("init", "--dry-run"),
        ("init", "--trust", "--yes"),
        ("trust", "--yes"),
        ("run", "x", "--command", "true"),
        ("resume",),
        ("status",),
        ("ops",),
        ("merge", "x"),
        ("deinit", "--yes"),
        ("doctor", "--recover"),
    ],
)
def test_a_directory_of_an_earlier_orchestrator_is_left_to_migrate(
    repository: Path, call: Call, words: tuple[str, ...]
) -> None:
    inside = repository / ".orchestrator"
    (inside / "feedback").mkdir(parents=True)
    (inside / "feedback/one.jsonl").write_text("{}\n")
    before = tree(repository)

    answer = call(*words, cwd=repository)

    assert answer.status == 2
    assert "error[foreign-directory]" in answer.err
    assert "holds what workflow-orchestrator left." in answer.err
    assert answer.err.splitlines()[-1].endswith("orchestrator migrate")
    assert "init" not in answer.err
    assert tree(repository) == before


@pytest.mark.parametrize(
    "words",
    [
        ("init",),
        ("trust", "--yes"),
        ("run", "x", "--command", "true"),
        ("resume",),
        ("status",),
        ("ops",),
        ("deinit", "--yes"),
        ("doctor", "--recover"),
    ],
)
def test_an_older_version_of_our_own_is_sent_to_migrate(
    project: Path, call: Call, words: tuple[str, ...]
) -> None:
    mark = project / ".orchestrator/layout.json"
    mark.write_text(mark.read_text().replace('"layout_version": 1', '"layout_version": 0'))
    before = unlocked(project)

    answer = call(*words, cwd=project)

    assert (answer.status, "error[layout-older]" in answer.err) == (2, True), answer.err
    assert answer.err.splitlines()[-1] == "hint: Bring it up to date: orchestrator migrate"
    assert unlocked(project) == before


def unlocked(place: Path) -> dict[str, bytes | None]:
    """Returns what `tree` does but the records of who held a lock."""
    return {name: data for name, data in tree(place).items() if "/locks/" not in name}


def test_migrate_says_so_when_nothing_brings_a_version_up_to_date(project: Path, call: Call) -> None:
    mark = project / ".orchestrator/layout.json"
    mark.write_text(mark.read_text().replace('"layout_version": 1', '"layout_version": 0'))

    answer = call("migrate", cwd=project)
    checks = call("doctor", "--only", "layout-ownership", "--json", cwd=project).json["checks"]

    assert (answer.status, "error[layout-older]" in answer.err) == (2, True)
    assert checks[0]["remedy"] == "Bring it up to date: orchestrator migrate"


CHECKED = """\
version: 1
verify:
  lint: [["sh", "-c", "grep -n bad *.py && exit 1 || exit 0"]]
"""


@pytest.fixture
def checked(repository: Path, call: Call) -> Path:
    """Returns an initialised repository whose configuration supplies a check; nobody has approved it."""
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / "workflow.yaml").write_text(CHECKED)
    answer = call("init", cwd=repository)
    assert (answer.status, "Not trusted yet" in answer.err) == (0, True)
    return repository


def test_init_without_a_terminal_shows_what_would_run_and_trusts_nothing(checked: Path, call: Call) -> None:
    answer = call("init", "--json", cwd=checked)

    assert answer.json["trusted"] is False
    assert "verify.lint" in answer.err


def test_a_run_needs_trust(checked: Path, call: Call) -> None:
    refused = call("run", "x", "--command", "true", cwd=checked)
    once = call("run", "x", "--command", "true", "--trust", "--run-id", "a", cwd=checked)
    still = call("run", "x", "--command", "true", cwd=checked)

    assert refused.status == 2
    assert refused.err.startswith("error[not-trusted]: ")
    assert once.status == 0
    assert still.status == 2


def test_trust_is_given_shown_and_taken_back(checked: Path, call: Call) -> None:
    nobody = call("trust", cwd=checked)
    assert (nobody.status, "hint: orchestrator trust --yes\n" in nobody.err) == (2, True)
    assert call("trust", "--show", "--json", cwd=checked).json["trusted"] is False
    assert call("trust", "--yes", cwd=checked).out == "This repository is trusted now.\n"
    assert call("trust", cwd=checked).out == "This repository was trusted already.\n"
    assert call("trust", "--show", cwd=checked).out.startswith("trusted\n")
    assert call("trust", "--json", cwd=checked).json["trusted"] is True
    assert call("trust", "--revoke", cwd=checked).out == "Trust was taken back.\n"
    assert call("trust", "--revoke", "--json", cwd=checked).json["revoked"] == 0
    assert call("trust", "--show", cwd=checked).out.startswith("not trusted\n")


def test_a_changed_configuration_shows_what_changed(checked: Path, call: Call) -> None:
    call("trust", "-y", cwd=checked)
    (checked / ".orchestrator" / "workflow.yaml").write_text(CHECKED.replace("grep -n", "grep -nw"))

    shown = call("trust", "--show", cwd=checked).out

    assert "Since you last approved, this has changed:\n" in shown
    assert [line.strip()[0] for line in shown.splitlines()[2:]] == ["-", "+"]


def test_init_with_trust_stores_it(checked: Path, call: Call) -> None:
    assert call("init", "--trust", "--json", cwd=checked).json["trusted"] is True
    assert call("trust", "--show", cwd=checked).out.startswith("trusted\n")


def test_verify_checks_the_working_tree_as_it_is(checked: Path, call: Call) -> None:
    call("trust", "-y", cwd=checked)
    clean = call("verify", cwd=checked)
    (checked / "app.py").write_text("bad = 1\n")

    dirty = call("verify", cwd=checked)
    fields = call("verify", "--json", cwd=checked)
    against = call("verify", "--base", "HEAD", "--format", "github", cwd=checked)

    assert clean.status == 0
    assert dirty.status in (0, 1)
    assert fields.json["checks"][0]["status"] == "failed"
    assert fields.status == dirty.status
    assert fields.json["holds"] is (fields.status == 0)
    assert against.out.startswith("::")


def test_verify_needs_trust_and_a_known_base(checked: Path, call: Call) -> None:
    assert call("verify", cwd=checked).err.startswith("error[not-trusted]")
    assert call("verify", "--trust", "--base", "nowhere", cwd=checked).status == 2


def test_configuration_before_init_and_outside_of_repositories(
    home: Path, tmp_path: Path, call: Call
) -> None:
    assert call("config", "validate", cwd=tmp_path).out == "The configuration is valid.\n"
    assert call("config", "validate", "--json", cwd=tmp_path).json["valid"] is True


def test_every_value_has_an_origin(checked: Path, call: Call) -> None:
    rows = call("config", "show", "--json", cwd=checked).json["values"]
    words = call("config", "show", "--origin", cwd=checked).out

    origins = {row["key"]: row["origin"] for row in rows}
    assert origins["version"] == ".orchestrator/workflow.yaml:1"
    assert origins["git.integrate"] == "default"
    assert "version                       .orchestrator/workflow.yaml:1  1\n" in words
    assert 'git.integrate                 "branch"\n' in call("config", "show", cwd=checked).out


def test_a_key_is_explained(checked: Path, call: Call) -> None:
    words = call("config", "explain", "execution.timeout_s", cwd=checked)
    fields = call("config", "explain", "budget.allowed_hours", "--json", cwd=checked)
    unknown = call("config", "explain", "exectuion", cwd=checked)

    assert words.out.startswith("execution.timeout_s: ")
    assert "  default  3600\n" in words.out
    assert fields.json["available"] is False
    assert (
        "Not available in this version." in call("config", "explain", "budget.allowed_hours", cwd=checked).out
    )
    assert unknown.status == 2


def test_every_problem_of_a_configuration_is_named_with_its_place(checked: Path, call: Call) -> None:
    (checked / ".orchestrator" / "workflow.yaml").write_text("version: 1\nverfy: {}\nlimits: {cpu_s: x}\n")

    answer = call("config", "validate", cwd=checked)

    assert answer.status == 2
    places = [line for line in answer.err.splitlines() if line.startswith("  --> ")]
    assert [place.split(": ")[0] for place in places] == [
        "  --> .orchestrator/workflow.yaml:2:1",
        "  --> .orchestrator/workflow.yaml:3:17",
    ]


@pytest.fixture
def codex(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a program named codex on PATH."""
    place = home / "bin"
    place.mkdir()
    program = place / "codex"
    program.write_text("#!/bin/sh\necho 'codex-cli 9.8.7'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    return program


def test_agents_are_listed_with_version_and_health(codex: Path, repository: Path, call: Call) -> None:
    rows = {row["name"]: row for row in call("agents", "--json", cwd=repository).json["agents"]}
    words = call("agents", cwd=repository)

    assert (rows["codex"]["health"], rows["codex"]["path"]) == ("ready", str(codex))
    assert rows["gemini"]["health"] == "missing"
    assert words.status == 0
    assert words.out.splitlines()[2].split()[:2] == ["codex", "ready"]


def test_checking_agents_answers_with_the_exit_status(
    codex: Path, repository: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-dummy-for-tests")

    assert call("agents", "check", "codex", cwd=repository).status == 0
    assert call("agents", "check", cwd=repository).status == 1
    assert call("agents", "check", "nobody", cwd=repository).err.startswith("error[agent-unknown]")


def test_deinit_takes_out_what_init_and_runs_put_in(repository: Path, call: Call, git: GitCall) -> None:
    before = files(repository / ".git")
    refs = git(repository, "for-each-ref")
    call("init", "--trust", cwd=repository)
    call("run", "x", "--command", "touch made", "--run-id", "a", cwd=repository)

    refused = call("deinit", cwd=repository)
    assert (refused.status, (repository / ".orchestrator").is_dir()) == (2, True)
    answer = call("deinit", "--export", "../all.bundle", "-v", cwd=repository)

    after = files(repository / ".git")
    assert answer.status == 0
    assert f"removed {repository}/.orchestrator\n" in answer.out
    assert not (repository / ".orchestrator").exists()
    assert git(repository, "for-each-ref") == refs
    assert {name: data for name, data in after.items() if not name.startswith("objects")} == {
        name: data for name, data in before.items() if not name.startswith("objects")
    }
    assert "refs/heads/orchestrator/a" in git(repository, "bundle", "list-heads", "../all.bundle")


def test_deinit_leaves_what_git_tracks(repository: Path, call: Call, git: GitCall) -> None:
    call("init", cwd=repository)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "shares the configuration")

    answer = call("deinit", "--json", cwd=repository)

    assert answer.json["kept"] == [".gitignore", "layout.json", "workflow.yaml"]
    assert git(repository, "status", "--porcelain") == ""


def test_an_interrupted_deinit_is_finished_by_the_next(project: Path, call: Call) -> None:
    for entry in (project / ".orchestrator").iterdir():
        if entry.name in (".gitignore", "layout.json"):
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    answer = call("deinit", cwd=project)

    assert (answer.status, answer.out) == (0, "What an interrupted call left is removed.\n")
    assert not (project / ".orchestrator").exists()


def test_deinit_before_init_is_refused_and_removes_nothing(repository: Path, call: Call) -> None:
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / "workflow.yaml").write_text("version: 1\n")

    assert call("deinit", cwd=repository).status == 2
    assert (repository / ".orchestrator" / "workflow.yaml").exists()


def test_deinit_keeps_the_work_of_an_interrupted_run(project: Path, call: Call) -> None:
    call("run", "x", "--command", "sh -c 'echo work > made; exit 1'", "--run-id", "a", cwd=project)

    refused = call("deinit", "--json", cwd=project)

    assert refused.status == 2
    assert refused.json["error"]["code"] == "unmerged"
    assert json.loads(call("checkpoints", "a", "--json", cwd=project).out)["checkpoints"]


def test_listing_agents_runs_nothing_of_a_repository_that_nobody_trusts(
    codex: Path, repository: Path, call: Call
) -> None:
    evil = repository / "bin" / "codex"
    evil.parent.mkdir()
    evil.write_text(f"#!/bin/sh\ntouch {repository}/ran\necho 1.0\n")
    evil.chmod(0o755)
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / "workflow.yaml").write_text(
        f"version: 1\nagents:\n  codex: {{kind: codex, env: {{PATH: '{evil.parent}:/usr/bin:/bin'}}}}\n"
    )
    before = call("agents", cwd=repository)
    call("init", cwd=repository)
    for line in (["agents"], ["run", "x", "--agent", "codex", "--dry-run"], ["run", "x"], ["verify"]):
        call(*line, cwd=repository)

    assert before.status == 0
    assert not (repository / "ran").exists()
    call("trust", "--yes", cwd=repository)
    call("agents", cwd=repository)
    assert (repository / "ran").exists()


class _Killed(KeyboardInterrupt):
    """Stands for a kill in the middle of an effect: nothing but `finally` is done."""


def _cut_off(act: Callable[[], object], effects: int) -> bool:
    """Does something and breaks it off after so many durable effects; returns whether it was broken off."""
    met = 0

    def count(effect: str) -> None:
        nonlocal met
        met += 1
        if met > effects:
            raise _Killed(effect)

    with observe(count), contextlib.suppress(_Killed):
        act()
    return met > effects


def test_deinit_takes_out_what_an_init_killed_at_any_effect_left(
    git: GitCall, repository: Path, call: Call
) -> None:
    effects = 0
    while _cut_off(lambda: call("init", "--trust", cwd=repository), effects):
        answer = call("deinit", cwd=repository)

        assert answer.status == 0 or '"not-initialised"' in answer.err or "not initialised" in answer.err
        assert not (repository / ".orchestrator").exists(), effects
        assert git(repository, "status", "--porcelain", "--ignored") == ""
        effects += 1
    assert effects > 20


def test_deinit_goes_on_where_it_was_killed_at_any_effect(
    git: GitCall, project: Path, call: Call, tmp_path: Path
) -> None:
    assert (
        call("run", "x", "--command", "sh -c 'echo new > made.txt'", "--run-id", "one", cwd=project).status
        == 0
    )
    kept = git(project, "rev-parse", "refs/orchestrator/runs/one")
    shutil.copytree(project, tmp_path / "kept", symlinks=True)
    bundle, effects = tmp_path / "all.bundle", 0
    while _cut_off(lambda: call("deinit", "--export", str(bundle), cwd=project), effects):
        was_gone = not (project / ".orchestrator").exists()
        answer = call("deinit", "--export", str(bundle), cwd=project)

        assert answer.status == (2 if was_gone else 0), answer.err
        assert not (project / ".orchestrator").exists(), effects
        assert git(project, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
        assert f"{kept} refs/orchestrator/runs/one" in git(project, "bundle", "list-heads", str(bundle))
        assert [path.name for path in tmp_path.glob(".tmp-*")] == []
        bundle.unlink()
        shutil.rmtree(project)
        shutil.copytree(tmp_path / "kept", project, symlinks=True)
        effects += 4
    assert effects > 20

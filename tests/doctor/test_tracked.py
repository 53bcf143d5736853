"""What git tracks, and what else the full `doctor` looks at once: bounded, offline, by place alone."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.doctor.checks import tracked
from orchestrator.doctor.diagnosis import Status
from orchestrator.doctor.secrets import Bounds, search
from orchestrator.doctor.windows_names import reason_against, troubles
from orchestrator.paths import OrchestratorPaths
from tests.conftest import GitCall
from tests.doctor.conftest import Ask, front
from tests.engine.scene import Scene

ENOUGH = Bounds()
# Put together here, so that no scanner takes this file for a leak.
SECRETS = (
    "sk-" + "proj-" + "0123456789abcdef" * 3,
    "sk-" + "ant-api03-0123456789abcdef",
    "AKIA" + "Q3EGRZ7ABCDEFGH2",
    "ghp_" + "0" * 36,
    "github" + "_pat_" + "0" * 60,
    "glpat" + "-" + "0" * 20,
    "xoxb" + "-0123456789-0123456789",
    "AIza" + "0" * 35,
    "sk" + "_live_" + "0" * 24,
    "npm" + "_" + "0" * 36,
    "pypi-" + "AgEI" + "0" * 60,
    "hf" + "_" + "0" * 34,
    "SG" + "." + "0" * 22 + "." + "0" * 43,
    "-----BEGIN " + "OPENSSH PRIVATE KEY-----\n" + "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU" * 2,
    "-----BEGIN "
    + "PGP PRIVATE KEY BLOCK-----\n\n"
    + "lQOYBGWabc123" * 5
    + "\n-----END "
    + "PGP PRIVATE KEY BLOCK-----",
    "PuTTY-User-Key" + "-File-2: ssh-rsa",
    "AGE-SECRET" + "-KEY-1" + "Q" * 58,
)
INNOCENT = (
    "disk-usage-of-every-run-and-kind",
    "sk-loading-spinner-container",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp_short",
    "-----BEGIN PUBLIC KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "postgres://user:password@localhost/test",
    "the PRIVATE KEY of a user",
)


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:6])
def test_each_known_shape_is_found_by_line(tmp_path: Path, secret: str) -> None:
    (tmp_path / "a.txt").write_text(f"one\ntwo\nkey = '{secret}'\n")

    assert search(str(tmp_path), ["a.txt"], ENOUGH).places == ["a.txt:3"]


@pytest.mark.parametrize("text", INNOCENT)
def test_what_only_resembles_one_is_not(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)

    assert search(str(tmp_path), ["a.txt"], ENOUGH).places == []


@pytest.mark.parametrize("name", ["id_rsa", "keys/id_ed25519", "a.p12", "Store.JKS", ".netrc", ".env"])
def test_telling_names_are_told_without_a_line(tmp_path: Path, name: str) -> None:
    assert search(str(tmp_path), [name, f"{name}.pub"], ENOUGH).places == [name]


def test_binary_files_links_and_pipes_are_not_looked_into(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_text(SECRETS[0])
    place = tmp_path / "place"
    place.mkdir()
    (place / "binary").write_bytes(b"\0" + SECRETS[0].encode())
    (place / "link").symlink_to(outside / "key")
    (place / "directory").symlink_to(outside)
    os.mkfifo(place / "pipe")

    found = search(str(place), ["binary", "link", "directory/key", "pipe", "gone"], ENOUGH)

    assert (found.places, found.files, found.cut_short) == ([], 5, "")


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        (Bounds(files=2), "after 2 files"),
        (Bounds(total_bytes=1), "after 0 MiB"),
        (Bounds(time_s=-1), "after -1 s"),
    ],
)
def test_every_bound_cuts_the_search_short_and_is_told(tmp_path: Path, bounds: Bounds, why: str) -> None:
    for number in range(4):
        (tmp_path / f"{number}").write_text("text")

    found = search(str(tmp_path), [str(number) for number in range(4)], bounds)

    assert found.cut_short == why
    assert found.files < 4


def test_a_check_that_was_cut_short_says_so_and_does_not_say_that_all_is_well(
    repository: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # patched: as many files as the real bound allows would take minutes to make
    monkeypatch.setattr(tracked, "BOUNDS", Bounds(files=1, file_bytes=3))

    found = ask("repository-secrets")

    assert found.summary == "Nothing that was looked at holds what looks like a secret."
    assert found.evidence == (
        "1 large file: the beginning alone",
        "cut short after 1 files: 1 of 2 files looked at",
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("con", "device"),
        ("NUL.txt", "device"),
        ("com1.tar.gz", "device"),
        ("lpt²", "device"),
        ("aux .c", "device"),
        ("trailing.", "dot or a blank"),
        ("trailing ", "dot or a blank"),
        ("a:b", "':'"),
        ('what?"', "'\"' '?'"),
        ("back\\slash", "holds"),
        ("line\nfeed", "holds"),
    ],
)
def test_names_that_windows_cannot_hold_have_a_reason(name: str, reason: str) -> None:
    assert reason in reason_against(name)


@pytest.mark.parametrize("name", ["console", "com10", "nullable.txt", ".con", "a b", "naïve", "com0"])
def test_other_names_have_none(name: str) -> None:
    assert reason_against(name) == ""


def test_names_that_differ_in_case_alone_are_told_once_also_for_directories() -> None:
    found = list(troubles(["src/a.py", "Src/b.py", "Src/c.py", "README", "readme", "src/A.py"]))

    assert found == [
        "Src: differs from src in case alone",
        "Src: differs from src in case alone",
        "readme: differs from README in case alone",
        "src/A.py: differs from src/a.py in case alone",
    ]


def test_tracked_and_kept_names_are_looked_at_and_agents_trees_are_not(
    finished: Scene, git: GitCall, ask: Ask
) -> None:
    assert ask("repository-names").status is Status.OK
    (finished.root / "aux.c").write_text("")
    (finished.root / "untracked:file").write_text("")
    git(finished.root, "add", "aux.c")
    (finished.root / ".orchestrator/artifacts/nul").mkdir()
    (finished.root / ".orchestrator/worktrees/con").mkdir()

    found = ask("repository-names")

    assert found.status is Status.WARN
    assert found.evidence == (
        "aux.c: is the name of a device",
        ".orchestrator/artifacts/nul: is the name of a device",
    )


def test_neither_is_part_of_a_quick_look(repository: Path) -> None:
    done = front(repository, "--quick", "--json")

    assert "repository-secrets" not in done.out
    assert "repository-names" not in done.out


def test_events_and_operations_of_a_run_that_is_gone_are_told(finished: Scene, ask: Ask) -> None:
    assert ask("state-orphans").status is Status.OK
    with closing(sqlite3.connect(OrchestratorPaths(finished.root).state_file)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DELETE FROM runs")
        connection.commit()

    found = ask("state-orphans")

    assert found.status is Status.WARN
    assert found.evidence[0].startswith("events: ")
    assert found.evidence[0].endswith(" of run run-1")


def test_what_each_run_holds_is_told_by_category(finished: Scene, ask: Ask) -> None:
    (finished.root / ".orchestrator/artifacts/run-1/big").write_bytes(b"x" * 3_000_000)

    [line] = ask("disk-runs").evidence

    assert line.startswith("run-1: 2.9 MiB (artifacts 2.9 MiB, manifest ")


def test_a_file_system_without_links_is_told(repository: Path, git: GitCall, ask: Ask) -> None:
    assert ask("file-system-links").status is Status.OK
    git(repository, "config", "core.symlinks", "false")

    assert ask("file-system-links").status is Status.WARN


def test_a_clock_behind_the_newest_commit_is_told(
    repository: Path, git: GitCall, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask("environment-clock").status is Status.OK
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2099-01-01T00:00:00Z")
    git(repository, "commit", "-q", "--allow-empty", "-m", "from the future")
    monkeypatch.delenv("GIT_COMMITTER_DATE")

    assert ask("environment-clock").status is Status.WARN

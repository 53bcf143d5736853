"""What a remote or a file says is the word of strangers: nothing of it runs, climbs or grows unasked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GitCall
from tests.sessions.machines import Machine, Machines, until
from tests.sessions.test_bundle import snapshot


def interrupted(machines: Machines) -> None:
    """Leaves a run at the remote that was broken off half way."""
    machines.hold(0)
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    working = a.start(*machines.run_words("r1", 1))
    until(lambda: "half-0.txt" in machines.saved_files(), process=working)
    a.die(working)
    machines.let_go(0)


def test_a_restored_run_does_not_run_what_nobody_approved(machines: Machines) -> None:
    interrupted(machines)
    b = machines.clone("b")
    b.call("init", "--trust")

    refused = b.call("resume", "r1", status=2)
    b.call("resume", "r1", "--trust")

    assert "error[not-trusted]: Run r1 came from elsewhere" in refused.stderr
    assert "agent.py" in refused.stderr
    assert machines.calls() == ["0 new", "0 again"]


def test_a_fresh_clone_trusts_nothing_by_itself(machines: Machines) -> None:
    interrupted(machines)
    b = machines.clone("b")

    refused = b.call("resume", status=2)

    assert "error[not-trusted]" in refused.stderr
    assert machines.calls() == ["0 new"]


def rewritten(machines: Machines, git: GitCall, change: Any) -> None:
    """Replaces the newest save at the remote by one that somebody tampered with."""
    (ref,) = machines.saves()
    place = machines.root / "forger"
    git(machines.root, "clone", "-q", str(machines.remote), str(place))
    git(place, "fetch", "-q", "origin", f"{ref}:refs/heads/forged")
    git(place, "checkout", "-q", "forged")
    change(place)
    git(place, "add", "-A")
    git(place, "commit", "-q", "--amend", "--no-edit")
    git(place, "push", "-q", "--force", "origin", f"HEAD:{ref}")


def manifest(place: Path, **facts: object) -> None:
    file = place / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **facts}))


def record(place: Path, old: str, new: str) -> None:
    file = place / "run.json"
    file.write_text(file.read_text().replace(old, new))


FORGERIES = {
    "newer": lambda place: manifest(place, schema_version=2),
    "more-keys": lambda place: manifest(place, surprise=True),
    "other-run": lambda place: manifest(place, run_id="r2"),
    "other-session": lambda place: manifest(place, session="local-000000000000"),
    "foreign-commit": lambda place: manifest(place, checkpoint="1" * 40),
    "climbing-paper": lambda place: manifest(place, files={"r1/../../x": "0" * 64}),
    "paper-elsewhere": lambda place: manifest(place, files={"r2/x.log": "0" * 64}),
    "missing-paper": lambda place: manifest(place, files={"r1/x.log": "0" * 64}),
    "record-of-another": lambda place: record(place, '"id": "r1"', '"id": "r2"'),
    "illegal-status": lambda place: record(place, '"status": "executing"', '"status": "dancing"'),
    "no-record": lambda place: (place / "run.json").write_text("[]"),
    "unknown-event": lambda place: (place / "events.jsonl").write_text(
        '{"at": "2026-01-01T00:00:00+00:00", "kind": "run.exploded", "data": {}}\n'
    ),
    "oversized": lambda place: (place / "manifest.json").write_text(" " * (2 << 20)),
}


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns where the first test leaves a remote with a run that was broken off, for those after it."""
    return tmp_path_factory.mktemp("saved") / "remote.git"


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_save_is_told_and_brings_no_run(
    machines: Machines, git: GitCall, broken_off: Path, name: str
) -> None:
    if not broken_off.exists():
        interrupted(machines)
        shutil.copytree(machines.remote, broken_off)
    shutil.rmtree(machines.remote)
    shutil.copytree(broken_off, machines.remote)
    rewritten(machines, git, FORGERIES[name])
    b = machines.clone("b")
    b.call("init", "--trust")
    refs = git(b.place, "for-each-ref", "refs/orchestrator", "refs/heads/orchestrator")

    done = b.call("sessions", "restore", status=None)

    assert "warning:" in done.stderr or "error[" in done.stderr
    assert "r1" not in b.call("status").stdout
    assert not list(machines.root.rglob("x.log"))
    left = git(b.place, "for-each-ref", "--format=%(refname)", "refs/orchestrator").splitlines()
    assert refs == ""
    assert left == []


def test_names_at_the_remote_cannot_climb(machines: Machines, git: GitCall) -> None:
    head = git(machines.remote, "rev-parse", "main")
    for name in ("refs/orchestrator/sessions/a/b/c", "refs/orchestrator/sessions/-x/r1"):
        git(machines.remote, "update-ref", name, head)
    b = machines.clone("b")
    before = snapshot(b.place)

    done = b.call("sessions", "restore", status=2)

    assert "error[nothing-saved]" in done.stderr
    assert snapshot(b.place) == before


def test_a_session_id_that_would_climb_is_refused(machines: Machines) -> None:
    b = machines.clone("b")
    before = snapshot(b.place)

    done = b.call("sessions", "restore", "../../x", status=2)

    assert "error[session-id-invalid]" in done.stderr
    assert snapshot(b.place) == before


def test_a_session_that_nobody_saved_is_told(machines: Machines) -> None:
    b = machines.clone("b")

    done = b.call("sessions", "restore", "codespaces-1-2", status=2)

    assert "Nothing that can be used was saved of session codespaces-1-2" in done.stderr


def test_without_a_remote_there_is_nothing_to_restore(machines: Machines, git: GitCall) -> None:
    place = machines.root / "alone"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")

    done = Machine(machines, place).call("sessions", "restore", status=2)

    assert "error[remote-unknown]" in done.stderr


def test_an_address_in_the_configuration_is_not_asked_before_the_user_agreed(
    machines: Machines, git: GitCall
) -> None:
    b = machines.clone("b")
    elsewhere = machines.root / "elsewhere.git"
    (b.place / ".orchestrator" / "workflow.yaml").write_text(
        f"version: 1\nsession: {{remote: '{elsewhere}', push: true}}\n"
    )

    done = b.call("sessions", "restore", status=2)

    assert "error[remote-not-agreed]" in done.stderr


def test_a_forged_event_takes_no_other_file_of_this_machine_along(
    machines: Machines, git: GitCall, tmp_path: Path
) -> None:
    interrupted(machines)
    (tmp_path / "private.txt").write_text("only mine\n")
    b = machines.clone("b")
    b.call("init", "--trust", "--push-state")
    clone = json.loads((b.place / ".orchestrator" / "clone.json").read_text())["id"]
    event = {"run_seq": 99, "at": "2026-01-01T00:00:00Z", "kind": "artifact.added"}
    event["data"] = {"path": "../../../private.txt"}

    def forge(place: Path) -> None:
        said = json.loads((place / "manifest.json").read_text())
        (place / "manifest.json").write_text(json.dumps({**said, "holder": clone, "events_through": 0}))
        with open(place / "events.jsonl", "a") as events:
            events.write(f"{json.dumps(event)}\n")

    rewritten(machines, git, forge)
    b.call("sessions", "restore")

    b.call("bundle", "export", "r1", str(tmp_path / "r1.bundle"))
    b.call("resume", "r1", "--trust")

    assert b"only mine" not in (tmp_path / "r1.bundle").read_bytes()
    assert "only mine" not in git(machines.remote, "cat-file", "--batch-all-objects", "--batch")

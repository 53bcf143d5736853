"""With `artifacts.encrypt` what is saved elsewhere and what a bundle holds is ciphertext that still opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.secretstore import age
from tests.conftest import GitCall
from tests.sessions.machines import Machine, Machines, kill, until

if not age.is_installed():
    pytest.skip("the extra `secrets` is not installed", allow_module_level=True)

SPOKEN = b"half way"


def plain(home: Path, place: Path) -> dict[str, bytes]:
    """Returns the papers of the run in a clone, opened with the key that was made on the way."""
    (key,) = home.rglob("age-identity.txt")
    identities = age.read_identities(key.read_bytes(), "the key")
    found = (place / ".orchestrator" / "artifacts" / "r1").glob("*.age")
    return {path.name: age.decrypt(path.read_bytes(), identities, path.name) for path in found}


def encrypting(machines: Machines, name: str) -> Machine:
    """Returns a machine that encrypts what it keeps."""
    machine = machines.clone(name)
    machine.call("init", "--trust", "--push-state")
    (machine.place / ".orchestrator" / "workflow.local.yaml").write_text("artifacts: {encrypt: true}\n")
    return machine


def test_a_run_with_encrypted_papers_goes_on_elsewhere_from_a_remote_and_from_a_bundle(
    machines: Machines, git: GitCall, home: Path, tmp_path: Path
) -> None:
    a = encrypting(machines, "a")
    machines.hold(1)
    working = a.start(*machines.run_words("r1", 2), "--trust")
    until(lambda: "half-1.txt" in machines.saved_files(), process=working)
    kill(working)
    a.call("bundle", "export", "r1", str(tmp_path / "r1.bundle"))
    ours = plain(home, a.place)
    machines.let_go(1)
    b, c = machines.clone("b"), machines.clone("c")

    b.call("resume", "--trust")
    c.call("bundle", "import", str(tmp_path / "r1.bundle"))

    papers = git(machines.remote, "rev-list", "--objects", "--all").splitlines()
    saved = [line.split()[0] for line in papers if " files/" in line]
    assert ours
    assert any(SPOKEN in text for text in ours.values())
    assert saved
    assert all(git(machines.remote, "cat-file", "blob", oid).startswith("-----BEGIN AGE") for oid in saved)
    assert {name: plain(home, c.place)[name] for name in ours} == ours
    theirs = plain(home, b.place)
    assert {name: theirs[name] for name in ours} == ours
    assert len(theirs) > len(ours)
    left = [path.name for path in (b.place / ".orchestrator" / "artifacts" / "r1").iterdir()]
    assert [name for name in left if not name.endswith(".age")] == []
    b.call("merge", "r1", "--trust")

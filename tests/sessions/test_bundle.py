"""A bundle continues anywhere; one that was tampered with changes nothing at all."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GitCall
from tests.sessions.machines import Machine, Machines

Members = dict[str, bytes]
Change = Callable[[Members, dict[str, Any]], None]


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    """Returns where the bytes of one exported run are remembered: making it takes seconds."""
    return {}


@pytest.fixture
def bundle(machines: Machines, made: dict[str, bytes], tmp_path: Path) -> Path:
    """Returns the bundle of a completed run."""
    file = tmp_path / "r1.bundle"
    if "r1" not in made:
        a = machines.clone("a")
        a.call("init", "--trust")
        a.call(*machines.run_words("r1", 1))
        a.call("bundle", "export", "r1", str(file))
        made["r1"] = file.read_bytes()
    file.write_bytes(made["r1"])
    return file


def snapshot(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def read(file: Path) -> Members:
    with tarfile.open(file) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]


def write(file: Path, members: Members) -> None:
    with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def relist(members: Members, said: dict[str, Any], name: str, data: bytes) -> None:
    members[name] = data
    said["members"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def newer(members: Members, said: dict[str, Any]) -> None:
    said["schema_version"] = 2


def wrong_hash(members: Members, said: dict[str, Any]) -> None:
    members["run.json"] = members["run.json"].replace(b"task", b"tusk")


def other_record(members: Members, said: dict[str, Any]) -> None:
    relist(members, said, "run.json", members["run.json"].replace(b'"task"', b'"tusk"'))


def other_task(members: Members, said: dict[str, Any]) -> None:
    relist(members, said, "run.json", members["run.json"].replace(b'"task": "task"', b'"task": "evil"'))


def climbs(members: Members, said: dict[str, Any]) -> None:
    relist(members, said, "artifacts/r1/../../../../../evil", b"evil")


def absolute(members: Members, said: dict[str, Any]) -> None:
    relist(members, said, "/tmp/evil", b"evil")


def of_another_run(members: Members, said: dict[str, Any]) -> None:
    relist(members, said, "artifacts/r2/x.log", b"evil")


def not_listed(members: Members, said: dict[str, Any]) -> None:
    members["artifacts/r1/more.log"] = b"more"


def one_missing(members: Members, said: dict[str, Any]) -> None:
    del members["events.jsonl"]


def oversized(members: Members, said: dict[str, Any]) -> None:
    said["members"]["run.json"]["size_bytes"] = 1 << 40


def broken_git(members: Members, said: dict[str, Any]) -> None:
    relist(members, said, "run.bundle", members["run.bundle"][:-100])


def other_commit(members: Members, said: dict[str, Any]) -> None:
    said["commit"] = "0" * 40


def other_session(members: Members, said: dict[str, Any]) -> None:
    said["session"] = "../../elsewhere"


CHANGES = (
    (newer, "bundle-newer"),
    (wrong_hash, "bundle-invalid"),
    (other_record, "document-invalid"),
    (other_task, "bundle-invalid"),
    (climbs, "bundle-invalid"),
    (absolute, "bundle-invalid"),
    (of_another_run, "bundle-invalid"),
    (not_listed, "bundle-invalid"),
    (one_missing, "bundle-invalid"),
    (oversized, "bundle-invalid"),
    (broken_git, "bundle-invalid"),
    (other_commit, "bundle-invalid"),
    (other_session, "bundle-invalid"),
)


@pytest.mark.parametrize(("change", "code"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_a_bundle_that_was_tampered_with_changes_nothing(
    machines: Machines, bundle: Path, change: Change, code: str
) -> None:
    members = read(bundle)
    said = json.loads(members.pop("bundle.json"))
    change(members, said)
    write(bundle, {"bundle.json": json.dumps(said).encode(), **members})
    b = machines.clone("b")
    before = snapshot(b.place)

    done = b.call("bundle", "import", str(bundle), status=2)

    assert f"error[{code}]" in done.stderr
    assert snapshot(b.place) == before
    assert not (machines.root / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\0" * 20_000], ids=["empty", "text", "zeros"])
def test_what_is_no_bundle_changes_nothing(machines: Machines, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(content)
    b = machines.clone("b")
    before = snapshot(b.place)

    done = b.call("bundle", "import", str(file), status=2)

    assert "error[bundle-invalid]" in done.stderr
    assert snapshot(b.place) == before


def test_a_link_in_a_bundle_is_refused(machines: Machines, bundle: Path) -> None:
    members = read(bundle)
    with tarfile.open(bundle, "w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo("bundle.json")
        entry.size = len(members["bundle.json"])
        archive.addfile(entry, io.BytesIO(members["bundle.json"]))
        link = tarfile.TarInfo("run.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)

    done = machines.clone("b").call("bundle", "import", str(bundle), status=2)

    assert "is no plain file" in done.stderr


def test_a_bundle_goes_into_a_repository_that_shares_nothing(
    machines: Machines, bundle: Path, git: GitCall, tmp_path: Path
) -> None:
    place = tmp_path / "alone"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    alone = Machine(machines, place)

    done = alone.call("bundle", "import", str(bundle))
    again = alone.call("bundle", "import", str(bundle))

    assert "imported run r1 (completed)" in done.stdout
    assert "Look at it with: orchestrator diff r1" in done.stderr
    assert "has everything in it already" in again.stdout
    assert git(place, "show", "orchestrator/r1:done-0.txt") == "half\nhalf"
    assert "half way" in alone.call("log", "r1").stdout
    assert not list(place.glob(".git/FETCH_HEAD"))
    alone.call("doctor", status=None)


def test_an_export_never_overwrites_and_a_missing_run_is_told(machines: Machines, bundle: Path) -> None:
    b = machines.clone("b")
    b.call("bundle", "import", str(bundle))

    taken = b.call("bundle", "export", "r1", str(bundle), status=2)
    unknown = b.call("bundle", "export", "r9", str(bundle) + "2", status=2)

    assert "error[export-exists]" in taken.stderr
    assert "hint: Name another file: orchestrator bundle export r1 FILE" in taken.stderr
    assert "error[unknown-run]" in unknown.stderr


def test_a_file_that_is_not_there_is_told_as_such(machines: Machines) -> None:
    told = machines.clone("b").call("bundle", "import", "nowhere.bundle", status=2).stderr

    assert "error[bundle-missing]: There is no file " in told
    assert "hint: Export a run where it is: orchestrator bundle export RUN FILE" in told


def test_papers_come_along(machines: Machines, bundle: Path) -> None:
    b = machines.clone("b")

    b.call("bundle", "import", str(bundle))

    papers = sorted((b.place / ".orchestrator" / "artifacts" / "r1").iterdir())
    assert any("half way" in path.read_text() for path in papers)

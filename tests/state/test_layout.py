from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.errors import DiskFailed, Refused
from orchestrator.fs.disk import Disk, StrPath
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.layout import create_layout, planned_names, rebuild_layout, require_ours
from orchestrator.state.ownership import Ownership, is_remains, read_ownership


def made(directory: Path, *, private: bool = False) -> OrchestratorPaths:
    paths = OrchestratorPaths(directory)
    create_layout(paths, Disk(), private=private, workflow_yaml=b"version: 1\n")
    return paths


def code_of(paths: OrchestratorPaths) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        require_ours(paths)
    return refused.value.code, refused.value.hint


def test_what_is_made_is_what_was_planned_and_a_second_time_makes_nothing(tmp_path: Path) -> None:
    paths = OrchestratorPaths(tmp_path)

    first = create_layout(paths, Disk(), private=False, workflow_yaml=b"version: 1\n")
    before = {p: p.stat().st_mtime_ns for p in paths.orchestrator_dir.rglob("*")}
    second = create_layout(paths, Disk(), private=False, workflow_yaml=b"other\n")

    assert first == planned_names(with_workflow=True)
    assert second == ()
    assert {p: p.stat().st_mtime_ns for p in paths.orchestrator_dir.rglob("*")} == before
    assert paths.orchestrator_dir.stat().st_mode & 0o777 == 0o700


def test_a_layout_of_ours_is_recognised_with_its_id(tmp_path: Path) -> None:
    paths = made(tmp_path)

    layout = require_ours(paths)

    assert read_ownership(os.fspath(paths.orchestrator_dir)) is Ownership.OURS
    assert len(layout.repo_id) == 32


def test_a_clone_that_holds_only_what_is_committed_is_ours_but_not_initialised(tmp_path: Path) -> None:
    paths = made(tmp_path)
    for entry in paths.orchestrator_dir.iterdir():
        if entry.is_dir():
            entry.rmdir()

    assert code_of(paths) == ("not-initialised", "orchestrator init")
    paths.layout_file.unlink()
    assert read_ownership(os.fspath(paths.orchestrator_dir)) is Ownership.CLONE


def test_an_unfinished_init_is_finished_by_the_next(tmp_path: Path) -> None:
    paths = made(tmp_path)
    paths.layout_file.unlink()

    assert read_ownership(os.fspath(paths.orchestrator_dir)) is Ownership.CLONE
    assert create_layout(paths, Disk(), private=False, workflow_yaml=None) == ("layout.json",)


@pytest.mark.parametrize(
    ("text", "ownership", "code"),
    [
        ({"tool": "orchestrator", "layout_version": 99, "repo_id": "x"}, Ownership.NEWER, "layout-newer"),
        ({"tool": "another", "layout_version": 1, "repo_id": "x"}, Ownership.FOREIGN, "foreign-directory"),
        ({"tool": "orchestrator", "layout_version": "1"}, Ownership.FOREIGN, "foreign-directory"),
        ([1], Ownership.FOREIGN, "foreign-directory"),
    ],
)
def test_what_somebody_else_or_a_newer_version_made_is_never_adopted(
    tmp_path: Path, text: object, ownership: Ownership, code: str
) -> None:
    paths = made(tmp_path)
    (paths.orchestrator_dir / "theirs").write_text("x")
    paths.layout_file.write_text(json.dumps(text))

    assert read_ownership(os.fspath(paths.orchestrator_dir)) is ownership
    assert code_of(paths)[0] == code
    with pytest.raises(Refused):
        create_layout(paths, Disk(), private=False, workflow_yaml=None)
    with pytest.raises(Refused):
        rebuild_layout(paths, Disk(), repo_id="y", workflow_yaml=None)


def test_a_link_or_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("linked", "plain"):
        (tmp_path / name).mkdir()
    (tmp_path / "linked" / ".orchestrator").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "plain" / ".orchestrator").write_text("a file")

    for name in ("linked", "plain"):
        assert code_of(OrchestratorPaths(tmp_path / name))[0] == "unsafe-directory"
    assert not is_remains(os.fspath(tmp_path / "linked" / ".orchestrator"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_removed_directory_whose_checkpoints_are_left_is_to_be_recovered(tmp_path: Path) -> None:
    (tmp_path / ".git" / "refs" / "orchestrator" / "runs").mkdir(parents=True)
    assert code_of(OrchestratorPaths(tmp_path))[1] == "orchestrator init"

    (tmp_path / ".git" / "refs" / "orchestrator" / "runs" / "one").write_text("0" * 40)

    assert "doctor --recover" in code_of(OrchestratorPaths(tmp_path))[1]


def test_a_directory_named_like_our_mark_marks_nothing(tmp_path: Path) -> None:
    paths = OrchestratorPaths(tmp_path)
    (paths.layout_file / "inside").mkdir(parents=True)
    (paths.orchestrator_dir / "theirs").write_text("x")

    assert read_ownership(os.fspath(paths.orchestrator_dir)) is Ownership.FOREIGN


@pytest.mark.parametrize(
    ("record", "expected"), [("m-1/plan.json", Ownership.CLONE), ("0001_initial.sql", Ownership.FOREIGN)]
)
def test_the_record_of_a_migration_taken_back_does_not_make_it_foreign(
    tmp_path: Path, record: str, expected: Ownership
) -> None:
    directory = tmp_path / ".orchestrator"
    (directory / "migrations" / record).parent.mkdir(parents=True)
    (directory / "migrations" / record).write_text("{}")
    (directory / "locks").mkdir()

    assert read_ownership(os.fspath(directory)) is expected


class FullDisk(Disk):
    """Has room for a directory, and for nothing in it."""

    def write(self, path: StrPath, data: bytes, *, mode: int = 0o600, modified_ns: int | None = None) -> None:
        raise DiskFailed(path=str(path), reason="no space left on device")


def test_a_full_disk_keeps_no_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(DiskFailed):
        create_layout(OrchestratorPaths(tmp_path), FullDisk(), private=False, workflow_yaml=None)

    assert list(tmp_path.iterdir()) == []


def test_the_private_form_ignores_everything(tmp_path: Path) -> None:
    paths = made(tmp_path, private=True)

    assert paths.ignore_file.read_text().splitlines()[-1] == "*"


def test_remains_without_their_mark_are_rebuilt_with_the_known_id(tmp_path: Path) -> None:
    paths = made(tmp_path)
    paths.layout_file.unlink()
    (paths.checkpoints_dir / "run.json").write_text("{}")

    rebuilt = rebuild_layout(paths, Disk(), repo_id="a" * 32, workflow_yaml=None)

    assert rebuilt == ("layout.json",)
    assert require_ours(paths).repo_id == "a" * 32

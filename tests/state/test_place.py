from __future__ import annotations

from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.place import notice_place

HERE, ELSEWHERE = (1, 10), (1, 99)


def paths_in(directory: Path) -> OrchestratorPaths:
    paths = OrchestratorPaths(directory)
    paths.orchestrator_dir.mkdir(parents=True, exist_ok=True)
    return paths


def test_a_first_look_and_every_later_one_say_nothing(tmp_path: Path) -> None:
    paths = paths_in(tmp_path / "repo")

    assert notice_place(paths, Disk(), HERE) == ()
    assert notice_place(paths, Disk(), HERE) == ()


def test_a_moved_repository_keeps_its_git_directory_and_is_no_copy(tmp_path: Path) -> None:
    notice_place(paths_in(tmp_path / "repo"), Disk(), HERE)

    (tmp_path / "repo").rename(tmp_path / "moved")

    assert notice_place(paths_in(tmp_path / "moved"), Disk(), HERE) == ()


def test_a_copy_is_told_once(tmp_path: Path) -> None:
    paths = paths_in(tmp_path / "repo")
    notice_place(paths, Disk(), HERE)

    [told] = notice_place(paths, Disk(), ELSEWHERE)

    assert str(tmp_path / "repo") in told
    assert notice_place(paths, Disk(), ELSEWHERE) == ()


def test_a_record_that_is_no_json_or_a_link_counts_as_none(tmp_path: Path) -> None:
    paths = paths_in(tmp_path / "repo")
    record = paths.orchestrator_dir / "place.json"

    for text in ("{", "[1]"):
        record.write_text(text)
        assert notice_place(paths, Disk(), HERE) == ()

    victim = tmp_path / "victim"
    victim.write_text("precious")
    record.unlink()
    record.symlink_to(victim)
    assert notice_place(paths, Disk(), ELSEWHERE) == ()
    assert victim.read_text() == "precious"

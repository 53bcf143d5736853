from __future__ import annotations

from pathlib import Path

from orchestrator.fs.disk import Disk


def test_a_written_file_holds_the_data_under_the_mode_asked_for(tmp_path: Path) -> None:
    Disk().write(tmp_path / "f", b"data", mode=0o644)

    assert (tmp_path / "f").read_bytes() == b"data"
    assert (tmp_path / "f").stat().st_mode & 0o7777 == 0o644


def test_a_deep_tree_is_removed(tmp_path: Path) -> None:
    place = tmp_path / "t"
    for _ in range(100):
        place = place / "d"
    place.mkdir(parents=True)

    Disk().remove_tree(tmp_path / "t")

    assert not (tmp_path / "t").exists()

"""Files that their agent made unreadable are read all the same, and keep their modes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from orchestrator.repo.permissions import Opened


def mode(path: Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_what_is_closed_is_opened_and_closed_again_but_links_and_git_stay_as_they_are(tmp_path: Path) -> None:
    closed, file = tmp_path / "closed", tmp_path / "closed" / "file"
    closed.mkdir()
    file.write_text("text")
    (tmp_path / "link").symlink_to("closed/file")
    os.mkfifo(tmp_path / "pipe", 0o200)
    inside = tmp_path / ".git" / "hidden"
    inside.parent.mkdir()
    inside.write_text("")
    for path, bits in ((inside, 0o000), (file, 0o000), (closed, 0o500)):
        path.chmod(bits)
    opened = Opened()

    opened.open_root(tmp_path)
    opened.open_all(tmp_path)
    while_open = (mode(closed), mode(file), mode(tmp_path / "pipe"), mode(inside))
    opened.restore()

    assert while_open == (0o700, 0o400, 0o200, 0o000)
    assert (mode(closed), mode(file)) == (0o500, 0o000)


def test_what_went_away_meanwhile_stops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    file.chmod(0o000)
    opened = Opened()
    opened.open_all(tmp_path)
    file.unlink()

    opened.restore()

    assert list(tmp_path.iterdir()) == []

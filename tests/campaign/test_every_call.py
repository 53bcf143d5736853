"""`init` and `deinit` killed, or refused by the kernel, at every system call that changes something."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign.scene import Scene
from tests.conftest import GitCall

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="strace is for Linux"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

CALLS = ("rename", "unlink", "unlinkat", "mkdir", "rmdir", "fsync", "fdatasync", "chmod", "link")
MODES = ("signal=SIGKILL", "error=EIO", "error=ENOSPC")


def traced(scene: Scene, words: tuple[str, ...], log: Path, *rule: str) -> subprocess.CompletedProcess[str]:
    """Runs the command under strace, with a fault injected when a rule is given."""
    trace = ["-e", "trace=" + ",".join(f"?{name}" for name in CALLS)]
    return subprocess.run(
        ["strace", "-f", "-q", "-o", str(log), *trace, *rule, *scene.words(*words)],
        cwd=scene.place,
        env=scene.environment(),
        capture_output=True,
        text=True,
    )


def points(log: Path) -> list[tuple[str, int]]:
    """Returns (name, ordinal in its task) of every call that was made, as strace counts them."""
    count: dict[tuple[str, str], int] = {}
    found = set()
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(\d+)\s+(\w+)\(", line)
        if match and match[2] in CALLS:
            key = (match[1], match[2])
            count[key] = count.get(key, 0) + 1
            found.add((match[2], count[key]))
    return sorted(found)


def is_able(log: Path) -> bool:
    return subprocess.run(["strace", "-o", str(log), "true"], capture_output=True).returncode == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("command", [("init", "--trust"), ("deinit", "--export", "../all.bundle")])
def test_the_same_command_finishes_and_nothing_is_left(
    repository: Path, git: GitCall, tmp_path: Path, command: tuple[str, ...], mode: str
) -> None:
    log, pristine = tmp_path / "trace", tmp_path / "pristine"
    if not is_able(log):
        pytest.skip("processes cannot be traced here")
    shutil.copytree(repository, pristine / "repo", symlinks=True)
    if command[0] == "deinit":
        scene = Scene(pristine / "repo", git)
        scene.initialise()
        assert scene.call("run", "x", "--run-id", "one", "--command", "touch last.txt").returncode == 0
    stage = tmp_path / "stage"
    shutil.copytree(pristine, stage, symlinks=True)
    scene = Scene(stage / "repo", git)
    users = scene.of_the_user()
    assert traced(scene, command, log).returncode == 0

    for name, ordinal in points(log):
        shutil.rmtree(stage)
        shutil.copytree(pristine, stage, symlinks=True)
        traced(scene, command, log, "-e", f"inject={name}:{mode}:when={ordinal}")
        again = scene.call(*command)
        gone = not (scene.place / ".orchestrator").exists()
        assert again.returncode == 0 or (command[0] == "deinit" and gone), (name, ordinal, again.stderr)
        if command[0] == "init":
            assert scene.call("deinit").returncode == 0, (name, ordinal)
        assert not (scene.place / ".orchestrator").exists(), (name, ordinal)
        assert scene.of_the_user() == users, (name, ordinal)
        assert git(scene.place, "for-each-ref", "--format=%(refname)") == "refs/heads/main"

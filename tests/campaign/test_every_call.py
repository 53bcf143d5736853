"""`init` and `deinit` killed, or refused by the kernel, at every system call that changes something."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.campaign.scene import Scene
from tests.campaign.tracing import broken, points, traced
from tests.conftest import GitCall

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("strace")]

MODES = ("signal=SIGKILL", "error=EIO", "error=ENOSPC")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("command", [("init", "--trust"), ("deinit", "--export", "../all.bundle")])
def test_the_same_command_finishes_and_nothing_is_left(
    repository: Path, git: GitCall, tmp_path: Path, command: tuple[str, ...], mode: str
) -> None:
    log, pristine = tmp_path / "trace", tmp_path / "pristine"
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

    for name, ordinal in points(log, below=stage):
        shutil.rmtree(stage)
        shutil.copytree(pristine, stage, symlinks=True)
        broken(scene, command, log, (name, ordinal), mode)
        again = scene.call(*command)
        gone = not (scene.place / ".orchestrator").exists()
        assert again.returncode == 0 or (command[0] == "deinit" and gone), (name, ordinal, again.stderr)
        if command[0] == "init":
            assert scene.call("deinit").returncode == 0, (name, ordinal)
        assert not (scene.place / ".orchestrator").exists(), (name, ordinal)
        assert scene.of_the_user() == users, (name, ordinal)
        assert git(scene.place, "for-each-ref", "--format=%(refname)") == "refs/heads/main"

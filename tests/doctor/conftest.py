"""Gives the tests of this room the sample repository with runs in it, and snapshots of everything."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.cli.front import main
from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Diagnosis, Status
from orchestrator.doctor.examine import chosen, examine
from tests.conftest import GitCall
from tests.engine.scene import Scene

APPEND = """
from pathlib import Path
Path("app.py").write_text("print(2)\\n")
"""


@pytest.fixture
def scene(repository: Path, tmp_path: Path) -> Scene:
    """Returns the sample repository, initialised, without any check."""
    programs = tmp_path / "programs"
    programs.mkdir()
    made = Scene(repository, programs)
    made.configure("")
    return made


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns where the first test that wants a completed run leaves its repository for those after it."""
    return tmp_path_factory.mktemp("finished") / "repo"


@pytest.fixture
def finished(scene: Scene, master: Path, git: GitCall) -> Scene:
    """Returns a repository with one completed run, `run-1`, that changed app.py."""
    if not master.exists():
        scene.run(run_id="run-1", command=scene.program("append", APPEND))
        shutil.copytree(scene.root, master, symlinks=True)
        (master / ".orchestrator" / "place.json").unlink()  # a copy is not told that it is one
        return scene
    scene.program("append", APPEND)
    shutil.rmtree(scene.root)
    shutil.copytree(master, scene.root, symlinks=True)
    git(scene.root, "status")
    scene.open().close()
    return scene


@pytest.fixture
def context(repository: Path) -> Iterator[Context]:
    """Yields the context of the sample repository; look only after preparing it."""
    made = Context(str(repository), dict(os.environ))
    yield made
    made.close()


Ask = Callable[..., Diagnosis]


@pytest.fixture
def ask(repository: Path) -> Ask:
    """Returns a function that carries out one check, in a context of its own, and returns its answer."""

    def one(check_id: str, *, place: Path = repository, **environment: str) -> Diagnosis:
        context = Context(str(place), {**os.environ, **environment})
        try:
            [answer] = examine(context, chosen(only=check_id))
        finally:
            context.close()
        assert "the check itself failed" not in answer.diagnosis.summary, answer.diagnosis
        if answer.diagnosis.status in (Status.WARN, Status.FAIL):
            assert answer.diagnosis.remedy, "a problem comes with what to do about it"
        return answer.diagnosis

    return one


@dataclass(frozen=True)
class Printed:
    """What one call of the command printed and ended with."""

    status: int
    out: str
    err: str


def front(place: Path, *words: str, command: str = "doctor") -> Printed:
    """Calls `doctor` as the command line does, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["-C", str(place), command, *words])
    return Printed(status, out.getvalue(), err.getvalue())


def snapshot(*places: Path) -> dict[str, tuple[object, ...]]:
    """Returns kind, mode, owner, size, times and content of everything below the places."""
    found: dict[str, tuple[object, ...]] = {}
    for place in places:
        for directory, directories, files in os.walk(place):
            for name in (*directories, *files, "."):
                path = os.path.join(directory, name)
                facts = os.lstat(path)
                content: bytes | str = ""
                if os.path.islink(path):
                    content = os.readlink(path)
                elif os.path.isfile(path):
                    content = Path(path).read_bytes()
                found[path] = (facts.st_mode, facts.st_uid, facts.st_ino, facts.st_mtime_ns, content)
    return found

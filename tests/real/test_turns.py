"""Every agent through our adapters, headless and over ACP: what it does, and what we say of it."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable

import pytest

from orchestrator.model.agent import AgentEvent, Ending, Finished, Opened, Started
from tests.real.agents import REAL
from tests.real.expected import VIAS, expected
from tests.real.scene import Scene, finished
from tests.scripted_model.steps import WRITES_HELLO, Answer, Failure, Script, Shell

_ALL = list(itertools.product(REAL, VIAS))
pytestmark = [
    pytest.mark.agents,
    pytest.mark.parametrize(
        ("name", "via"), [pytest.param(agent.name, via, id=f"{agent.name}-{via}") for agent, via in _ALL]
    ),
]
Told = Callable[[str, object], None]
# Codex writes by its shell, and its rules know plain commands alone.
_TOUCHES_HELLO: Script = (Shell("touch hello.py"), Answer("I wrote hello.py."))
_SAYS = {
    401: "Incorrect API key provided.",
    429: "Rate limit reached for requests.",
    500: "The server had an error while processing your request.",
}
_counter = itertools.count()


def judged(scene: Scene, events: list[AgentEvent], told: Told, *, command: str = "") -> Finished:
    """Asserts how the turn ended, by its last event, and that nothing of it is left running."""
    end = finished(events)
    wanted = expected(scene.agent.name, scene.via, scene.case)
    told("ending", end.ending.value)
    told("cause", end.cause.value)
    told("detail", end.detail)
    assert (end.ending, end.cause) == (wanted.ending, wanted.cause), end.detail
    assert scene.left(command) == []
    return end


def sleeping() -> tuple[Script, str]:
    """Returns a script whose tool sleeps, and the words by which its process is found."""
    command = f"sleep 47.{os.getpid()}{next(_counter)}"
    return (Shell(command), Answer("I slept.")), command


def test_write(scene: Scene, record_property: Told) -> None:
    talk = scene.play(WRITES_HELLO)

    events = scene.take()

    end = judged(scene, events, record_property)
    assert (scene.tree / "hello.py").read_text() == "print('hello')\n"
    assert len(talk.main) == 2
    assert end.answer == "I wrote hello.py."
    assert end.agent_session
    assert [event.agent_session for event in events if isinstance(event, Opened)] == [end.agent_session]
    assert scene.spent(end) == expected_usage(scene)
    assert scene.footprint() == []
    assert scene.state.is_dir()


def expected_usage(scene: Scene) -> tuple[int | None, int | None]:
    # Copilot tells no tokens headless, opencode over ACP those of the last answer alone.
    silent = (scene.agent.name, scene.via) in (("copilot", "headless"), ("opencode", "acp"))
    return (None, None) if silent else (240, 60)


def test_refuse(scene: Scene, record_property: Told) -> None:
    if scene.via == "acp":  # where we are asked, we allow everything but what is outside of the tree
        outside = scene.place / "outside"
        outside.mkdir()
        scene.play(WRITES_HELLO, outside)
    else:
        scene.play(_TOUCHES_HELLO if scene.agent.name == "codex" else WRITES_HELLO)

    events = scene.take(refused=scene.via == "headless")

    judged(scene, events, record_property)
    assert list(scene.place.rglob("hello.py")) == []


def test_resume(scene: Scene, record_property: Told) -> None:
    talk = scene.play(WRITES_HELLO)
    first = finished(scene.take())
    if (scene.agent.name, scene.via) == ("gemini", "acp"):  # it overwrites a session of the same minute
        time.sleep(60.2 - time.time() % 60)

    events = scene.take(prompt="And now?", continues=first.agent_session)

    end = judged(scene, events, record_property)
    assert end.agent_session == first.agent_session
    assert "And now?" in str(talk.main[-1].body)
    assert "Write hello.py that prints hello" in str(talk.main[-1].body)


def failing(scene: Scene, status: int, told: Told) -> None:
    scene.play((Failure(status, _SAYS[status], {"retry-after": "1"}),))

    events = scene.take(timeout_s=75.0)

    judged(scene, events, told)
    assert list(scene.tree.iterdir()) == [scene.tree / ".git"]


def test_unauthorized(scene: Scene, record_property: Told) -> None:
    failing(scene, 401, record_property)


def test_too_many_requests(scene: Scene, record_property: Told) -> None:
    failing(scene, 429, record_property)


def test_server_error(scene: Scene, record_property: Told) -> None:
    failing(scene, 500, record_property)


def test_connection_refused(scene: Scene, record_property: Told) -> None:
    # Copilot 1.0.102 tries again for half a minute, others for ever.
    events = scene.take(timeout_s=40.0 if scene.agent.name == "copilot" else 20.0)

    judged(scene, events, record_property)


def test_cancel(scene: Scene, record_property: Told) -> None:
    script, command = sleeping()
    scene.play(script)

    events = scene.take(watch=lambda started: scene.runs(command))

    judged(scene, events, record_property, command=command)


def test_kill(scene: Scene, record_property: Told) -> None:
    script, command = sleeping()
    scene.play(script)
    killed: list[int] = []

    def kill(started: Started) -> bool:
        if not killed and scene.runs(command):
            killed.append(started.process[0])
            os.kill(started.process[0], signal.SIGKILL)
        return False

    events = scene.take(watch=kill)

    judged(scene, events, record_property, command=command)
    assert killed


def test_limit(scene: Scene, record_property: Told) -> None:
    # Ever different, because gemini 0.61.0 notices when it repeats itself, and ends.
    scene.play(tuple(Shell(f"echo {number}") for number in range(500)))

    in_time = expected(scene.agent.name, scene.via, scene.case).ending is Ending.LIMIT
    events = scene.take(timeout_s=45.0 if in_time else 12.0, max_turns=2)

    judged(scene, events, record_property)

from __future__ import annotations

import asyncio
import json

import pytest

from orchestrator.agents.acp.stream import MAX_UNREAD_BYTES, AgentStream, Message


class Heard:
    """A stream with what came out of it beside the messages for the SDK."""

    def __init__(self) -> None:
        self.updates: list[Message] = []
        self.noise: list[str] = []
        self.stream = AgentStream(self.updates.append, self.noise.append)

    def all(self, *pieces: bytes) -> list[Message]:
        """Returns the messages for the SDK that are in these pieces of output."""
        for piece in (*pieces, b""):
            self.stream.arrived(piece)
        return asyncio.run(self._receive())

    async def _receive(self) -> list[Message]:
        self.stream.attach(asyncio.get_running_loop())
        found = []
        while (message := await self.stream.receive()) is not None:
            found.append(message)
        self.stream.attach(None)
        return found


def line(**message: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


ANSWER = line(id=0, result={"a": "\u00e4"})
UPDATE = line(method="session/update", params={"sessionId": "s", "update": {"sessionUpdate": "x"}})


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_messages_are_the_same_however_the_output_is_cut(size: int) -> None:
    printed = ANSWER + b"\r\n" + UPDATE + ANSWER
    heard = Heard()

    found = heard.all(*(printed[at : at + size] for at in range(0, len(printed), size)))

    assert [message["id"] for message in found] == [0, 0]
    assert heard.updates == [{"sessionUpdate": "x"}]
    assert heard.noise == []


def test_the_last_line_counts_without_its_end() -> None:
    assert len(Heard().all(ANSWER.rstrip())) == 1


def test_requests_for_permission_are_for_the_sdk_and_others_are_refused_at_once() -> None:
    heard = Heard()

    found = heard.all(
        line(id="p", method="session/request_permission", params={}),
        line(id="f", method="fs/write_text_file", params={}),
        line(method="session/unheard_of"),
        line(method="session/update", params=[1]),
    )

    assert [message["id"] for message in found] == ["p"]
    assert heard.stream.wire.waiting_bytes > 0
    assert heard.updates == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello",
        b"[]",
        b"null",
        b"{",
        b'{"id": [1], "result": {}}',
        b'{"id": 1, "error": "text"}',
        b"[" * 100_000,
        b"9" * 5000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_message_is_noise_and_the_next_message_is_heard(garbage: bytes) -> None:
    heard = Heard()

    found = heard.all(garbage + b"\n", ANSWER)

    assert len(found) == 1
    assert len(heard.noise) == 1
    assert len(heard.noise[0]) <= 200
    assert heard.stream.problem == ""


def test_an_agent_that_reads_nothing_of_what_it_is_sent_is_not_listened_to_for_ever() -> None:
    heard = Heard()
    asks = line(id=1, method="fs/read_text_file", params={})
    heard.stream.wire.send(b"x" * (MAX_UNREAD_BYTES + 1))

    found = heard.all(asks, ANSWER)

    assert found == []
    assert heard.stream.problem == "it does not read what it is sent"


def test_output_that_nobody_takes_is_held() -> None:
    heard = Heard()

    for _ in range(100):
        heard.stream.arrived(UPDATE * 1000)
    was_held = heard.stream.wire.is_held
    heard.all()

    assert was_held
    assert not heard.stream.wire.is_held
    assert len(heard.updates) == 100_000

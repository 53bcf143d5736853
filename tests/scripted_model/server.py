"""The server: every talk is a script under a URL of its own, so that tests can share one server."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.scripted_model.steps import Failure, Json, Reply, Script, Silence, Step, reply_to
from tests.scripted_model.vectors import embedded
from tests.scripted_model.wire_anthropic import Anthropic
from tests.scripted_model.wire_chat import Chat, Ollama
from tests.scripted_model.wire_gemini import Gemini
from tests.scripted_model.wire_responses import Responses
from tests.scripted_model.wires import Tokens, Wire

_WIRES: tuple[Wire, ...] = (Anthropic(), Responses(), Chat(), Ollama(), Gemini())
_SIDE = "A scripted side answer"


@dataclass(slots=True)
class Asked:
    """A request that the model answered: where, what, and with which tool or `text`."""

    path: str
    body: Json
    tools: tuple[str, ...] = ()
    answer: str = ""


@dataclass(slots=True)
class Talk:
    """One script, and what was asked of it.

    The step that is played is the number of tools' results in the request (past the end: the last one), so
    repeated, resumed and side requests need no state. `when` holds scripts that are played instead where the
    request contains a text; the first that fits is taken. `plain` tells that requests without any tool play
    the script too; else they are side requests (titles, summaries), which get a short fixed answer.
    """

    script: Script
    directory: Path | None = None
    when: Sequence[tuple[str, Script]] = ()
    plain: bool = False
    tokens: Tokens = field(default_factory=Tokens)
    asked: list[Asked] = field(default_factory=list)

    @property
    def main(self) -> list[Asked]:
        """Returns the requests that were not side requests."""
        return [asked for asked in self.asked if asked.tools or self.plain]

    def step(self, wire: Wire, body: Json) -> Step:
        """Returns what is played for a request."""
        text = json.dumps(body, ensure_ascii=False) if self.when else ""
        script = next((script for needle, script in self.when if needle in text), self.script)
        return script[min(wire.results(body), len(script) - 1)]


class ScriptedModel:
    """A server on a free port of loopback; serves while it is used as a context manager."""

    def __init__(self) -> None:
        self.talks: dict[str, Talk] = {}
        self.closing = threading.Event()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.model = self

    def add(self, name: str, script: Script, directory: Path | None = None, **settings: Any) -> Talk:
        """Adds a talk, or puts another in its place; `settings` are further fields of `Talk`."""
        self.talks[name] = talk = Talk(script, directory, **settings)
        return talk

    def url(self, name: str) -> str:
        """Returns the base address of a talk, without a slash at the end."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/talk/{name}"

    def __enter__(self) -> ScriptedModel:
        serve = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        serve.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    model: ScriptedModel

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: clients that are killed close their connections in the middle of an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:  # the name is fixed by http.server
        self._send(200, {})

    def do_GET(self) -> None:
        _, path = self._talk()
        known: dict[str, Json] = {
            "/models": {"object": "list", "data": [{"id": "scripted", "object": "model"}], "models": []},
            "/api/tags": {"models": [{"name": "scripted", "model": "scripted"}]},
            "/api/version": {"version": "0.0.0"},
        }
        body = next((body for end, body in known.items() if path.endswith(end)), None)
        self._send(404, _UNKNOWN) if body is None else self._send(200, body)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        talk, path = self._talk()
        body = _parsed(raw)
        if talk is None or body is None:
            return self._send(404, _UNKNOWN)
        asked = Asked(path, body)
        talk.asked.append(asked)
        counted = {"input_tokens": talk.tokens.asked, "totalTokens": talk.tokens.asked}
        if path.endswith(("/count_tokens", ":countTokens")):
            return self._send(200, counted)
        vectors = embedded(path, body)
        if vectors is not None:
            return self._send(200, vectors)
        wire = next((wire for wire in _WIRES if re.search(wire.ending + "$", path)), None)
        return self._send(404, _UNKNOWN) if wire is None else self._play(talk, wire, asked)

    def _talk(self) -> tuple[Talk | None, str]:
        path = self.path.partition("?")[0]
        found = re.fullmatch(r"/talk/([^/]+)(.*)", path)
        if found is None:
            return None, path
        return self.server.model.talks.get(found[1]), found[2]

    def _play(self, talk: Talk, wire: Wire, asked: Asked) -> None:
        tools = wire.tools(asked.body)
        asked.tools = tuple(sorted(tools))
        step = talk.step(wire, asked.body)
        if isinstance(step, Failure):
            asked.answer = str(step.status)
            return self._send(step.status, wire.refusal(step), dict(step.headers))
        if isinstance(step, Silence):
            self.server.model.closing.wait(step.seconds)
        side = not tools and not talk.plain
        reply = Reply(text=_SIDE) if side else reply_to(step, tools, talk.directory)
        asked.answer = reply.tool or "text"
        if wire.streams(asked.body, asked.path):
            return self._stream(talk, wire, asked, reply)
        return self._send(200, wire.whole(asked.body, reply, talk.tokens))

    def _stream(self, talk: Talk, wire: Wire, asked: Asked, reply: Reply) -> None:
        self.send_response(200)
        self.send_header("Content-Type", wire.content_type)
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in wire.pieces(asked.body, reply, talk.tokens):
            self.wfile.write(piece)
            self.wfile.flush()
        self.close_connection = True

    def _send(self, status: int, body: Json, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


_UNKNOWN: Json = {"error": {"message": "this is not scripted", "type": "not_found_error"}}


def _parsed(raw: bytes) -> Json | None:
    try:
        body = json.loads(raw or b"{}")
    except ValueError:
        return None
    return body if isinstance(body, dict) else None

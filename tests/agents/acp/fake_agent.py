"""A scripted agent that speaks ACP on its standard streams; standard library only.

python fake_agent.py SCRIPT.json, where the script is an object:

initialize, new, load: what these requests are answered with, over the defaults; {"error": {...}} refuses.
needs_authentication: `session/new` is refused before `authenticate`.
sessions: the ids that `session/load` knows. record: the file that receives every message it is sent.
turn: the steps of a prompt, each an object whose first key is one of
  say, think TEXT · tool {..} (with write: NAME, ask: [kinds], repeat: N) · update {..}: sent as it is
  end REASON (with usage, meta) · error {..}: answers the prompt
  raw TEXT: a line on stdout · warn TEXT: a line on stderr
  flood N: as many chunks of text · huge BYTES: one message
  permission CALL (with options: [kinds]): asks for it without a further word
  request METHOD: asks the client and says what the answer was
  close: ends its stdout · die STATUS · hang: `stage.hang()` · until_cancel: waits for `session/cancel`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.agents.contract import stage

Json = dict[str, Any]
SESSION = "fake-session-1"


class Agent:
    """Plays one script."""

    def __init__(self, script: Json) -> None:
        self.script = script
        self.asked = 0
        self.calls = 0
        self.cancelled = False
        self.authenticated = False
        self.prompt: object = None

    def serve(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            self.record(message)
            if "method" in message:
                self.take(message)

    def record(self, message: Json) -> None:
        if path := self.script.get("record"):
            with open(path, "a") as file:
                file.write(json.dumps(message) + "\n")

    def take(self, message: Json) -> None:
        answers: dict[str, Callable[[Json], Json]] = {
            "initialize": self.initialize,
            "authenticate": self.authenticate,
            "session/new": self.new,
            "session/load": self.load,
            "session/set_mode": lambda _: {},
            "session/set_config_option": lambda _: {"configOptions": []},
        }
        method = message["method"]
        if method == "session/prompt":
            self.prompt = message["id"]
            self.play(self.script["turn"])
        elif method == "session/cancel":
            self.cancelled = True
        else:
            self.answer(message["id"], answers[method](message.get("params") or {}))

    def initialize(self, _: Json) -> Json:
        return {
            "protocolVersion": 1,
            "agentCapabilities": {"loadSession": True},
            **self.script.get("initialize", {}),
        }

    def authenticate(self, _: Json) -> Json:
        self.authenticated = True
        return {}

    def new(self, _: Json) -> Json:
        if self.script.get("needs_authentication") and not self.authenticated:
            return {"error": {"code": -32000, "message": "Authentication required"}}
        return {"sessionId": SESSION, **self.script.get("new", {})}

    def load(self, params: Json) -> Json:
        if params["sessionId"] not in self.script.get("sessions", []):
            return {
                "error": {"code": -32603, "message": "Internal error", "data": {"details": "no such session"}}
            }
        for text in ("told", " long ago"):
            self.update({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})
        self.update({"sessionUpdate": "usage_update", "used": 1, "size": 9, "cost": usd(0.5)})
        return dict(self.script.get("load", {}))

    def play(self, steps: list[Json]) -> None:
        for step in steps:
            self.step(step)

    def step(self, step: Json) -> None:
        verb = next(iter(step))
        getattr(self, f"do_{verb}")(step[verb], step)

    def do_say(self, text: str, _: Json) -> None:
        self.update({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})

    def do_think(self, text: str, _: Json) -> None:
        self.update({"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": text}})

    def do_tool(self, tool: Json, _: Json) -> None:
        for _number in range(tool.get("repeat", 1)):
            if not self.cancelled:
                self.tool(tool)

    def do_update(self, update: Json, _: Json) -> None:
        self.update(update)

    def do_end(self, reason: str, step: Json) -> None:
        told = {name: step[key] for key, name in (("usage", "usage"), ("meta", "_meta")) if key in step}
        self.answer(self.prompt, {"stopReason": reason, **told})

    def do_error(self, error: Json, _: Json) -> None:
        self.answer(self.prompt, {"error": error})

    def do_request(self, method: str, _: Json) -> None:
        number = self.request(method, {"sessionId": SESSION, "path": "/etc/passwd"})
        answer = self.await_answer(number)
        self.do_say(json.dumps(answer.get("error", {}).get("code")), {})

    def do_permission(self, call: str, step: Json) -> None:
        asked = permission(call, "", step["options"])
        self.await_answer(self.request("session/request_permission", asked))

    def do_raw(self, text: str, _: Json) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def do_warn(self, text: str, _: Json) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def do_flood(self, count: int, _: Json) -> None:
        for number in range(count):
            self.do_say(f"word {number} ", {})

    def do_huge(self, size: int, _: Json) -> None:
        self.do_say("x" * size, {})

    def do_close(self, *_: object) -> None:
        os.close(1)
        time.sleep(600)

    def do_die(self, status: int, _: Json) -> None:
        os._exit(status)

    def do_hang(self, *_: object) -> None:
        stage.hang()

    def do_until_cancel(self, *_: object) -> None:
        Path(stage.HANGING).touch()
        while not self.cancelled:
            self.hear()

    def tool(self, tool: Json) -> None:
        self.calls += 1
        call = {"toolCallId": f"call-{self.calls}", "kind": tool.get("kind", "edit"), "title": "Write"}
        where = tool.get("path") or os.path.abspath(tool.get("write", "x"))
        shown = {**call, "locations": [{"path": where}], "rawInput": {"path": where}}
        self.update({"sessionUpdate": "tool_call", "status": "pending", **shown})
        status = "completed"
        if "ask" in tool:
            asked = permission(call["toolCallId"], call["kind"], tool["ask"])
            asked["toolCall"]["content"] = [{"type": "diff", "path": where, "oldText": "", "newText": "x"}]
            answer = self.await_answer(self.request("session/request_permission", asked))
            chosen = answer["result"]["outcome"].get("optionId", "")
            status = "completed" if chosen.startswith("allow") else "failed"
        if status == "completed" and "write" in tool:
            Path(tool["write"]).write_text("by the agent\n")
        self.update({"sessionUpdate": "tool_call_update", "toolCallId": call["toolCallId"], "status": status})

    def await_answer(self, number: int) -> Json:
        """Returns the answer to a request; a cancel that comes meanwhile is noticed."""
        while True:
            message = self.hear()
            if message.get("id") == number and "method" not in message:
                return message

    def request(self, method: str, params: Json) -> int:
        self.asked += 1
        self.send({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params})
        return self.asked

    def hear(self) -> Json:
        line = sys.stdin.readline()
        if not line:
            raise SystemExit(0)
        message: Json = json.loads(line)
        self.record(message)
        self.cancelled = self.cancelled or message.get("method") == "session/cancel"
        return message

    def answer(self, number: object, result: Json) -> None:
        error = result.get("error")
        body = {"error": error} if error else {"result": result}
        self.send({"jsonrpc": "2.0", "id": number, **body})

    def update(self, update: Json) -> None:
        params = {"sessionId": SESSION, "update": update}
        self.send({"jsonrpc": "2.0", "method": "session/update", "params": params})

    def send(self, message: Json) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def permission(call: str, kind: str, kinds: list[str]) -> Json:
    """Returns a request for permission whose options have ids of this agent's own."""
    options = [{"optionId": f"{one}!", "name": one, "kind": one} for one in kinds]
    told = {"toolCallId": call, **({"kind": kind} if kind else {})}
    return {"sessionId": SESSION, "toolCall": told, "options": options}


def usd(amount: float) -> Json:
    """Returns an amount of money as ACP tells it."""
    return {"amount": amount, "currency": "USD"}


if __name__ == "__main__":
    Agent(json.loads(Path(sys.argv[1]).read_text())).serve()

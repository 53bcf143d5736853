"""OpenAI Chat Completions, and Ollama's own chat, which takes the same messages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping

from tests.scripted_model.steps import Failure, Json, Reply
from tests.scripted_model.wires import Tokens, new_id, openai_refusal, sse


class Chat:
    ending = r"/chat/completions"
    content_type = "text/event-stream"

    def tools(self, body: Json) -> Mapping[str, str]:
        declared = [tool["function"] for tool in body.get("tools") or () if "function" in tool]
        return {function["name"]: "function" for function in declared}

    def results(self, body: Json) -> int:
        return sum(message.get("role") == "tool" for message in body.get("messages") or ())

    def streams(self, body: Json, path: str) -> bool:
        return bool(body.get("stream"))

    def whole(self, body: Json, reply: Reply, tokens: Tokens) -> Json:
        choice = {"index": 0, "message": _message(reply), "finish_reason": _reason(reply)}
        return {**_envelope(body, "chat.completion", [choice]), "usage": _usage(tokens)}

    def pieces(self, body: Json, reply: Reply, tokens: Tokens) -> Iterator[bytes]:
        kind = "chat.completion.chunk"
        said: Json = {"index": 0, "delta": _message(reply), "finish_reason": None}
        end: Json = {"index": 0, "delta": {}, "finish_reason": _reason(reply)}
        yield sse(_envelope(body, kind, [said]))
        yield sse(_envelope(body, kind, [end]))
        yield sse({**_envelope(body, kind, []), "usage": _usage(tokens)})
        yield b"data: [DONE]\n\n"

    def refusal(self, failure: Failure) -> Json:
        return openai_refusal(failure)


class Ollama:
    ending = r"/api/chat"
    content_type = "application/x-ndjson"

    def tools(self, body: Json) -> Mapping[str, str]:
        return Chat().tools(body)

    def results(self, body: Json) -> int:
        return Chat().results(body)

    def streams(self, body: Json, path: str) -> bool:
        return bool(body.get("stream", True))

    def whole(self, body: Json, reply: Reply, tokens: Tokens) -> Json:
        call = {"function": {"name": reply.tool, "arguments": reply.arguments}}
        calls = {"tool_calls": [call]} if reply.tool else {}
        return {
            "model": body.get("model", "scripted"),
            "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "message": {"role": "assistant", "content": reply.text, **calls},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": tokens.asked,
            "eval_count": tokens.answered,
        }

    def pieces(self, body: Json, reply: Reply, tokens: Tokens) -> Iterator[bytes]:
        yield json.dumps(self.whole(body, reply, tokens)).encode() + b"\n"

    def refusal(self, failure: Failure) -> Json:
        return {"error": failure.message}


def _message(reply: Reply) -> Json:
    if not reply.tool:
        return {"role": "assistant", "content": reply.text}
    function = {"name": reply.tool, "arguments": json.dumps(reply.arguments)}
    call = {"index": 0, "id": new_id("call"), "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _reason(reply: Reply) -> str:
    return "tool_calls" if reply.tool else "stop"


def _envelope(body: Json, kind: str, choices: list[Json]) -> Json:
    model = body.get("model", "scripted")
    head = {"id": new_id("chatcmpl"), "object": kind, "created": int(time.time()), "model": model}
    return {**head, "choices": choices}


def _usage(tokens: Tokens) -> Json:
    return {
        "prompt_tokens": tokens.asked,
        "completion_tokens": tokens.answered,
        "total_tokens": tokens.asked + tokens.answered,
    }

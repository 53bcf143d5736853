"""Anthropic Messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from tests.scripted_model.steps import Failure, Json, Reply
from tests.scripted_model.wires import Tokens, new_id, sse

_KINDS = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}


class Anthropic:
    ending = r"/v1/messages"
    content_type = "text/event-stream"

    def tools(self, body: Json) -> Mapping[str, str]:
        return {tool["name"]: "function" for tool in body.get("tools") or ()}

    def results(self, body: Json) -> int:
        contents = [message.get("content") for message in body.get("messages") or ()]
        blocks = [block for content in contents if isinstance(content, list) for block in content]
        return sum(block.get("type") == "tool_result" for block in blocks)

    def streams(self, body: Json, path: str) -> bool:
        return bool(body.get("stream"))

    def whole(self, body: Json, reply: Reply, tokens: Tokens) -> Json:
        return {
            "id": new_id("msg"),
            "type": "message",
            "role": "assistant",
            "model": body.get("model", "scripted"),
            "content": [_block(reply)],
            "stop_reason": "tool_use" if reply.tool else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": tokens.asked, "output_tokens": tokens.answered},
        }

    def pieces(self, body: Json, reply: Reply, tokens: Tokens) -> Iterator[bytes]:
        message = self.whole(body, reply, tokens)
        begun = {
            **message,
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": tokens.asked, "output_tokens": 1},
        }
        empty, delta = _opened(message["content"][0])
        end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        events: tuple[Json, ...] = (
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": end, "usage": {"output_tokens": tokens.answered}},
            {"type": "message_stop"},
        )
        yield from (sse(event, event["type"]) for event in events)

    def refusal(self, failure: Failure) -> Json:
        kind = _KINDS.get(failure.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": failure.message}}


def _block(reply: Reply) -> Json:
    if not reply.tool:
        return {"type": "text", "text": reply.text}
    return {"type": "tool_use", "id": new_id("toolu"), "name": reply.tool, "input": reply.arguments}


def _opened(block: Json) -> tuple[Json, Json]:
    if block["type"] == "text":
        return {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
    delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    return {**block, "input": {}}, delta

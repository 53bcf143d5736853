"""OpenAI Responses."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping

from tests.scripted_model.steps import Failure, Json, Reply
from tests.scripted_model.wires import Tokens, new_id, openai_refusal, sse

_RESULTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")


class Responses:
    ending = r"/responses"
    content_type = "text/event-stream"

    def tools(self, body: Json) -> Mapping[str, str]:
        return {tool.get("name", tool["type"]): tool["type"] for tool in body.get("tools") or ()}

    def results(self, body: Json) -> int:
        items = body.get("input")
        return sum(item.get("type") in _RESULTS for item in items) if isinstance(items, list) else 0

    def streams(self, body: Json, path: str) -> bool:
        return bool(body.get("stream"))

    def whole(self, body: Json, reply: Reply, tokens: Tokens) -> Json:
        return {
            "id": new_id("resp"),
            "object": "response",
            "created_at": int(time.time()),
            "model": body.get("model", "scripted"),
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
            "output": [_item(reply)],
            "usage": {
                "input_tokens": tokens.asked,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": tokens.answered,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": tokens.asked + tokens.answered,
            },
        }

    def pieces(self, body: Json, reply: Reply, tokens: Tokens) -> Iterator[bytes]:
        response = self.whole(body, reply, tokens)
        item = response["output"][0]
        begun = {**response, "status": "in_progress", "output": [], "usage": None}
        numbers = itertools.count()
        for kind, more in (
            ("response.created", {"response": begun}),
            *_growing(item),
            ("response.output_item.done", {"output_index": 0, "item": item}),
            ("response.completed", {"response": response}),
        ):
            yield sse({"type": kind, "sequence_number": next(numbers), **more}, kind)

    def refusal(self, failure: Failure) -> Json:
        return openai_refusal(failure)


def _item(reply: Reply) -> Json:
    call = {"call_id": new_id("call"), "name": reply.tool, "status": "completed"}
    if reply.tool and isinstance(reply.arguments, str):
        return {"type": "custom_tool_call", "id": new_id("ctc"), **call, "input": reply.arguments}
    if reply.tool:
        arguments = json.dumps(reply.arguments)
        return {"type": "function_call", "id": new_id("fc"), **call, "arguments": arguments}
    part = {"type": "output_text", "text": reply.text, "annotations": []}
    message = {"type": "message", "id": new_id("msg"), "role": "assistant", "status": "completed"}
    return {**message, "content": [part]}


def _growing(item: Json) -> Iterator[tuple[str, Json]]:
    place = {"output_index": 0, "item_id": item["id"]}
    begun = {**item, "status": "in_progress"}
    if item["type"] == "message":
        part, at = item["content"][0], {**place, "content_index": 0}
        yield "response.output_item.added", {"output_index": 0, "item": {**begun, "content": []}}
        yield "response.content_part.added", {**at, "part": {**part, "text": ""}}
        yield "response.output_text.delta", {**at, "delta": part["text"], "logprobs": []}
        yield "response.output_text.done", {**at, "text": part["text"], "logprobs": []}
        yield "response.content_part.done", {**at, "part": part}
        return
    custom = item["type"] == "custom_tool_call"
    slot = "input" if custom else "arguments"
    event = "custom_tool_call_input" if custom else "function_call_arguments"
    yield "response.output_item.added", {"output_index": 0, "item": {**begun, slot: ""}}
    yield f"response.{event}.delta", {**place, "delta": item[slot]}
    yield f"response.{event}.done", {**place, slot: item[slot], "name": item["name"]}

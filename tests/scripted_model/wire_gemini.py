"""Gemini generateContent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.scripted_model.steps import Failure, Json, Reply
from tests.scripted_model.wires import Tokens, new_id, sse

_STATES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}


class Gemini:
    ending = r":(?:streamG|g)enerateContent"
    content_type = "text/event-stream"

    def tools(self, body: Json) -> Mapping[str, str]:
        groups = [tool.get("functionDeclarations") or () for tool in body.get("tools") or ()]
        return {function["name"]: "function" for group in groups for function in group}

    def results(self, body: Json) -> int:
        parts = [part for content in body.get("contents") or () for part in content.get("parts") or ()]
        return sum("functionResponse" in part for part in parts)

    def streams(self, body: Json, path: str) -> bool:
        return path.endswith(":streamGenerateContent")

    def whole(self, body: Json, reply: Reply, tokens: Tokens) -> Json:
        call = {"functionCall": {"name": reply.tool, "args": reply.arguments}}
        part = call if reply.tool else {"text": reply.text}
        content = {"role": "model", "parts": [part]}
        return {
            "candidates": [{"index": 0, "content": content, "finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": tokens.asked,
                "candidatesTokenCount": tokens.answered,
                "totalTokenCount": tokens.asked + tokens.answered,
            },
            "modelVersion": "scripted",
            "responseId": new_id("gen"),
        }

    def pieces(self, body: Json, reply: Reply, tokens: Tokens) -> Iterator[bytes]:
        yield sse(self.whole(body, reply, tokens))

    def refusal(self, failure: Failure) -> Json:
        state = _STATES.get(failure.status, "UNKNOWN")
        return {"error": {"code": failure.status, "message": failure.message, "status": state}}

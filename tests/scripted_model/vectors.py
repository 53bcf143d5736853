"""Embeddings that depend on the text alone: equal texts have equal vectors."""

from __future__ import annotations

import hashlib

from tests.scripted_model.steps import Json

DIMENSIONS = 8


def vector(text: str) -> list[float]:
    """Returns the vector of a text."""
    return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:DIMENSIONS]]


def embedded(path: str, body: Json) -> Json | None:
    """Returns the answer to a request for embeddings of OpenAI, Ollama or Google; None if it is none."""
    given = body.get("input", "")
    texts = [given] if isinstance(given, str) else list(given)
    if path.endswith("/embeddings"):
        rows = [
            {"object": "embedding", "index": at, "embedding": vector(text)} for at, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return {"object": "list", "data": rows, "model": body.get("model", "scripted"), "usage": usage}
    if path.endswith("/api/embed"):
        model, count = body.get("model", "scripted"), len(texts)
        return {"model": model, "embeddings": [vector(text) for text in texts], "prompt_eval_count": count}
    if path.endswith(":batchEmbedContents"):
        wanted = [request["content"]["parts"] for request in body.get("requests") or ()]
        joined = ["".join(part.get("text", "") for part in parts) for parts in wanted]
        return {"embeddings": [{"values": vector(text)} for text in joined]}
    return None

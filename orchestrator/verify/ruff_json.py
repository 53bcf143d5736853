"""Parses what `ruff check --output-format json` prints. Source: ruff 0.17.5, observed."""

from __future__ import annotations

import json

from orchestrator.model.finding import DEFAULT_SEVERITY, Category, Finding
from orchestrator.model.json import Json
from orchestrator.verify.output import one_line, plain_text
from orchestrator.verify.parsed import MAX_FINDINGS, Parsed, keep
from orchestrator.verify.sources import Sources


def parse_ruff(text: str, *, category: Category, sources: Sources) -> Parsed:
    """Returns one finding for each entry of the list; text printed before or after it is skipped over."""
    entries = _list_in(text)
    if entries is None:
        return Parsed(problem="its output holds no list in ruff's JSON format")
    findings = [
        finding
        for entry in entries[:MAX_FINDINGS]
        if (finding := _finding(entry, category, sources)) is not None
    ]
    if len(findings) < min(len(entries), MAX_FINDINGS):
        return Parsed(problem="its output is a JSON list, but not in ruff's format")
    return keep(findings, seen=len(entries))


def _list_in(text: str) -> list[Json] | None:
    decoder = json.JSONDecoder()
    start = 0 if text.startswith("[") else text.find("\n[") + 1
    tries = 0
    while (start > 0 or text.startswith("[")) and tries < 20:
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):  # ValueError also stands for numbers with thousands of digits
            value = None
        if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
            return value
        following = text.find("\n[", start)
        if following < 0:
            return None
        start, tries = following + 1, tries + 1
    return None


def _finding(entry: Json, category: Category, sources: Sources) -> Finding | None:
    if not isinstance(entry, dict):
        return None
    file, message, place = entry.get("filename"), entry.get("message"), entry.get("location")
    if not isinstance(file, str) or not isinstance(message, str):
        return None
    line = place.get("row") if isinstance(place, dict) else None
    number = line if type(line) is int and 0 < line < 1_000_000_000 else None
    code = entry.get("code")
    return Finding(
        severity=DEFAULT_SEVERITY[category],
        category=category,
        message=_clean(message) or "no message",
        location=sources.location(file, number),
        rule=_clean(code)[:60] if isinstance(code, str) else "invalid-syntax",
        context=sources.context(file, number),
    )


def _clean(text: str) -> str:
    return one_line(plain_text(text.encode("utf-8", "replace")))

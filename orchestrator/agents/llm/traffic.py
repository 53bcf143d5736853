"""Watches the requests that a provider's client makes: where they go, and what they were answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import httpx2

from orchestrator.agents.llm.providers import checked
from orchestrator.agents.llm.requests import OnRequest

_CONNECT_S = 20.0


class Traffic:
    """Makes the client through which everything goes, proxies included; certificates are always checked.

    Where a request would leave this machine in plain HTTP, by a redirect for instance, it is not made. Its
    size in bytes is that of the request and of what was read of the answer.
    """

    def __init__(self, on_request: OnRequest, *, silence_s: float) -> None:
        self._on_request = on_request
        self._pending: dict[int, httpx2.Request] = {}
        self.client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(silence_s, connect=_CONNECT_S),
            event_hooks={"request": [self._asked], "response": [self._answered]},
        )

    def flush(self) -> None:
        """Tells of the requests that were never answered."""
        for request in self._pending.values():
            self._on_request(request.url.host, request.method, None, _size(request))
        self._pending.clear()

    async def _asked(self, request: httpx2.Request) -> None:
        checked(str(request.url.copy_with(query=None, fragment=None, username=None, password=None)))
        self._pending[id(request)] = request

    async def _answered(self, response: httpx2.Response) -> None:
        request = response.request
        self._pending.pop(id(request), None)
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        response.stream = _Counted(
            stream,
            lambda read: self._on_request(
                request.url.host, request.method, response.status_code, _size(request) + read
            ),
        )


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, on_end: _OnEnd) -> None:
        self._stream = stream
        self._on_end: _OnEnd | None = on_end
        self._read_bytes = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._read_bytes += len(chunk)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
        told, self._on_end = self._on_end, None
        if told is not None:
            told(self._read_bytes)


class _OnEnd(Protocol):
    def __call__(self, read: int, /) -> None: ...


def _size(request: httpx2.Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdigit() else 0

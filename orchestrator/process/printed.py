"""What a program prints, without secrets, before anybody keeps or shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.process.log import OutputLog
from orchestrator.redaction.redactor import Redactor


class Printed:
    """Takes the streams of one program as they come, and gives them redacted to their receivers and the log.

    The log holds both streams as one, so it is redacted once more: a value can be printed half to each.
    """

    def __init__(
        self, redactor: Redactor, receivers: Mapping[str, Callable[[bytes], None]], log: OutputLog
    ) -> None:
        self._streams = {name: (redactor.stream(), receive) for name, receive in receivers.items()}
        self._both = redactor.stream()
        self._log = log
        self._seen_bytes = 0

    def take(self, name: str, data: bytes) -> None:
        """Takes a further piece of one stream."""
        self._seen_bytes += len(data)
        stream, receive = self._streams[name]
        self._hand_on(receive, stream.feed(data))

    def finish(self) -> int:
        """Hands on what was held back, and returns how many bytes were printed."""
        for stream, receive in self._streams.values():
            self._hand_on(receive, stream.flush())
        self._log.write(self._both.flush())
        return self._seen_bytes

    def _hand_on(self, receive: Callable[[bytes], None], clean: bytes) -> None:
        if clean:
            self._log.write(self._both.feed(clean))
            receive(clean)

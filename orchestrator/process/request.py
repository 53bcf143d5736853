"""What the owner asks of a supervisor, and how it travels through a pipe: a length, then fields.

Fields are parted by NUL, which neither arguments nor environment can hold: no escaping, no parser to import.
"""

from __future__ import annotations

import os


class Request:
    """A program to start; `timeout_s` 0 means none, and so does each of the four limits.

    `limits` are the address space in bytes, CPU seconds, further processes of this user, and bytes in one
    file.
    """

    __slots__ = ("argv", "cwd", "environment", "limits", "timeout_s")

    def __init__(
        self,
        *,
        argv: list[bytes],
        cwd: bytes,
        environment: dict[bytes, bytes],
        timeout_s: float,
        limits: tuple[int, int, int, int],
    ) -> None:
        self.argv = argv
        self.cwd = cwd
        self.environment = environment
        self.timeout_s = timeout_s
        self.limits = limits

    def encode(self) -> bytes:
        """Returns the bytes for the pipe. ValueError when a field holds a NUL."""
        numbers = [repr(self.timeout_s), *map(str, self.limits), str(len(self.argv))]
        pairs = [name + b"=" + value for name, value in self.environment.items()]
        fields = [*(number.encode() for number in numbers), self.cwd, *self.argv, *pairs]
        if any(b"\0" in field for field in fields):
            raise ValueError("embedded null byte")
        body = b"\0".join(fields)
        return b"%d\n" % len(body) + body


def decode(body: bytes) -> Request:
    """Returns the request whose encoding, without its length, is `body`."""
    fields = body.split(b"\0")
    memory, cpu, processes, file_bytes, count = (int(field) for field in fields[1:6])
    environment = (pair.partition(b"=") for pair in fields[7 + count :])
    return Request(
        argv=fields[7 : 7 + count],
        cwd=fields[6],
        environment={name: value for name, _, value in environment},
        timeout_s=float(fields[0]),
        limits=(memory, cpu, processes, file_bytes),
    )


def receive(pipe: int) -> Request | None:
    """Reads one request; None when the writer died before it was complete."""
    length = b""
    while not length.endswith(b"\n"):
        digit = os.read(pipe, 1)
        if not digit:
            return None
        length += digit
    body = bytearray()
    while len(body) < int(length):
        chunk = os.read(pipe, int(length) - len(body))
        if not chunk:
            return None
        body += chunk
    return decode(bytes(body))

"""Starts a program where no network can be reached but loopback.

`python -m tests.real.namespace PROGRAM WORDS…` becomes the program; it ends with 77 and the reason on
standard error where the kernel gives no network namespace. Linux only; needs neither root, nor unshare, nor
iproute2.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

UNAVAILABLE = 77
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # linux/sched.h
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1  # linux/sockios.h, linux/if.h


def enter() -> None:
    """Moves this process into a new network namespace whose loopback is up.

    Root makes it directly, others inside a new user namespace in which they keep their number.

    Raises:
        OSError: the kernel, or a rule of this machine, forbids it; this process is then of no more use.
    """
    if sys.platform != "linux":
        raise OSError("network namespaces exist on Linux alone")
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(_NEW_NETWORK)
    except PermissionError:
        _unshare(_NEW_USER | _NEW_NETWORK)
        _map(user, group)
    _raise_loopback()


def _unshare(flags: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _map(user: int, group: int) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        asked = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(probe, _GET_FLAGS, asked))
        fcntl.ioctl(probe, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def interfaces() -> list[str]:
    """Returns the names of the network interfaces that this process can use."""
    return [name for _, name in socket.if_nameindex()]


def main(argv: list[str]) -> None:
    """Becomes the program named, or ends with the reason."""
    try:
        enter()
    except OSError as error:
        print(f"no network namespace: {error}", file=sys.stderr)
        sys.exit(UNAVAILABLE)
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main(sys.argv[1:])

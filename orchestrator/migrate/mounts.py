"""Knows where file systems are mounted: a mount point can be neither renamed nor removed."""

from __future__ import annotations

import os


def mount_points(below: str) -> frozenset[str]:
    """Returns the real paths of mount points strictly below a directory, bind mounts included.

    Read from the kernel's list where there is one (Linux); elsewhere empty, and devices have to tell.
    """
    top = os.path.realpath(below).rstrip("/") + "/"
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return frozenset()
    return frozenset(path for line in lines if (path := _decoded(line.split()[4])).startswith(top))


def _decoded(field: bytes) -> str:
    out = bytearray()
    at = 0
    while at < len(field):
        if field[at : at + 1] == b"\\":
            out.append(int(field[at + 1 : at + 4], 8))
            at += 4
        else:
            out.append(field[at])
            at += 1
    return os.fsdecode(bytes(out))

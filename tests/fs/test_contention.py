"""Two processes, one lock, and a hand that kills whoever holds it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORKER = """
import os, sys
from orchestrator.fs.lock import DirectoryLock, FileLock
place, kind = sys.argv[1:]
lock = (
    FileLock(place + "/lock", "The counter", "count")
    if kind == "file"
    else DirectoryLock(place, place + "/record", "The counter", "count")
)
print("up", flush=True)
while True:
    with_lock = lock.acquire(30)
    inside = os.open(place + "/inside", os.O_CREAT | os.O_RDWR)
    if os.pread(inside, 20, 0) not in (b"", b"%20d" % 0):
        holder = int(os.pread(inside, 20, 0))
        try:
            os.kill(holder, 0)
            os.write(os.open(place + "/broken", os.O_CREAT | os.O_WRONLY), b"two at once")
        except ProcessLookupError:
            pass  # the holder was killed inside: its word is stale, the lock was freed
    os.pwrite(inside, b"%20d" % os.getpid(), 0)
    log = os.open(place + "/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(log, b".")
    os.close(log)
    os.pwrite(inside, b"%20d" % 0, 0)
    os.close(inside)
    lock.release()
"""


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_holders_killed_at_random_neither_break_nor_wedge_the_lock(tmp_path: Path, kind: str) -> None:
    chance = random.Random(7)

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), kind], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    workers = [start(), start()]
    try:
        for _ in range(4):
            time.sleep(chance.uniform(0.05, 0.2))
            victim = workers.pop(chance.randrange(2))
            victim.kill()
            victim.communicate()
            before = (tmp_path / "log").stat().st_size
            limit = time.monotonic() + 20
            while (tmp_path / "log").stat().st_size == before:
                assert time.monotonic() < limit, "the survivor never got the lock"
                time.sleep(0.005)
            workers.append(start())
        alive = [worker.poll() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()

    assert alive == [None, None]
    assert not (tmp_path / "broken").exists()

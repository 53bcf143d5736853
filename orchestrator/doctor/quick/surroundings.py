"""Locks, permissions, disk and environment, as far as one look tells."""

from __future__ import annotations

import os
import stat

from orchestrator.discovery import ENVIRONMENT
from orchestrator.doctor.diagnosis import Diagnosis, QuickCheck, counted, fail, in_bytes, ok, warn
from orchestrator.errors import OrchestratorError
from orchestrator.fs.probe import is_directory_held, is_held, read_record
from orchestrator.fs.space import free_space
from orchestrator.paths import names
from orchestrator.process.marker import MARKER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.doctor.surface import Surface
    from orchestrator.fs.probe import Holder

_LITTLE_BYTES, _TOO_LITTLE_BYTES = 1 << 30, 64 << 20
_FEW_INODES, _TOO_FEW_INODES = 10_000, 500
_DISTURBING = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_EXTERNAL_DIFF",
    "GIT_TEMPLATE_DIR",
)


def _locks(context: Surface) -> Diagnosis:
    unsafe, held = [], []
    for run_id, path in context.run_locks().items():
        try:
            if is_held(path):
                held.append((f"run {run_id}", read_record(path)))
        except OrchestratorError as error:
            unsafe.append(error.message)
    if unsafe:
        return fail(
            "Something that is no lock stands at a lock's name.",
            "Find out who put it there, and move it away.",
            unsafe,
        )
    if is_directory_held(context.located().common_dir):
        record = os.path.join(context.directory(), names.LOCKS, "repository.lock")
        held.append(("this repository", read_record(record)))
    return _of_holders(held)


def _of_holders(held: list[tuple[str, Holder]]) -> Diagnosis:
    lines = [f"{what}: {holder.describe()}" for what, holder in held]
    stopped = [holder for _, holder in held if _is_stopped(holder)]
    if stopped:
        return warn(
            f"A lock is held by a process that is stopped (pid {stopped[0].pid}).",
            f"kill -CONT {stopped[0].pid}",
            lines,
        )
    if held:
        return ok(f"{counted(len(held), 'lock')} in use.", lines)
    return ok("Nobody works here just now.")


def _is_stopped(holder: Holder) -> bool:
    if not holder.pid or (hasattr(os, "uname") and holder.host != os.uname().nodename):
        return False
    try:
        with open(f"/proc/{holder.pid}/stat", "rb") as file:
            facts = file.read()
    except OSError:
        return False
    return facts.rpartition(b")")[2].split()[:1] in ([b"T"], [b"t"])


def _private(context: Surface) -> Diagnosis:
    directory = context.insist_ours()
    mode = stat.S_IMODE(os.lstat(directory).st_mode)
    if os.name != "posix" or not mode & 0o077:
        return ok(f"{directory} is private ({mode:04o}).")
    if mode & 0o022:
        return fail(
            f"Others may write to {directory} ({mode:04o}), and so decide what runs.",
            f"chmod 700 {directory}",
        )
    return warn(f"Others may read {directory} ({mode:04o}).", f"chmod 700 {directory}")


def _writable(context: Surface) -> Diagnosis:
    located = context.located()
    places = {located.home, located.common_dir, os.path.join(located.common_dir, "objects")}
    if os.path.isdir(located.orchestrator_dir):
        places.add(located.orchestrator_dir)
    closed = sorted(place for place in places if not os.access(place, os.W_OK | os.X_OK))
    if not closed:
        return ok("You may write where runs need to.")
    return warn(
        "You may look, but nothing can be started here: a place that runs write to is read-only.",
        "Make it writable, or work in a clone.",
        closed,
    )


def kept_at(context: Surface) -> str:
    """Returns `.orchestrator/`, or the directory in which it would be made."""
    located = context.located()
    return located.orchestrator_dir if os.path.isdir(located.orchestrator_dir) else located.home


def _space(context: Surface) -> Diagnosis:
    free = min(free_space(place).bytes for place in (kept_at(context), context.located().common_dir))
    said = f"{in_bytes(free)} are free."
    if free < _TOO_LITTLE_BYTES:
        return fail(said, "Free space on that disk; interrupted runs go on with: orchestrator resume")
    if free < _LITTLE_BYTES:
        return warn(said, "Free space on that disk before starting runs.")
    return ok(said)


def _inodes(context: Surface) -> Diagnosis:
    known = [free_space(place).inodes for place in (kept_at(context), context.located().common_dir)]
    free = min((each for each in known if each is not None), default=None)
    if free is None:
        return ok("This file system has no limit on the number of files.")
    said = f"{free:,} more files can be made."
    if free < _TOO_FEW_INODES:
        return fail(said, "Remove files from that disk that nobody needs.")
    return warn(said, "Remove files from that disk that nobody needs.") if free < _FEW_INODES else ok(said)


def _git_variables(context: Surface) -> Diagnosis:
    found = [name for name in _DISTURBING if name in context.environment]
    if not found:
        return ok("No variable leads git elsewhere.")
    return warn(
        "Variables for git are set, as they are inside a hook. Our git calls clear them; yours do not.",
        "unset " + " ".join(found),
        (f"{name}={context.environment[name][:100]}" for name in found),
    )


def _own_variables(context: Surface) -> Diagnosis:
    named = context.environment.get(ENVIRONMENT)
    if context.environment.get(MARKER):
        return warn("This is an agent's own session: a run cannot start another run.", f"unset {MARKER}")
    if named:
        return ok(f"{ENVIRONMENT} says where the state is.", (named,))
    return ok("No variable of ours is set.")


def _machine(context: Surface) -> Diagnosis:
    web = context.web_mode()
    evidence = [f"{name} is set" for name in web.environment.evidence]
    if web.links and web.environment.link_form:
        evidence.append(f"ports are reached at {web.environment.link_form}")
    session = context.session()
    if session is not None:
        evidence.append(f"the session in use is {session}")
    said = web.sentence()
    return ok(said[0].upper() + said[1:] + ".", evidence)


CHECKS = (
    QuickCheck(
        "locks-holders",
        "locks",
        "who holds which lock",
        "Locks are the kernel's and end with their holder; lock files are never removed. A link at a "
        "lock's name is not followed.",
        _locks,
    ),
    QuickCheck(
        "permissions-directory",
        "permissions",
        ".orchestrator/ is private",
        "It is made with mode 0700. Who can write there decides what runs.",
        _private,
    ),
    QuickCheck(
        "permissions-writable",
        "permissions",
        "you may write where runs need to",
        "On a read-only repository `status`, `log` and `doctor` still work.",
        _writable,
    ),
    QuickCheck(
        "disk-space",
        "disk",
        "there is room on the disk",
        "A full disk stops runs; what they reached is kept.",
        _space,
    ),
    QuickCheck(
        "disk-inodes",
        "disk",
        "there is room for more files",
        "A file system can be out of inodes while bytes are free.",
        _inodes,
    ),
    QuickCheck(
        "environment-machine",
        "environment",
        "what kind of machine this is, and what follows",
        "Codespaces, Claude Code on the web and CI jobs do not last: there each session keeps a state of its "
        "own, nobody is asked, and room is made when a run ends. `web_mode` and `web` set each by itself.",
        _machine,
    ),
    QuickCheck(
        "environment-git",
        "environment",
        "no GIT_* variable leads git elsewhere",
        "Hooks run with GIT_DIR set; commands started there would act on another repository.",
        _git_variables,
    ),
    QuickCheck(
        "environment-own",
        "environment",
        "whether variables of ours are set",
        "ORCHESTRATOR_DIR moves the state; the marker of an agent's session forbids runs.",
        _own_variables,
    ),
)

"""The user's repository: is it one, and can runs start in it."""

from __future__ import annotations

import os

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, ok, skip, warn
from orchestrator.repo.git import split

_SECRETS = (
    r"sk-[A-Za-z0-9_-]{16,}"
    r"|AKIA[0-9A-Z]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|AGE-SECRET-KEY-1[0-9A-Z]{10,}"
)


def _history(context: Context) -> Diagnosis:
    located = context.located()
    missing = []
    if os.path.exists(os.path.join(located.common_dir, "shallow")):
        missing.append("shallow clone: older history is missing, so a base before it cannot be used")
    keys = {key.lower() for key in context.git().local_keys()}
    if any(key.startswith("remote.") and key.endswith(".promisor") for key in keys):
        missing.append("partial clone: git fetches missing files when an agent's tree is made")
    if "core.sparsecheckout" in keys:
        missing.append("sparse checkout: agents' trees hold the same part of the files")
    if not missing:
        return ok("History and files are complete.")
    return ok("Only a part of the repository is here; runs work with that part.", missing)


def _other_repositories(context: Context) -> Diagnosis:
    checkout = context.located().checkout
    inner = []
    if os.path.isfile(os.path.join(checkout, ".gitmodules")):
        inner.append("submodules (.gitmodules): agents' trees hold those that you have checked out")
    for entry in sorted(os.scandir(checkout), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False) and os.path.isdir(os.path.join(entry.path, ".git")):
            inner.append(f"{entry.name}/ is a repository of its own: call orchestrator there with -C")
    return ok("Other repositories lie inside." if inner else "No other repository lies inside.", inner)


def _secrets(context: Context) -> Diagnosis:
    if context.repository().head().oid is None:
        return skip("There is no commit yet.")
    words = ("grep", "--cached", "-n", "-I", "-z", "--no-color", "-m", "1", "-E", "-e", _SECRETS)
    done = context.git().run(*words, ok=(0, 1), timeout_s=15)
    items = split(done.stdout.replace(b"\n", b"\0") + b"\0")
    places = [
        f"{os.fsdecode(name)}:{line.decode()}"
        for name, line in zip(items[::3], items[1::3], strict=False)
        if line.isdigit()
    ]
    if not places:
        return ok("No tracked file holds what looks like a secret.")
    return warn(
        "Tracked files hold what looks like a secret; agents can read it, and so can every clone.",
        "Replace the secret where it is used, revoke it, and remove it from the file.",
        places,
    )


CHECKS = (
    Check(
        "repository-history",
        "repository",
        "whether history or files are only partly here",
        "Shallow, partial and sparse checkouts work; what is not here cannot be seen by agents.",
        _history,
    ),
    Check(
        "repository-inside",
        "repository",
        "whether other repositories lie inside this one",
        "Only the repository asked for is worked on; nested ones have to be named.",
        _other_repositories,
    ),
    Check(
        "repository-secrets",
        "repository",
        "no tracked file holds what looks like a secret",
        "Well-known shapes of keys are looked for in the index. The place is shown, never the value.",
        _secrets,
    ),
)

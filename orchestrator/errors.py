"""Defines every error a user can meet, drawn as one tree.

OrchestratorError                   carries code, exit_status and hint; never prints
├── Refused             exit 2      usage, configuration, trust: nothing was changed
│   ├── ConfigInvalid               every problem of the configuration at once, with file and line
│   ├── PlanInvalid                 a plan file that is no directed acyclic graph of phases
│   ├── MigrationRefused            every reason why a migration does not begin, at once
│   └── NotTrusted                  something the repository supplies would have run
├── AnswerIsNo          exit 1      gates unmet, findings over a threshold
├── Failed              exit 3      an agent, a conflict or the environment; state is saved
│   ├── GitFailed                   git ended with a status we did not expect
│   ├── DiskFailed                  full, read-only or broken storage
│   ├── MigrationConflict           old and new both exist and differ, or changed since
│   ├── StateDamaged                the database cannot be read
│   └── StateLost                   somebody removed `.orchestrator/` under a live run
├── CredentialMissing   exit 4      no key, or none that opens what is there
│   └── SecretMissing               no place has a value, and every place is named
├── Locked              exit 5      another process holds it, and is named
└── Paused              exit 6      waits for a person, a time or a quota

A class exists when somebody handles it differently or it needs another exit status; what differs only
in its sentence is an instance with a `code` of its own.
"""

from __future__ import annotations


class OrchestratorError(Exception):
    """Says what happened (`message`), under a stable name (`code`), and what to type next (`hint`)."""

    exit_status = 70

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint


class Refused(OrchestratorError):
    """The request cannot be served as it stands; nothing was changed."""

    exit_status = 2


class ConfigInvalid(Refused):
    """The configuration has problems, each already worded as `path:line:column: sentence`."""

    def __init__(self, problems: tuple[str, ...], *, hint: str = "") -> None:
        count = len(problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(
            f"The configuration has {count} {noun}.",
            code="config-invalid",
            hint=hint or "Correct the places named above, then: orchestrator config validate",
        )
        self.problems = problems


class PlanInvalid(Refused):
    """A plan cannot be executed; the sentence names the phase."""

    def __init__(self, message: str, *, hint: str = "Correct the plan file and try again.") -> None:
        super().__init__(message, code="plan-invalid", hint=hint)


class MigrationRefused(Refused):
    """A migration cannot begin; `problems` are the reasons, each one line. Nothing was changed."""

    def __init__(self, problems: tuple[str, ...], *, code: str, hint: str) -> None:
        count = len(problems)
        super().__init__(
            f"The migration cannot begin, for {count} {'reason' if count == 1 else 'reasons'}.",
            code=code,
            hint=hint,
        )
        self.problems = problems


class NotTrusted(Refused):
    """Commands supplied by the repository would have run, and nobody has approved them."""

    def __init__(self, commands: tuple[str, ...]) -> None:
        super().__init__(
            "This repository's configuration would run commands that you have not approved.",
            code="not-trusted",
            hint="Look at them and approve them with: orchestrator trust",
        )
        self.commands = commands


class AnswerIsNo(OrchestratorError):
    """The work was done and the answer is no: gates unmet, findings over a threshold."""

    exit_status = 1


class Failed(OrchestratorError):
    """An agent, a conflict or the environment failed; what was reached is saved."""

    exit_status = 3


class GitFailed(Failed):
    """A git command ended with a status that its caller did not expect."""

    def __init__(self, *, command: str, status: int, stderr: str) -> None:
        reason = stderr.strip().splitlines()[-1] if stderr.strip() else f"exit status {status}"
        super().__init__(
            f"git {command} failed: {reason}",
            code="git-failed",
            hint="Look at the repository with: orchestrator doctor",
        )
        self.command = command
        self.status = status
        self.stderr = stderr


class DiskFailed(Failed):
    """Storage is full, read-only or broken; what was there before is untouched."""

    def __init__(self, *, path: str, reason: str, code: str = "disk-failed", hint: str = "") -> None:
        super().__init__(
            f"Cannot write {path}: {reason}.",
            code=code,
            hint=hint or "Make the place writable or free space, then run the same command again.",
        )
        self.path = path


class MigrationConflict(Failed):
    """Old and new both exist and differ, or moved files changed since; both are kept, nothing was chosen."""

    def __init__(self, message: str, problems: tuple[str, ...], *, code: str, hint: str) -> None:
        super().__init__(message, code=code, hint=hint)
        self.problems = problems


class StateDamaged(Failed):
    """The database cannot be read; it was not changed."""

    def __init__(self, *, path: str, reason: str) -> None:
        super().__init__(
            f"The state in {path} is damaged: {reason}.",
            code="state-damaged",
            hint="Put it aside and rebuild it from the checkpoints: orchestrator doctor --recover",
        )
        self.path = path


class StateLost(Failed):
    """`.orchestrator/` was removed or replaced while this process was using it."""

    def __init__(self, *, path: str) -> None:
        super().__init__(
            f"{path} was removed or replaced while it was in use; the run was stopped.",
            code="state-lost",
            hint="Bring runs back from their checkpoints: orchestrator doctor --recover",
        )
        self.path = path


class CredentialMissing(OrchestratorError):
    """A key that an agent needs was found in none of the places looked at."""

    exit_status = 4


class SecretMissing(CredentialMissing):
    """Secrets have no value; `problems` hold a line for each, with every place looked at."""

    def __init__(self, names: tuple[str, ...], problems: tuple[str, ...]) -> None:
        listed = ", ".join(names)
        super().__init__(
            f"There is no value for {listed}.",
            code="secret-missing",
            hint=f"Store it with: orchestrator secrets set {names[0]}",
        )
        self.names = names
        self.problems = problems


class Locked(OrchestratorError):
    """Another process holds the lock; `holder` describes it as pid, host, command and since when."""

    exit_status = 5

    def __init__(self, *, what: str, holder: str) -> None:
        super().__init__(
            f"{what} is in use by {holder}.",
            code="locked",
            hint="Wait for it to end, or look at it with: orchestrator status",
        )
        self.holder = holder


class Paused(OrchestratorError):
    """The run waits for a person, a time or a quota; nothing is wrong."""

    exit_status = 6

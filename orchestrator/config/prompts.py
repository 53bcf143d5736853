"""The templates of prompts: ours, and those of the repository in `.orchestrator/prompts/`, which go before.

What a repository supplies is read once, so that what is trusted is what is used, and kept with the run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from orchestrator.config.files import Unreadable, read
from orchestrator.config.origin import printable
from orchestrator.config.schema import Config
from orchestrator.config.trust import RunnableCommand
from orchestrator.errors import Refused
from orchestrator.model.prompt import require_known
from orchestrator.paths import names

KINDS = ("implement", "review", "refine", "suggestions", "test", "document", "fix", "plan")
"""The tasks of steps that have a template of their own."""

STEP = "step"
"""The template of steps with a task of the user's own words."""

PLANNER = "planner"
"""The template by which a planner is asked."""

PLACEHOLDERS = frozenset(
    {"task", "kind", "description", "phase", "criteria", "attempt", "findings", "outputs", "changes"}
    | {"answer_format"}
)
PLANNER_PLACEHOLDERS = frozenset({"task", "files", "checks", "answer_format", "problem"})

_OUTPUTS = "outputs."
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MAX_FILES = 100
MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SuppliedPrompt:
    """A template of the repository: the task it is for, its text, its name; `refusal` if unusable."""

    kind: str
    name: str
    text: str = ""
    refusal: Refused | None = None

    @property
    def sha256(self) -> str:
        """Returns the hash of its text, or of why it has none."""
        told = self.text if self.refusal is None else "\0" + self.refusal.message
        return hashlib.sha256(told.encode()).hexdigest()

    def told(self) -> RunnableCommand:
        """Returns what a person approves with it: agents are told what it says."""
        return RunnableCommand(
            self.name, (), (f"tells agents what {self.kind} means", f"sha256 {self.sha256[:16]}")
        )


def supplied_prompts(checkout: Path, home: Path) -> tuple[SuppliedPrompt, ...]:
    """Returns the files `prompts/*.md` of a checkout, else of the one that holds the state; sorted."""
    for root in dict.fromkeys((checkout, home)):
        directory = root / names.DIRECTORY / names.PROMPTS
        if directory.is_dir() and not directory.is_symlink() and not directory.parent.is_symlink():
            found = sorted(directory.glob("*.md"))
            return tuple(_read(path, root) for path in found[:_MAX_FILES] if _FILE.fullmatch(path.stem))
    return ()


def own_template(kind: str) -> str:
    """Returns the template that this version brings for a task; that of `step` for the user's own words."""
    name = kind if kind in (*KINDS, PLANNER) else STEP
    return (resources.files("orchestrator.config") / "templates" / f"{name}.md").read_text("utf-8")


def template(kind: str, supplied: Mapping[str, str]) -> str:
    """Returns the template for a task: the repository's, else ours.

    For a word of the user's own that is the template of that name, then that of `step`.
    """
    if kind in supplied:
        return supplied[kind]
    if kind not in (*KINDS, PLANNER) and STEP in supplied:
        return supplied[STEP]
    return own_template(kind)


def known_placeholders(tasks: tuple[str, ...]) -> frozenset[str]:
    """Returns the placeholders of steps; `tasks` are the words that the workflow has for its own."""
    words = {word for word in (*KINDS, *tasks) if _FILE.fullmatch(word)}
    return PLACEHOLDERS | {f"{_OUTPUTS}{word}" for word in words}


def check_prompts(supplied: tuple[SuppliedPrompt, ...], tasks: tuple[str, ...]) -> None:
    """Makes sure that the repository's templates can be used.

    Raises:
        Refused: `prompt-unreadable`, one is too large, or no text; `prompt-placeholder`, one is unknown.
    """
    for prompt in supplied:
        if prompt.refusal is not None:
            raise prompt.refusal
        known = PLANNER_PLACEHOLDERS if prompt.kind == PLANNER else known_placeholders(tasks)
        require_known(prompt.text, prompt.name, known)


def check_config_prompts(config: Config, supplied: tuple[SuppliedPrompt, ...]) -> None:
    """Makes sure that the repository's templates, and the prompts of steps, can be used; raises the same."""
    steps = [
        (f"workflows.{name}.steps.{index}.prompt", step)
        for name, workflow in config.workflows.items()
        for index, step in enumerate(workflow.steps)
    ]
    tasks = tuple(step.task for _, step in steps)
    check_prompts(supplied, tasks)
    for where, step in steps:
        require_known(step.prompt or "", where, known_placeholders(tasks))


def unused_prompts(supplied: tuple[SuppliedPrompt, ...], tasks: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names of templates that are for no task of any workflow, such as misspelt ones."""
    used = {*KINDS, *tasks, STEP, PLANNER}
    return tuple(prompt.name for prompt in supplied if prompt.kind not in used)


def prompt_name(kind: str) -> str:
    """Returns what the file of a template is called for people."""
    return printable(f"{names.DIRECTORY}/{names.PROMPTS}/{kind}.md", 4096)


def _read(path: Path, root: Path) -> SuppliedPrompt:
    name = prompt_name(path.stem)
    try:
        text = _text(read(path, inside=root) or b"")
    except Unreadable as error:
        refusal = Refused(
            f"The template {name} {error}.",
            code="prompt-unreadable",
            hint="Correct it, or remove it: our own template is used then.",
        )
        return SuppliedPrompt(path.stem, name, refusal=refusal)
    return SuppliedPrompt(path.stem, name, text)


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise Unreadable(f"is larger than {MAX_BYTES:,} bytes")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise Unreadable("is no UTF-8 text") from None

"""What a scripted model does, one step per answer, and how a step becomes a call of the agent's own tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """Has the agent write a file with its own tool; `path` is relative to the script's directory.

    Where the script names no directory, or the agent has no tool for it, the shell writes it.
    """

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class Shell:
    """Has the agent run a command with its own tool; `more` are further arguments of that tool."""

    command: str
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """Calls a tool by its name, whether the agent has it or not."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """Says something and ends the turn."""

    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Refuses the request with an HTTP status."""

    status: int
    message: str = "scripted failure"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silence:
    """Keeps the connection open and says nothing until the server is closed or the time is over."""

    seconds: float = 600.0


Step = Write | Shell | Call | Answer | Failure | Silence
Script = tuple[Step, ...]

WRITES_HELLO: Script = (Write("hello.py", "print('hello')\n"), Answer("I wrote hello.py."))


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer before it is put into a wire format; free-form tools take a string for arguments."""

    text: str = ""
    tool: str = ""
    arguments: Mapping[str, Any] | str = field(default_factory=dict)


def _as_patch(path: str, content: str) -> str:
    added = "".join(f"+{line}\n" for line in content.splitlines())
    return f"*** Begin Patch\n*** Add File: {path}\n{added}*** End Patch\n"


def _file_path(path: str, content: str) -> Json:
    return {"file_path": path, "content": content}


# In order of preference. Source: the tools declared by claude 2.1.197, gemini 0.61.0, opencode 1.18.33,
# copilot 1.0.102 and codex 0.169.0 in their requests; `write` is also what the built-in agent calls it.
_WRITERS: Mapping[str, Callable[[str, str], Json]] = {
    "Write": _file_path,
    "write_file": _file_path,
    "write": lambda path, content: {"filePath": path, "content": content},
    "create": lambda path, content: {"path": path, "file_text": content},
    "apply_patch": lambda path, content: {"input": _as_patch(path, content)},
}


def _described(command: str) -> Json:
    return {"command": command, "description": "scripted"}


_SHELLS: Mapping[str, Callable[[str], Json]] = {
    "Bash": _described,
    "run_shell_command": _described,
    "bash": _described,
    "exec_command": lambda command: {"cmd": command},
    "shell_command": lambda command: {"command": command},
    "shell": lambda command: {"command": ["bash", "-lc", command]},
}


def reply_to(step: Step, tools: Mapping[str, str], directory: Path | None) -> Reply:
    """Returns the answer for a step, given the tools that the request declares (name to kind)."""
    match step:
        case Write(path, content):
            return _writing(path, content, tools, directory)
        case Shell(command, more):
            return _running(command, more, tools)
        case Call(tool, arguments):
            return Reply(tool=tool, arguments=arguments)
        case Answer(text):
            return Reply(text=text)
        case _:
            return Reply(text="nothing is left to say")


def _writing(path: str, content: str, tools: Mapping[str, str], directory: Path | None) -> Reply:
    known = [name for name in _WRITERS if name in tools]
    if directory is None or not known:
        quoted = content.replace("'", "'\\''")
        return _running(f"printf '%s' '{quoted}' > '{directory / path if directory else path}'", {}, tools)
    whole = str(directory / path)
    if tools[known[0]] == "custom":
        return Reply(tool=known[0], arguments=_as_patch(whole, content))
    return Reply(tool=known[0], arguments=_WRITERS[known[0]](whole, content))


def _running(command: str, more: Mapping[str, Any], tools: Mapping[str, str]) -> Reply:
    for name, arguments in _SHELLS.items():
        if name in tools:
            return Reply(tool=name, arguments={**arguments(command), **more})
    return Reply(text=f"there is no usable tool among {', '.join(sorted(tools))}")

"""Tells from environment variables what kind of machine this is, and what follows from it; pure.

Standard library without `dataclasses`, because the front door of `status` asks on every call.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Kind = tuple[str, str, tuple[str, ...], tuple[str, ...], bool]

_KINDS: tuple[Kind, ...] = (
    # name, title, variables of which one must be set, variables that tell this one from others, does it last
    (
        "claude-web",
        "Claude Code on the web",
        ("CLAUDE_CODE_REMOTE",),
        ("CLAUDE_CODE_REMOTE_SESSION_ID",),
        False,
    ),
    ("codespace", "GitHub Codespaces", ("CODESPACES",), ("CODESPACE_NAME",), False),
    ("ona", "Ona", ("GITPOD_ENVIRONMENT_ID",), ("GITPOD_ENVIRONMENT_ID",), False),
    ("gitpod", "Gitpod", ("GITPOD_WORKSPACE_ID",), ("GITPOD_WORKSPACE_ID",), False),
    (
        "github-actions",
        "GitHub Actions",
        ("GITHUB_ACTIONS",),
        ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB"),
        False,
    ),
    ("gitlab-ci", "GitLab CI", ("GITLAB_CI",), ("CI_JOB_ID",), False),
    ("jenkins", "Jenkins", ("JENKINS_URL",), ("BUILD_TAG",), False),
    ("coder", "a Coder workspace", ("CODER_WORKSPACE_NAME",), ("CODER_WORKSPACE_NAME",), True),
    ("devpod", "a DevPod workspace", ("DEVPOD",), (), True),
    ("dev-container", "a dev container", ("REMOTE_CONTAINERS",), (), True),
    ("ci", "a CI job", ("CI",), (), False),
)
"""Source: the environments' own documentation; the most telling first, because several also set `CI`."""

PLAIN = "machine"
_NO = ("", "0", "false", "no", "off")
_FORWARDING = "GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN"
_PARTS = 128
"""Characters of a variable that are used: names of codespaces have about 50, and differ at their end."""


class Environment:
    """What kind of machine this is; equal values describe the same one.

    `name` is a word for ids and documents, `title` is for people; `instance` tells it from others of its
    kind (empty where nothing does); `evidence` are the variables that gave it away; `lasts` whether files
    outlive the machine; `link_form` the address of a forwarded port with `{port}` in it, or empty.
    """

    __slots__ = ("evidence", "instance", "lasts", "link_form", "name", "title")

    def __init__(
        self, name: str, title: str, instance: str, evidence: tuple[str, ...], lasts: bool, link_form: str
    ) -> None:
        self.name = name
        self.title = title
        self.instance = instance
        self.evidence = evidence
        self.lasts = lasts
        self.link_form = link_form

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Environment) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    def __hash__(self) -> int:
        return hash((self.name, self.instance))

    def link(self, port: int) -> str:
        """Returns the address under which others reach a port of this machine; empty where there is none."""
        return self.link_form.replace("{port}", str(port))


def detect(variables: Mapping[str, str]) -> Environment:
    """Returns the environment that `variables` describe; a machine like any other where they tell nothing."""
    for name, title, marks, instance, lasts in _KINDS:
        found = tuple(mark for mark in marks if is_set(variables, mark))
        if found:
            parts = [plain_word(variables[key]) for key in instance if variables.get(key)]
            return Environment(name, title, "-".join(parts), found, lasts, _link_form(name, variables))
    return Environment(PLAIN, "a machine that lasts", "", (), True, "")


def is_set(variables: Mapping[str, str], name: str) -> bool:
    """Returns whether a variable is there and does not say no."""
    return variables.get(name, "").strip().lower() not in _NO


def plain_word(text: str) -> str:
    """Returns the first characters of `text` with everything but letters, digits, `.`, `_`, `-` as `_`."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in text[:_PARTS])


def _link_form(name: str, variables: Mapping[str, str]) -> str:
    workspace, domain = variables.get("CODESPACE_NAME", ""), variables.get(_FORWARDING, "")
    if name != "codespace" or not workspace or not domain:
        return ""
    return f"https://{plain_word(workspace)}-{{port}}.{plain_word(domain)}"


def boot_key(environment: Environment, boot_id: str, node: str) -> str:
    """Returns what tells this boot of this machine from all others; `node` serves where no boot is known."""
    return f"{boot_id or plain_word(node) or 'unknown'}/{environment.name}/{environment.instance}"


class WebMode:
    """Whether sessions keep state of their own here, and each single consequence.

    `sessions`: a state tree under `sessions/<id>`; `no_input`: nobody is asked; `no_keyring`: the keyring of
    the system is left alone; `links`: addresses of forwarded ports are shown; `trailers`: commits name their
    session; `prune`: a run that ends makes room.
    """

    __slots__ = (
        "environment",
        "links",
        "no_input",
        "no_keyring",
        "on",
        "prune",
        "sessions",
        "trailers",
        "why",
    )

    def __init__(
        self, environment: Environment, mode: bool | str, parts: Mapping[str, bool | str] | None = None
    ) -> None:
        chosen = parts or {}
        self.environment = environment
        self.on = mode if isinstance(mode, bool) else not environment.lasts
        said = "true" if mode is True else "false" if mode is False else "auto"
        self.why = f"web_mode: {said}"
        self.sessions = self._part(chosen, "sessions")
        self.no_input = self._part(chosen, "no_input")
        self.no_keyring = self._part(chosen, "no_keyring")
        self.links = self._part(chosen, "links")
        self.trailers = self._part(chosen, "trailers")
        self.prune = self._part(chosen, "prune")

    def _part(self, chosen: Mapping[str, bool | str], name: str) -> bool:
        value = chosen.get(name, "auto")
        return value if isinstance(value, bool) else self.on

    @property
    def differs(self) -> bool:
        """Returns whether there is anything to tell: a special environment, or a consequence that holds."""
        return bool(self.environment.evidence) or bool(self.consequences())

    def consequences(self) -> tuple[str, ...]:
        """Returns what follows here, in words."""
        told = (
            (self.sessions, "each session keeps a state of its own"),
            (self.no_input, "nobody is asked"),
            (self.no_keyring, "the keyring is left alone"),
            (self.links and bool(self.environment.link_form), "links go to the forwarding domain"),
            (self.trailers, "commits name their session"),
            (self.prune, "room is made when a run ends"),
        )
        return tuple(words for holds, words in told if holds)

    def sentence(self) -> str:
        """Returns what was detected and what follows, in one line."""
        follows = "; ".join(self.consequences()) or "nothing follows from it"
        marks = f" ({', '.join(self.environment.evidence)})" if self.environment.evidence else ""
        return f"{self.environment.title}{marks}, {self.why}: {follows}"

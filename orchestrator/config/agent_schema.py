"""Declares what `workflow.yaml` says of agents, models and their tools."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from orchestrator.config.section import (
    AGENT_ENTRIES,
    KINDS,
    PRESETS,
    REVIEWING,
    Amount,
    Approve,
    Argv,
    Kind,
    Name,
    Parallel,
    Pattern,
    Price,
    Sandbox,
    Seconds,
    SecretName,
    Section,
    Text,
    VariableName,
    Word,
    later,
)


class Model(Section):
    """A language model for agents of kind llm."""

    provider: Name = Field(description="Who serves it: ollama, openai, anthropic, google or an entry point.")
    name: Annotated[str, Field(min_length=1)] = Field(description="The provider's name of the model.")
    base_url: Text | None = Field(
        None, description="Another address of the provider's interface; plain http to this machine alone."
    )
    temperature: float | None = Field(None, ge=0, le=2, description="How freely it chooses its words.")
    max_tokens: Amount | None = Field(None, description="Tokens of an answer at most.")
    context_window: Amount | None = Field(
        None,
        description="Tokens that it can take in: of longer conversations old results of tools are left out.",
    )
    capabilities: tuple[Literal["chat", "tools"], ...] = Field(
        (),
        description="What it can do. One that can only `chat` is given no tools: files are taken from its "
        "answer. None: both.",
    )
    input_usd_per_mtok: Price | None = Field(
        None, description="US dollars for a million tokens that it is sent; goes before the known prices."
    )
    output_usd_per_mtok: Price | None = Field(
        None, description="US dollars for a million tokens of its answers; goes before the known prices."
    )


class Agent(Section):
    """A coding agent: a preset, a model, any program that speaks ACP, or any command."""

    kind: Kind = Field(
        description="What it is: `command`, `acp` (any program that speaks the Agent Client Protocol on its "
        "standard streams), `llm` (a model with our tools), a preset, or what an installed package brings; "
        "needless for an agent named like its kind."
    )
    command: Annotated[tuple[Word, ...], Field(min_length=1)] | None = Field(
        None,
        description="Kinds command and acp: the words of its command line, started without a shell. Kind "
        "command: `{prompt}`, `{prompt_file}` and `{worktree}` are replaced.",
    )
    stdin: Literal["prompt", "none"] = Field(
        "none", description="Kind command: what its standard input receives."
    )
    model: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="Presets and kind acp: the model that the agent is told to use. Kind llm: a name in "
        "`models`; needless where there is one alone, or none and Ollama answers on this machine.",
    )
    via: Literal["auto", "acp", "headless"] = Field(
        "auto",
        description="Presets: how it is led. `auto` is ACP where the agent or its bridge can speak it and "
        "nothing is asked that only its headless form can do: `args`, or a limit that it keeps itself.",
    )
    mode: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="Kind acp: the id of the session mode that is set."
    )
    authenticate: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="Kind acp: the id of the authentication method that is asked for at the start."
    )
    args: tuple[Word, ...] = Field((), description="Further words for its command line.")
    env: dict[VariableName, Text] = Field(
        default_factory=dict,
        description="Variables added to its otherwise minimal environment. Those whose name or value looks "
        "secret are kept with no run and taken out of everything written.",
    )
    timeout_s: Seconds | None = Field(
        None, description="Seconds after which a turn is ended; null: as in `execution`."
    )
    idle_timeout_s: Seconds | None = Field(
        None, description="Seconds without any output after which a turn is ended; null: as in `execution`."
    )
    secrets: tuple[SecretName, ...] = Field(
        (), description="Names of the secrets that it receives as variables; it gets no others."
    )
    state: Literal["contained", "shared"] | None = Field(
        None,
        description="Presets: where it keeps its own sessions, settings and login. `contained`: in "
        "`.orchestrator/agents/`; `shared`: in your own place for it, with your login. Null: contained where "
        "its key comes from `env` or `secrets`, else shared.",
    )
    sandbox: Sandbox = later("off", "Whether its processes are confined.")
    allowed_paths: tuple[Pattern, ...] = later((), "Patterns of files that it may change; none: all.")
    max_parallel: Parallel | None = Field(
        None,
        description="Turns of this agent at the same time at most, in all runs of this repository; those of "
        "kind llm that share a provider are counted together. null: any number.",
    )
    approve: Approve | None = later(None, "What a person must approve; null: as in `approve`.")

    @field_validator("kind")
    @classmethod
    def _is_brought_by_somebody(cls, kind: str) -> str:
        if kind in KINDS:
            return kind
        import difflib
        from importlib.metadata import entry_points  # 20 ms that only files with such agents pay

        known = (*KINDS, *sorted({entry.name for entry in entry_points(group=AGENT_ENTRIES)}))
        if kind in known:
            return kind
        near = difflib.get_close_matches(kind, known, n=1)
        meant = f"; did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"there is no kind {kind!r} (there are {', '.join(known)}){meant}")

    @model_validator(mode="after")
    def _belongs_together(self) -> Agent:
        rules = {"command": self._of_command, "acp": self._of_acp, "llm": self._of_llm}
        rules.get(self.kind, self._of_preset if self.kind in PRESETS else self._of_package)()
        if self.kind != "acp" and (self.mode is not None or self.authenticate is not None):
            raise ValueError(f"`mode` and `authenticate` belong to kind acp, not to kind {self.kind}")
        if self.kind not in PRESETS and self.state is not None:
            raise ValueError(f"`state` belongs to presets: nothing is known of the state of kind {self.kind}")
        if self.kind not in PRESETS and self.via != "auto":
            raise ValueError(f"`via` belongs to presets; an agent of kind {self.kind} is led in one way")
        reserved = [name for name in self.env if name.upper().startswith("ORCHESTRATOR_")]
        if reserved:
            raise ValueError(f"the variable {reserved[0]} is set by orchestrator itself")
        return self

    def _of_command(self) -> None:
        if self.command is None:
            raise ValueError("an agent of kind command needs `command`, a list of words")
        if not self.command[0]:
            raise ValueError("the first word of `command` names the program and cannot be empty")
        if self.model is not None:
            raise ValueError("`model` means nothing to an agent of kind command: name it in `command`")

    def _of_acp(self) -> None:
        if self.command is None:
            raise ValueError("an agent of kind acp needs `command`, a list of words")
        if not self.command[0]:
            raise ValueError("the first word of `command` names the program and cannot be empty")
        if self.stdin != "none":
            raise ValueError("`stdin` belongs to kind command: an agent of kind acp is asked over ACP")

    def _of_llm(self) -> None:
        self._of_preset()
        if self.args:
            raise ValueError(f"`args` are words of a command line; an agent of kind {self.kind} has none")

    def _of_package(self) -> None:
        self._of_llm()
        if self.model is not None:
            raise ValueError(f"`model` means nothing to an agent of kind {self.kind}, which brings its own")

    def _of_preset(self) -> None:
        if self.command is not None or self.stdin != "none":
            raise ValueError(f"`command` and `stdin` belong to kind command; `{self.kind}` brings its own")


class Roles(Section):
    """Agents for steps that name none."""

    planner: Name | None = Field(
        None,
        description="The agent that is asked for the plan of a run (not with `--agent`, `--command` or "
        "`--plan`), and that takes steps of the task plan that name none. null: one phase.",
    )
    reviewer: Name | None = Field(
        None, description="The agent that takes steps of the tasks review and suggestions that name none."
    )

    def agent_for(self, task: str) -> str | None:
        """Returns the agent of a step with this task that names none, None where no role fits."""
        if task in REVIEWING:
            return self.reviewer
        return self.planner if task == "plan" else None


OWN_TOOLS = ("read", "search", "edit_file", "write", "run")


class Tool(Section):
    """A tool for agents of kind llm, or the permission of one that they have anyway."""

    description: Text = Field("", description="What the model is told about it.")
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict, description="JSON schema of what it takes: an object with `properties`."
    )
    run: Argv | None = Field(
        None,
        description="The command that does it, started in the tree without a shell. `{name}` is replaced by "
        "the argument of that name; all of them are on its standard input as JSON.",
    )
    permission: Literal["allow", "ask", "deny"] = Field(
        "ask",
        description="Whether it may be used. `ask`: a person would have to allow it, so that it is refused "
        "where nobody can be asked. `deny`: the model is not told of it.",
    )

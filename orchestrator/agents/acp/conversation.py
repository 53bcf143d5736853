"""Leads one turn with an agent over ACP: the only module that imports the SDK. Imported while a turn runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import acp
from acp import schema
from pydantic import BaseModel, ValidationError

from orchestrator import __version__
from orchestrator.agents.acp.narrator import Narrator
from orchestrator.agents.acp.permission import Decide, choose
from orchestrator.agents.acp.speaker import Speaker
from orchestrator.agents.acp.stream import AgentStream
from orchestrator.agents.acp.told import Told
from orchestrator.agents.causes import cause_of
from orchestrator.model.agent import AgentEvent, Cause, Opened

_AUTH_REQUIRED = -32000
_METHOD_NOT_FOUND = -32601
_MAX_WORDS = 500


@dataclass(frozen=True, slots=True)
class Speech:
    """What is asked of the agent: `continues` is the session to go on with, `model` one to be set in it.

    `opened_with` is the model that it was started with; `method` the authentication to ask for.
    """

    speaker: Speaker
    cwd: str
    prompt: str
    continues: str = ""
    model: str = ""
    opened_with: str = ""
    method: str = ""


class _Unfit(Exception):
    """The agent does not offer what the turn needs."""

    def __init__(self, problem: str, cause: Cause = Cause.PROTOCOL) -> None:
        super().__init__(problem)
        self.cause = cause


class Conversation:
    """One turn: from `initialize` to the answer of `session/prompt`."""

    def __init__(
        self,
        speech: Speech,
        stream: AgentStream,
        narrator: Narrator,
        *,
        tell: Callable[[AgentEvent], None],
        decide: Decide,
    ) -> None:
        self._speech = speech
        self._stream = stream
        self._narrator = narrator
        self._tell = tell
        self._decide = decide
        self._step = ""
        self._session = ""
        self._cancelled = False
        self._conn = acp.connect_to_agent(cast(acp.Client, _Client(self)), stream)

    async def hold(self) -> Told:
        """Returns what the agent said of the end of its turn; raises nothing that the agent caused."""
        try:
            await self._open()
            self._narrator.live = True
            return await self._prompt()
        except acp.RequestError as error:
            return self._refusal(error)
        except ValidationError as error:
            return Told(
                problem=f"{self._step}: its answer is not ACP: {_places(error)}", cause=Cause.PROTOCOL
            )
        except ConnectionError:
            problem = self._stream.problem
            return Told(problem=problem, cause=Cause.PROTOCOL, lost=not problem)
        except _Unfit as unfit:
            return Told(problem=str(unfit), cause=unfit.cause)

    async def cancel(self) -> bool:
        """Asks the agent to end its turn; returns False when there is none that it could end."""
        if not (self._narrator.live and self._session) or self._cancelled:
            return False
        self._cancelled = True
        await self._conn.cancel(session_id=self._session)
        return True

    async def listen(self) -> None:
        """Ends the agent's input and listens until it has ended: what it says late counts too."""
        self._stream.wire.close()
        await self._stream.over.wait()
        await self._conn.close()

    async def _open(self) -> None:
        self._step = "initialize"
        able = await self._conn.initialize(
            protocol_version=acp.PROTOCOL_VERSION,
            client_capabilities=schema.ClientCapabilities(
                fs=schema.FileSystemCapabilities(read_text_file=False, write_text_file=False), terminal=False
            ),
            client_info=schema.Implementation(name="orchestrator", version=__version__),
        )
        if able.protocol_version != acp.PROTOCOL_VERSION:
            raise _Unfit(
                f"it speaks version {able.protocol_version} of ACP, not version {acp.PROTOCOL_VERSION}"
            )
        offered = [method.id for method in able.auth_methods or ()]
        if self._speech.speaker.authenticates_first:
            await self._authenticate(offered)
        session = await self._enter(able.agent_capabilities or schema.AgentCapabilities(), offered)
        options = list(_options(session.config_options))
        self._tell(Opened(self._session, self._speech.opened_with or _current(options, "model")))
        await self._set_mode(session.modes, options)
        await self._set_model(options)

    async def _authenticate(self, offered: list[str]) -> None:
        self._step = "authenticate"
        method = self._speech.method
        if method and method not in offered:
            names = ", ".join(offered) or "none"
            raise _Unfit(
                f"it does not offer to authenticate by {method} (it offers: {names})", Cause.CREDENTIAL
            )
        if method:
            await self._conn.authenticate(method_id=method)

    async def _enter(
        self, able: schema.AgentCapabilities, offered: list[str]
    ) -> schema.NewSessionResponse | schema.LoadSessionResponse:
        """Opens the session; where that needs authentication first, once more after it."""
        if self._speech.continues and not able.load_session:
            raise _Unfit("it cannot go on with an earlier session", Cause.SESSION_LOST)
        try:
            return await self._new_or_loaded()
        except acp.RequestError as error:
            can_retry = self._speech.method and not self._speech.speaker.authenticates_first
            if error.code != _AUTH_REQUIRED or not can_retry:
                raise
        await self._authenticate(offered)
        return await self._new_or_loaded()

    async def _new_or_loaded(self) -> schema.NewSessionResponse | schema.LoadSessionResponse:
        speech = self._speech
        if not speech.continues:
            self._step = "session/new"
            made = await self._conn.new_session(cwd=speech.cwd, mcp_servers=[])
            self._session = made.session_id
            return made
        self._step = "session/load"
        loaded = await self._conn.load_session(cwd=speech.cwd, session_id=speech.continues, mcp_servers=[])
        self._session = speech.continues
        return loaded

    async def _set_mode(
        self, modes: schema.SessionModeState | None, options: list[schema.SessionConfigOptionSelect]
    ) -> None:
        self._step = "session/set_mode"
        offered = [mode.id for mode in modes.available_modes] if modes else []
        option = _option(options, "mode")
        choices = _choices(option) if option else {}
        for wanted in self._speech.speaker.modes:
            if wanted in offered:
                await self._conn.set_session_mode(session_id=self._session, mode_id=wanted)
                return
            if option and wanted in choices:
                await self._conn.set_config_option(option.id, self._session, wanted)
                return
        if self._speech.speaker.modes and (offered or choices):
            names = ", ".join([*offered, *choices][:10])
            raise _Unfit(f"it does not offer the mode {self._speech.speaker.modes[0]} (it offers: {names})")

    async def _set_model(self, options: list[schema.SessionConfigOptionSelect]) -> None:
        wanted = self._speech.model
        if not wanted:
            return
        self._step = "session/set_config_option"
        option = _option(options, "model")
        if option is None:
            raise _Unfit(f"it cannot be told over ACP to use the model {wanted}")
        choices = _choices(option)
        value = next((value for value, name in choices.items() if wanted in (value, name)), None)
        if value is None:
            raise _Unfit(f"it does not offer the model {wanted} (it offers: {', '.join(list(choices)[:10])})")
        await self._conn.set_config_option(option.id, self._session, value)

    async def _prompt(self) -> Told:
        self._step = "session/prompt"
        answer = await self._conn.prompt(
            session_id=self._session, prompt=[acp.text_block(_speakable(self._speech.prompt))]
        )
        tokens = _tokens(answer)
        unknown = (None, None, None)
        counted = tokens if tokens and self._speech.speaker.tokens_of_turn else unknown
        return Told(
            stop=answer.stop_reason,
            metered=tokens is not None,
            input_tokens=counted[0],
            output_tokens=counted[1],
            cached_tokens=counted[2],
        )

    def _refusal(self, error: acp.RequestError) -> Told:
        data = json.dumps(error.data, ensure_ascii=False) if error.data else ""
        words = f"{error} {data}".strip()
        cause = cause_of(words)
        if error.code == _AUTH_REQUIRED:
            cause = Cause.CREDENTIAL
        elif self._step == "session/load" and cause is Cause.OTHER:
            cause = Cause.SESSION_LOST
        elif error.code == _METHOD_NOT_FOUND and cause is Cause.OTHER:
            cause = Cause.PROTOCOL
        return Told(problem=f"{self._step}: {words}"[:_MAX_WORDS], cause=cause)

    def answer_permission(
        self, call: schema.ToolCallUpdate, options: list[schema.PermissionOption]
    ) -> str | None:
        """Returns the id of the option that the policy chooses, None for `cancelled`."""
        told = self._narrator.merged(cast(dict[str, Any], _plain(call)))
        allow = not self._cancelled and self._decide(told)
        chosen = choose([(option.option_id, option.kind) for option in options], allow=allow)
        self._narrator.asked(told, granted=allow and chosen is not None)
        return chosen


class _Client:
    """What the agent may call: it may ask for permission. No files and no terminal are offered."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    async def request_permission(
        self,
        session_id: str,
        tool_call: schema.ToolCallUpdate,
        options: list[schema.PermissionOption],
        **_: object,
    ) -> schema.RequestPermissionResponse:
        """Answers by the kind of an option."""
        chosen = self._conversation.answer_permission(tool_call, options)
        if chosen is None:
            return schema.RequestPermissionResponse(outcome=schema.DeniedOutcome(outcome="cancelled"))
        return schema.RequestPermissionResponse(
            outcome=schema.AllowedOutcome(outcome="selected", option_id=chosen)
        )


def _options(offered: list[Any] | None) -> Iterator[schema.SessionConfigOptionSelect]:
    for option in offered or ():
        if isinstance(option, schema.SessionConfigOptionSelect):
            yield option


def _option(
    options: list[schema.SessionConfigOptionSelect], what: str
) -> schema.SessionConfigOptionSelect | None:
    by_category = (option for option in options if option.category == what)
    by_id = (option for option in options if option.id == what)
    return next(by_category, None) or next(by_id, None)


def _current(options: list[schema.SessionConfigOptionSelect], what: str) -> str:
    option = _option(options, what)
    return option.current_value if option else ""


def _choices(option: schema.SessionConfigOptionSelect) -> Mapping[str, str]:
    """Returns the names of an option's values, those in groups too."""
    found: dict[str, str] = {}
    for entry in option.options:
        members = entry.options if isinstance(entry, schema.SessionConfigSelectGroup) else [entry]
        found.update({member.value: member.name for member in members})
    return found


def _tokens(answer: schema.PromptResponse) -> tuple[int | None, int | None, int | None] | None:
    """Returns the input, output and cached tokens that an answer tells, None when it tells none.

    Some agents count what was cached apart from the input (claude-agent-acp 0.49.0, codex-acp 2.6.0: their
    total is the sum), we count it as a part of it.
    """
    told = answer.usage
    if told is not None:
        cached = (told.cached_read_tokens or 0) + (told.cached_write_tokens or 0)
        apart = told.total_tokens >= told.input_tokens + told.output_tokens + cached
        return told.input_tokens + cached * apart, told.output_tokens, told.cached_read_tokens
    quota = (answer.field_meta or {}).get("quota")
    count = quota.get("token_count") if isinstance(quota, dict) else None
    if not isinstance(count, dict):
        return None
    return _count(count.get("input_tokens")), _count(count.get("output_tokens")), None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _plain(model: BaseModel) -> object:
    return model.model_dump(by_alias=True, exclude_none=True, mode="json")


def _speakable(text: str) -> str:
    """Returns text that JSON can carry everywhere: bytes that were no UTF-8 are replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _places(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False)[:3]
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in found)

"""One supervised turn of an agent that speaks ACP: a stream of events, exactly one `Finished` last.

Three threads: one supervises the program, one talks with it (asyncio, because the SDK's wire needs it), and
the consumer's own, in which the events are handed out and a cancel is noticed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.agents.acp.conclusion import enter, settle
from orchestrator.agents.acp.conversation import Conversation, Speech
from orchestrator.agents.acp.narrator import Narrator, TurnLimits
from orchestrator.agents.acp.permission import Decide
from orchestrator.agents.acp.stream import AgentStream
from orchestrator.agents.acp.told import Told
from orchestrator.agents.backlog import Backlog
from orchestrator.agents.outcome import Facts, Rules, conclude
from orchestrator.agents.text import LineReader
from orchestrator.fs.disk import Disk
from orchestrator.model.agent import AgentEvent, Finished, Opened, Spent, Started
from orchestrator.model.run import Usage
from orchestrator.process.command import Command, Ended
from orchestrator.process.spawn import supervise

_POLL_S = 0.2
_SAY_AFTER_S = 1.0
_CANCEL_GRACE_S = 2.0
_FAREWELL_S = 2.0
_MAX_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What a turn needs: the program, what is asked of it, its limits, and who answers for permissions."""

    command: Command
    speech: Speech
    limits: TurnLimits
    decide: Decide


def take_turn(plan: Plan, cancelled: Callable[[], bool]) -> Iterator[AgentEvent]:
    """Yields `Started` (unless it cannot start), what the agent tells, and `Finished`.

    The program runs only after the consumer has asked for the event that follows `Started`. `cancelled` is
    called in the consumer's thread: the agent is asked to end its turn, and stopped when it has not done so
    after 2 s. When the iterator is closed or raises, everything is stopped at once before it returns.
    """
    if plan.command.log is not None:
        Disk().make_dir(Path(plan.command.log).parent)
    turn = _Turn(plan)
    turn.begin()
    try:
        yield from turn.events(cancelled)
    finally:
        turn.abandon()


class _Turn:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stop, self._recorded, self._over = threading.Event(), threading.Event(), threading.Event()
        self._errors = LineReader()
        self._complaints: deque[str] = deque(maxlen=_MAX_ERRORS)
        self._told: Told | None = None
        self._cancelled = False
        self._opened = Opened("")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stream = AgentStream(self._update, self._noise)
        self._backlog: Backlog[AgentEvent | Ended | BaseException] = Backlog(self._stream.hold)
        self._narrator = Narrator(self._put, limits=plan.limits, soon=self._soon, on_limit=self._ask_to_end)
        self._conversation: Conversation | None = None
        self._talker = threading.Thread(target=self._talk, name="agent-talk", daemon=True)
        self._supervisor = threading.Thread(target=self._supervise, name="agent-turn", daemon=True)

    def begin(self) -> None:
        self._talker.start()
        self._supervisor.start()

    def abandon(self) -> None:
        self._stop.set()
        self._recorded.set()
        self._backlog.close()
        self._supervisor.join()

    def events(self, cancelled: Callable[[], bool]) -> Iterator[AgentEvent]:
        ask_at = 0.0
        while True:
            if time.monotonic() >= ask_at:
                ask_at = time.monotonic() + _POLL_S
                if not self._cancelled and cancelled():
                    self._cancel()
            item = self._backlog.next(_POLL_S)
            match item:
                case None:
                    continue
                case Ended():
                    yield from self._last(item)
                    return
                case BaseException():
                    raise item
                case _:
                    yield item
                    if isinstance(item, Started):
                        self._recorded.set()

    def _supervise(self) -> None:
        try:
            result: Ended | BaseException = supervise(
                self._plan.command,
                on_started=self._started,
                on_error=self._hear_errors,
                cancelled=self._stop.is_set,
                wire=self._stream.wire,
            )
        except BaseException as error:
            result = error
        self._stream.arrived(b"")  # where it never came so far that the wire could tell
        self._over.set()
        self._talker.join()
        self._put(result)

    def _hear_errors(self, data: bytes) -> None:
        for line in self._errors.feed(data):
            self._complaints.append(line)
            self._narrator.trouble(line)

    def _started(self, process: tuple[int, int]) -> None:
        self._put(Started(process))
        self._recorded.wait()

    def _talk(self) -> None:
        try:
            asyncio.run(self._converse())
        except BaseException as error:
            self._put(error)
            self._stop.set()
        finally:
            if self._stream.problem or not self._over.wait(_FAREWELL_S):
                self._stop.set()

    async def _converse(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stream.attach(self._loop)
        try:
            self._conversation = Conversation(
                self._plan.speech, self._stream, self._narrator, tell=self._tell, decide=self._plan.decide
            )
            self._told = await self._conversation.hold()
            self._loop.call_later(_FAREWELL_S, self._stop.set)
            await self._conversation.listen()
            self._narrator.flush()
        finally:
            self._stream.attach(None)

    def _put(self, item: AgentEvent | Ended | BaseException) -> None:
        self._backlog.add((item,))

    def _tell(self, event: AgentEvent) -> None:
        if isinstance(event, Opened):
            self._opened = event
        self._put(event)

    def _update(self, update: dict[str, object]) -> None:
        self._narrator.update(update)

    def _noise(self, line: str) -> None:
        self._narrator.noise(line)

    def _soon(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_later(_SAY_AFTER_S, call)

    def _cancel(self) -> None:
        """Notices a cancel, unless the agent has come to its end already."""
        self._cancelled = self._told is None
        loop = self._loop
        if self._recorded.is_set() and loop is not None and self._told is None:
            try:
                loop.call_soon_threadsafe(self._ask_to_end)
                return
            except RuntimeError:
                pass  # the loop has ended meanwhile
        self._stop.set()
        self._recorded.set()

    def _ask_to_end(self) -> None:
        """Asks the agent to end its turn, from the loop's thread, and stops it when it does not."""
        if self._loop is not None:
            self._asking = self._loop.create_task(self._end_politely())

    async def _end_politely(self) -> None:
        if self._conversation is None or not await self._conversation.cancel():
            self._stop.set()
        elif self._loop is not None:
            self._loop.call_later(_CANCEL_GRACE_S, self._stop.set)

    def _last(self, ended: Ended) -> Iterator[AgentEvent]:
        told = self._told or Told(lost=True)
        narrator = self._narrator
        usage = Usage(
            input_tokens=told.input_tokens,
            output_tokens=told.output_tokens,
            cost_usd=narrator.cost_usd,
            cached_tokens=told.cached_tokens,
            turns=narrator.turns if narrator.live else None,
            cpu_s=ended.cpu_s,
            wall_s=ended.wall_s,
            peak_memory_bytes=ended.peak_memory_bytes,
        )
        if told.metered or narrator.cost_usd is not None:
            yield Spent(usage, self._opened.model)
        end = conclude(self._facts(told, ended, usage), self._rules())
        yield Finished(
            end.ending,
            ended.exit_status,
            end.detail,
            usage,
            narrator.answer,
            end.cause,
            self._opened.agent_session,
            self._opened.model,
        )

    def _facts(self, told: Told, ended: Ended, usage: Usage) -> Facts:
        account = self._narrator.account
        account.answer = self._narrator.answer
        enter(account, told, usage)
        return Facts(
            settle(ended, told, account, cancelled=self._cancelled),
            account,
            last_line=self._errors.last,
            errors="\n".join(self._complaints) if told.lost else "",
        )

    def _rules(self) -> Rules:
        return Rules(tells_end=True, is_metered=self._plan.speech.speaker.always_metered)

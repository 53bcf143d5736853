"""What a turn over ACP comes to, put into the words in which the outcome of every program is judged."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.agents.acp.told import Told
from orchestrator.agents.causes import cause_of
from orchestrator.agents.stream import Account
from orchestrator.model.run import Usage
from orchestrator.process.command import Ended

_STOPS = {
    "refusal": "the model refused to go on",
    "max_tokens": "its answer was cut off at the token limit of its model",
    "cancelled": "it ended the turn as cancelled, which nobody had asked for",
}


def enter(account: Account, told: Told, usage: Usage) -> None:
    """Writes what the agent said of its end into its account.

    A turn that it ended as cancelled because it was denied something is none that it failed in.
    """
    account.is_complete = bool(told.stop)
    account.usage = usage if told.input_tokens is not None or told.output_tokens is not None else None
    account.has_called = told.metered
    if told.problem:
        account.fail(told.problem, cause=told.cause)
    elif told.stop == "max_turn_requests":
        account.limit = account.limit or "it reached its own limit of requests to its model"
    elif told.stop in _STOPS and not (told.stop == "cancelled" and account.denied):
        # fast-agent 0.10.48 ends so where its service refused it, and tells why as its answer alone.
        account.fail(_STOPS[told.stop], cause=cause_of(account.answer))


def settle(ended: Ended, told: Told, account: Account, *, cancelled: bool) -> Ended:
    """Returns how the process ended, as far as that says anything of the turn.

    After its last word, or once it has reached a limit, we end it ourselves; where its output ended before
    that, so do we, and then that is its failure. `cancelled`: the end was asked for before its last word.
    """
    if cancelled:
        return replace(ended, cause="cancelled", detail="")
    by_itself = replace(ended, cause="exited", exit_status=0, signal=None)
    if told.stop or told.problem or account.limit:
        return by_itself
    if ended.cause == "cancelled":
        account.fail("its output ended before the turn was over")
        return by_itself
    return ended

"""A frozen configuration is read back exactly."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config.frozen import freeze, thaw
from orchestrator.config.schema import (
    Agent,
    Check,
    Config,
    Execution,
    Limits,
    Model,
    Step,
    Thresholds,
    Tool,
    Verify,
    Workflow,
    Worktrees,
)
from orchestrator.errors import Refused

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,10}", fullmatch=True)
WORDS = st.lists(TEXT, min_size=1, max_size=3).map(lambda words: ("x" + words[0], *words[1:]))
SECONDS = st.floats(0.001, 1e6)
COUNTS = st.none() | st.integers(0, 1_000_000)
AGENTS = st.builds(
    Agent,
    kind=st.just("command"),
    command=WORDS,
    stdin=st.sampled_from(["prompt", "none"]),
    args=st.lists(TEXT, max_size=2).map(tuple),
    env=st.dictionaries(st.from_regex(r"[A-NP-Z_][A-Z0-9_]{0,5}", fullmatch=True), TEXT, max_size=2),
    timeout_s=st.none() | SECONDS,
) | st.builds(Agent, kind=st.sampled_from(["claude", "codex"]), model=st.none() | st.just("m"))
STEPS = st.builds(
    Step, agent=st.none() | NAMES, description=TEXT, prompt=st.none() | TEXT, optional=st.booleans()
)
CHECKS = st.builds(Check, run=WORDS, parse=st.sampled_from([None, "ruff", "lines"]))
CHECK_LISTS = st.lists(CHECKS, max_size=2).map(tuple)
CONFIGS = st.builds(
    Config,
    **{"required-version": TEXT},
    models=st.dictionaries(
        NAMES, st.builds(Model, provider=NAMES, name=st.just("m"), temperature=st.floats(0, 2)), max_size=1
    ),
    tools=st.dictionaries(NAMES, st.builds(Tool, description=TEXT, run=WORDS), max_size=1),
    agents=st.dictionaries(NAMES, AGENTS, max_size=3),
    workflows=st.dictionaries(
        NAMES, st.builds(Workflow, steps=st.lists(STEPS, min_size=1, max_size=2).map(tuple)), max_size=2
    ),
    worktrees=st.builds(Worktrees, setup=st.lists(WORDS, max_size=2).map(tuple)),
    verify=st.builds(Verify, test=CHECK_LISTS, lint=CHECK_LISTS, custom=CHECK_LISTS),
    thresholds=st.builds(Thresholds, max_major=COUNTS, max_medium=COUNTS, max_minor=COUNTS),
    execution=st.builds(Execution, timeout_s=SECONDS, max_retries=st.integers(0, 100)),
    limits=st.builds(Limits, memory_mb=st.none() | st.integers(1, 2**50)),
    web_mode=st.sampled_from(["auto", True, False]),
    enforced=st.lists(TEXT, max_size=2).map(tuple),
)


@given(config=CONFIGS)
@settings(max_examples=60, deadline=None)
def test_thawing_gives_back_exactly_what_was_frozen(config: Config) -> None:
    text = freeze(config)

    again = thaw(text)

    assert again == config
    assert freeze(again) == text
    assert "\n" not in text


def test_the_defaults_are_written_out_so_that_later_defaults_change_no_run() -> None:
    frozen = json.loads(freeze(Config()))

    assert frozen["schema_version"] == 1
    assert frozen["config"]["execution"]["timeout_s"] == 3600
    assert frozen["config"]["required-version"] == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"schema_version": 2, "config": {}}',
        '{"schema_version": 1}',
        '{"schema_version": 1, "config": {"newer": 1}}',
        '{"schema_version": 1, "config": {"version": 9}}',
        '{"schema_version": 1, "config": []}',
        "[" * 100_000,
    ],
)
def test_what_was_not_frozen_by_this_version_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        thaw(text)

    assert caught.value.code == "frozen-config-invalid"

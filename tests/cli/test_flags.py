from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.commands import COMMANDS, module_name
from orchestrator.cli.flags import Flags
from orchestrator.cli.grammar import root, split
from orchestrator.errors import Refused

SHARED = [
    ["--json"],
    ["-q"],
    ["--quiet"],
    ["-v"],
    ["-qv"],
    ["--debug"],
    ["-y"],
    ["--yes"],
    ["--no-input"],
    ["-C", "some/where"],
    ["-Csome/where"],
]
LINES = [
    [["run"], ["--json is the task"], ["--command", "-q --json"], ["--require-clean"], ["--agent", "--yes"]],
    [["config"], ["show"], ["--origin"]],
    [["findings"], ["a"], ["--format", "--json"]],
    [["agents"], ["check"], ["claude"]],
    [["restore"], ["abc"], ["--into", "-C"]],
    [["status"]],
]
WHOLE = root()


def seen(flags: Flags) -> dict[str, object]:
    return {name: getattr(flags, name) for name in Flags.__slots__}


@given(st.data())
def test_shared_flags_mean_the_same_anywhere_on_the_line(data: st.DataObject) -> None:
    units = data.draw(st.sampled_from(LINES))
    given_flags = data.draw(st.lists(st.sampled_from(SHARED), max_size=3))
    mixed = list(units)
    for flag in given_flags:
        mixed.insert(data.draw(st.integers(0, len(mixed))), flag)
    tail = data.draw(st.sampled_from([[], ["--", "--json", "-q"]]))

    flags, rest = split(WHOLE, [word for unit in mixed for word in unit] + tail)

    expected, _ = split(WHOLE, [word for flag in given_flags for word in flag])
    told, wanted = seen(flags), seen(expected)
    assert {k: v for k, v in told.items() if k != "directory"} == {
        k: v for k, v in wanted.items() if k != "directory"
    }
    assert rest == [word for unit in units for word in unit] + tail


def test_several_directories_add_up_as_in_git() -> None:
    flags, _ = split(WHOLE, ["-C", "a", "status", "-C", "b"])

    assert flags.directory == "a/b"


def test_a_later_absolute_directory_stands_alone() -> None:
    flags, _ = split(WHOLE, ["-C", "a", "status", "-C/b"])

    assert flags.directory == "/b"


def test_verbose_counts() -> None:
    flags, _ = split(WHOLE, ["-vv", "status", "--verbose"])

    assert flags.verbose == 3


@pytest.mark.parametrize("line", [["status", "-C"], ["-C", "", "status"]])
def test_a_directory_must_be_named(line: list[str]) -> None:
    with pytest.raises(Refused, match="-C needs"):
        split(WHOLE, line)


def test_what_is_no_cluster_of_shared_flags_is_left_to_the_command() -> None:
    flags, rest = split(WHOLE, ["status", "-qz", "-", "-x"])

    assert rest == ["status", "-qz", "-", "-x"]
    assert not flags.quiet


def test_an_option_at_the_end_that_lacks_its_value_is_left_to_the_command() -> None:
    assert split(WHOLE, ["run", "x", "--agent"])[1] == ["run", "x", "--agent"]


def test_every_command_of_the_table_has_its_module() -> None:
    for name in COMMANDS:
        command = WHOLE.get_command(None, name)
        assert command is not None
        assert command.help
        assert module_name(name) == f"orchestrator.cli.{name}"

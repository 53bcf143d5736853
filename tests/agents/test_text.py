"""What is shortened leaves no part of a word, which might be a part of a secret."""

from __future__ import annotations

import pytest

from orchestrator.agents.acp.words import Tail
from orchestrator.agents.text import brief, ending, plain, shown

KEY = "sk-of-somebody-0123456789"


@pytest.mark.parametrize("behind", range(len(KEY) + 3))
def test_a_secret_at_the_cut_is_there_as_a_whole_or_not_at_all(behind: int) -> None:
    filler = "word " * 1600
    head = filler[: 1999 - behind - 1] + " "
    line = filler[: 4096 - behind - 1] + " "
    tail = " " + filler[: 500 - behind]

    cut = [
        plain(f"{head}{KEY} more {filler}", 2000),
        str(brief({"out": f"{head}{KEY} more {filler}"})["out"]),
        shown(f"{line}{KEY} more {filler}".encode()),
        ending(f"{filler} {KEY}{tail}", 500),
        str(_tail(f"{filler} {KEY}{tail}", 500)),
    ]

    assert [text.count("sk-") + text.count("6789") for text in cut] == [2 * text.count(KEY) for text in cut]
    assert all(len(text) <= limit for text, limit in zip(cut, (2000, 2000, 4096, 500, 500), strict=True))


def test_a_single_long_word_is_cut_anywhere() -> None:
    assert plain("x" * 300, 200) == "x" * 199 + "…"
    assert plain("a " + "x" * 3000, 2000) == "a " + "x" * 1997 + "…"
    assert ending("x" * 3000, 2000) == "…" + "x" * 1999
    assert ending("as it is", 2000) == "as it is"


def _tail(text: str, limit: int) -> Tail:
    tail = Tail(limit)
    tail.add(text)
    return tail

"""The shapes of keys that are known by how they begin: a table, each with a prefix and an exact pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

LOOK_BEHIND_BYTES = 3
"""How many bytes before its beginning may decide whether something is a key."""

WORD = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"
"""The beginning of a word; `\\n` and `%3D` before it, as escaped text has them, are no part of the word."""
_HEADER = r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_FOOTER = r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_BODY = r"(?:[A-Za-z0-9+/=\s\\:,.()]|-(?!----))"


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of key. All patterns are matched where one of `prefixes` stands.

    It may consist of `characters` behind its prefix, or of what `reach` matches: while that touches the end
    of what was read, and is shorter than `max_bytes`, more may decide. `pattern` is the key, or its group
    `key`; `closed` matches a key that nothing behind it can change; with `begins_word` no letter may stand
    before it. No pattern may look behind its end, and none matches what stands for a secret: what was
    redacted once would not stay the same.
    """

    id: str
    prefixes: tuple[str, ...]
    pattern: str
    characters: str = "[A-Za-z0-9_-]"
    max_bytes: int = 1100
    closed: str = ""
    reach: str = ""
    begins_word: bool = True

    @property
    def reaches(self) -> str:
        """Returns the pattern of what could belong to it."""
        return self.reach or f"(?:{'|'.join(map(re.escape, self.prefixes))}){self.characters}*"


SHAPES = (
    Shape(
        "github-token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        r"gh[pousr]_[A-Za-z0-9]{36,251}",
        begins_word=False,
    ),
    Shape("github-token", ("github_pat_",), r"github_pat_[A-Za-z0-9_]{36,251}", begins_word=False),
    Shape("anthropic-key", ("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{20,1000}"),
    Shape(
        "openai-key",
        ("sk-",),
        r"sk-(?:(?:proj|svcacct|admin|service|None|or-v1)-[A-Za-z0-9_-]{32,1000}|[A-Za-z0-9]{32,256})",
    ),
    Shape("google-key", ("AIza",), r"AIza[A-Za-z0-9_-]{35,100}"),
    Shape("google-key", ("GOCSPX-",), r"GOCSPX-[A-Za-z0-9_-]{28,100}"),
    Shape("google-key", ("ya29.",), r"ya29\.[A-Za-z0-9_.-]{30,2000}", "[A-Za-z0-9_.-]", 2100),
    Shape("aws-key-id", ("AKIA", "ASIA"), r"A[KS]IA[A-Z2-7]{16}"),
    Shape(
        "slack-token",
        ("xoxa-", "xoxb-", "xoxe-", "xoxe.xox", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"),
        r"(?:xox[abeoprs](?:\.xox[bp])?|xapp)-[A-Za-z0-9-]{16,500}",
        "[A-Za-z0-9.-]",
    ),
    Shape(
        "slack-webhook",
        ("hooks.slack.com/",),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<key>[A-Za-z0-9+/]{20,200})",
        "[A-Za-z0-9+/]",
        begins_word=False,
    ),
    Shape(
        "stripe-key",
        ("sk_live_", "sk_test_", "rk_live_", "rk_test_"),
        r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,250}",
    ),
    Shape("stripe-key", ("whsec_",), r"whsec_[A-Za-z0-9+/]{32,200}", "[A-Za-z0-9_+/]"),
    Shape("npm-token", ("npm_",), r"npm_[A-Za-z0-9]{36,100}"),
    Shape("pypi-token", ("pypi-",), r"pypi-[A-Za-z0-9_-]{50,1000}"),
    Shape(
        "gitlab-token",
        (
            "glpat-",
            "gldt-",
            "glrt-",
            "glrtr-",
            "glcbt-",
            "glptt-",
            "glsoat-",
            "glft-",
            "glimt-",
            "glagent-",
            "gloas-",
        ),
        r"gl(?:pat|dt|rtr?|cbt|ptt|soat|ft|imt|agent|oas)-[A-Za-z0-9_.=-]{20,300}",
        "[A-Za-z0-9_.=-]",
    ),
    Shape("hugging-face-token", ("hf_",), r"hf_[A-Za-z0-9]{30,100}"),
    Shape("groq-key", ("gsk_",), r"gsk_[A-Za-z0-9]{40,100}"),
    Shape("xai-key", ("xai-",), r"xai-[A-Za-z0-9]{60,200}"),
    Shape("perplexity-key", ("pplx-",), r"pplx-[A-Za-z0-9]{40,200}"),
    Shape("sendgrid-key", ("SG.",), r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", "[A-Za-z0-9_.-]"),
    Shape(
        "digitalocean-token",
        ("dop_v1_", "doo_v1_", "dor_v1_"),
        r"do[opr]_v1_[a-f0-9]{64,100}",
    ),
    Shape("docker-token", ("dckr_pat_", "dckr_oat_"), r"dckr_[po]at_[A-Za-z0-9_-]{27,64}"),
    Shape(
        "jwt",
        ("eyJ",),
        r"eyJ[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{6,8000}\.[A-Za-z0-9_-]{8,4000}",
        "[A-Za-z0-9_.-]",
        16_100,
    ),
    Shape("age-key", ("AGE-SECRET-KEY-",), r"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{58,120}", begins_word=False),
    Shape(
        "private-key",
        ("-----BEGIN ",),
        _HEADER + r"(?:(?:\s|\\{1,4}[nr]){1,8}[A-Za-z0-9+/=]{16,256}){1,4096}",
        characters="",
        max_bytes=33_000,
        reach=r"-----BEGIN [A-Z0-9 ]{0,60}-{0,5}\Z|"
        + _HEADER
        + _BODY
        + r"{0,33000}-{0,5}(?:E(?:N(?:D[A-Z0-9 ]*-*)?)?)?",
        closed=_HEADER + _BODY + r"{8,32000}" + _FOOTER,
        begins_word=False,
    ),
    Shape(
        "url-password",
        ("://",),
        r"""://[^\s/?#@:"'<>\\\[]{0,256}:(?P<key>(?:[^\s/?#@"'<>\\\[]|\[(?!redacted|\*\*\*)){3,512})@""",
        r"""[^\s/?#@"'<>\\]""",
        800,
        begins_word=False,
    ),
)


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[bytes]:
    """Returns the pattern for bytes; made when the first thing that could be such a key is met."""
    return re.compile(pattern.encode())

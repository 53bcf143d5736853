"""Which keys are recognised by their shape, and what looks like one and is none."""

from __future__ import annotations

import pytest

from orchestrator.redaction.redactor import Redactor

_A = "Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8Ii9Jj0Kk1Ll2Mm3Nn4Oo5Pp6Qq7Rr8Ss9Tt0Uu1Vv2Ww3Xx4Yy5Zz6"
_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
_PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{_LINE}\n{_LINE}\n-----END RSA PRIVATE KEY-----"

KEYS = [
    ("github-token", "ghp_" + _A[:36]),
    ("github-token", "gho_" + _A[:36]),
    ("github-token", "ghs_" + _A[:36]),
    ("github-token", "github_pat_" + _A[:22] + "_" + _A[:59]),
    ("anthropic-key", "sk-ant-api03-" + _A + "-_AA"),
    ("openai-key", "sk-" + _A[:48]),
    ("openai-key", "sk-proj-" + _A + "_-" + _A),
    ("google-key", "AIza" + _A[:30] + "-_abc"),
    ("google-key", "GOCSPX-" + _A[:28]),
    ("google-key", "ya29." + _A),
    ("aws-key-id", "AKIAIOSFODNN7EXAMPLE"),
    ("aws-key-id", "ASIAIOSFODNN7EXAMPLE"),
    ("slack-token", "xoxb-123456789012-1234567890123-" + _A[:24]),
    ("slack-token", "xapp-1-A0123456789-" + _A[:40]),
    ("stripe-key", "sk_live_" + _A[:24]),
    ("stripe-key", "whsec_" + _A[:32]),
    ("npm-token", "npm_" + _A[:36]),
    ("pypi-token", "pypi-AgEIcHlwaS5vcmc" + _A),
    ("gitlab-token", "glpat-" + _A[:20]),
    ("hugging-face-token", "hf_" + _A[:34]),
    ("groq-key", "gsk_" + _A[:52]),
    ("xai-key", "xai-" + _A),
    ("perplexity-key", "pplx-" + _A[:48]),
    ("sendgrid-key", "SG." + _A[:22] + "." + _A[:43]),
    ("digitalocean-token", "dop_v1_" + "0123456789abcdef" * 4),
    ("docker-token", "dckr_pat_" + _A[:27]),
    ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"),
    ("age-key", "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" + "QPZRY9X8GF2TVDW0S3JN54KHCE"),
    ("private-key", _PEM),
    ("private-key", _PEM.replace("RSA ", "")),
    ("private-key", _PEM.replace("RSA ", "OPENSSH ")),
    ("private-key", _PEM.replace("\n", "\\n")),
    (
        "private-key",
        _PEM.replace("-----\nMII", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\nMII"),
    ),
]
IDENTIFIERS = [
    "0123456789abcdef0123456789abcdef01234567",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "123e4567-e89b-12d3-a456-426614174000",
    "20261120-110000-k3v9q2",
    "execution-4k3v9q2x7m1d",
    "refs/orchestrator/runs/20261120-110000-k3v9q2",
    "fd00-1a2b/execution-4k3v9q2x7m1d",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
    "https://github.com/owner/repository.git",
    "ssh://git@github.com:22/owner/repository.git",
    "http://localhost:8080/path@2",
    "git@github.com:owner/repository.git",
    "task-list-of-the-risk-register-with-a-long-name-indeed",
    "sk-estimator-documentation-link-that-is-fitted-and-long",
    "shelf_life_of_a_very_long_identifier_name_in_python",
    "hf_hub_download_with_a_rather_long_function_name",
    "npm_config_registry",
    "ghp_short",
    "AKIAlowercase0123456",
    "eyJhbGciOiJIUzI1NiJ9",
    "-----BEGIN CERTIFICATE-----\n" + _LINE + "\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\n" + _LINE + "\n-----END PUBLIC KEY-----",
    'if "-----BEGIN PRIVATE KEY-----" in text:',
    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudlgw4dsh2u4ae",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDvCYjTcJNR5cXqzzGzLkTqz1TqJcbWfNhZ5e0i6Y3bV",
]


@pytest.mark.parametrize(("shape", "key"), KEYS)
@pytest.mark.parametrize("around", ["{}", 'KEY="{}"', "a\\n{}\\n", "url%3D{} ", "[{}]", "x {}, y"])
def test_a_key_is_recognised_by_its_shape(shape: str, key: str, around: str) -> None:
    text = around.replace("{}", key)

    assert Redactor().text(text) == around.replace("{}", f"[redacted:{shape}]")


@pytest.mark.parametrize("text", IDENTIFIERS)
@pytest.mark.parametrize("around", ["{}", 'id="{}"', "a\\n{}\\n", "see {}: x"])
def test_what_only_looks_like_a_key_stays(text: str, around: str) -> None:
    whole = around.replace("{}", text)

    assert Redactor().text(whole) == whole


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:hunter22@example.com/x", "https://me:[redacted:url-password]@example.com/x"),
        ("postgres://app:pa%40ss@db:5432/main", "postgres://app:[redacted:url-password]@db:5432/main"),
        ("redis://:only-password@cache:6379", "redis://:[redacted:url-password]@cache:6379"),
        (
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
            "https://hooks.slack.com/services/[redacted:slack-webhook]",
        ),
    ],
)
def test_of_an_address_only_the_secret_is_taken_out(url: str, shown: str) -> None:
    assert Redactor().text(f"remote {url} (fetch)") == f"remote {shown} (fetch)"


def test_a_private_key_that_breaks_off_is_taken_out_as_far_as_it_goes() -> None:
    cut = _PEM[: _PEM.index("\n-----END")]

    assert Redactor().text(f"{cut}\nTraceback: it broke") == "[redacted:private-key]\nTraceback: it broke"


def test_a_key_right_behind_a_secret_is_a_key() -> None:
    redactor = Redactor()
    redactor.add("WORD", "correct-horse")
    key = "sk-ant-" + _A

    assert redactor.text(f"correct-horse{key}") == "[redacted:WORD][redacted:anthropic-key]"
    assert redactor.text(f"https://correct-horse@{key}") == "https://[redacted:WORD]@[redacted:anthropic-key]"

"""Who serves models: their addresses, the variables with their keys, and what an address may be."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from orchestrator.errors import Refused


@dataclass(frozen=True, slots=True)
class Provider:
    """One service: where it is, and the variables with its key and another address; the first set wins."""

    base_url: str
    keys: tuple[str, ...]
    addresses: tuple[str, ...] = ()


PROVIDERS: Mapping[str, Provider] = {
    "ollama": Provider("http://127.0.0.1:11434", ("OLLAMA_API_KEY",), ("OLLAMA_BASE_URL", "OLLAMA_HOST")),
    "openai": Provider("https://api.openai.com/v1", ("OPENAI_API_KEY",), ("OPENAI_BASE_URL",)),
    "anthropic": Provider("https://api.anthropic.com", ("ANTHROPIC_API_KEY",), ("ANTHROPIC_BASE_URL",)),
    "google": Provider(
        "https://generativelanguage.googleapis.com",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        ("GOOGLE_GEMINI_BASE_URL",),
    ),
}
NEEDS_NO_KEY = frozenset({"ollama"})


def address_of(provider: str, base_url: str, environment: Mapping[str, str]) -> str:
    """Returns the address that is asked: the configured one, one from a variable, else the provider's own.

    Raises:
        Refused: `address-invalid` or `address-plain`.
    """
    known = PROVIDERS.get(provider)
    if known is None:
        return checked(base_url) if base_url else ""
    asked = (environment.get(name, "") for name in known.addresses)
    address = base_url or next(filter(None, asked), "") or known.base_url
    if provider == "ollama" and "://" not in address:
        address = f"http://{_reachable(address)}"  # OLLAMA_HOST is host:port, also what a server listens on
    return checked(address)


def key_of(provider: str, environment: Mapping[str, str]) -> str:
    """Returns the key for a provider, empty where no variable holds one."""
    known = PROVIDERS.get(provider)
    return next((environment[name] for name in known.keys if environment.get(name)), "") if known else ""


def checked(address: str) -> str:
    """Returns an address without a slash at its end, when it is one that may be asked.

    Plain HTTP goes to this machine alone: what is sent is source code, and a key.

    Raises:
        Refused: `address-invalid` or `address-plain`.
    """
    try:
        parts = urlsplit(address)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete, parts = False, urlsplit("")
    if not is_complete or parts.username or parts.password or parts.query or parts.fragment:
        raise Refused(
            f"{_shown(parts, address)} is no address of a model's interface.",
            code="address-invalid",
            hint="Give `base_url` as in: https://host.example/v1 (keys go into variables or secrets)",
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise Refused(
            f"Plain http to {parts.hostname} would show code and key to everybody on the way.",
            code="address-plain",
            hint="Use https in `base_url`; http is for this machine alone (127.0.0.1, localhost).",
        )
    return address.rstrip("/")


def is_loopback(host: str) -> bool:
    """Returns whether a host is this machine, by its name alone."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def unknown_provider(name: str) -> Refused:
    """Returns the error for a provider that nobody brings."""
    return Refused(
        f"There is no provider named {name!r}.",
        code="provider-unknown",
        hint=f"Known are {', '.join(PROVIDERS)}; others come with packages (docs/adding-agents.md).",
    )


def _reachable(listening: str) -> str:
    host, colon, port = listening.rpartition(":")
    if not colon or not port.isdigit():
        host, port = listening, "11434"
    return f"{'127.0.0.1' if host in ('', '0.0.0.0', '[::]', '::') else host}:{port}"


def _shown(parts: SplitResult, address: str) -> str:
    return f"The address at {parts.hostname}" if parts.hostname else repr(address[:100])

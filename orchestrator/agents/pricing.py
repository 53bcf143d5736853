"""What tokens cost, from the prices that the package genai-prices carries; the network is never asked."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model.run import Usage

_FREE = frozenset({"ollama"})
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """What the configuration says that a model costs, in US dollars per million tokens."""

    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None


_NOT_SAID = Prices()


def price(usage: Usage, model: str, provider: str | None = None, prices: Prices = _NOT_SAID) -> float | None:
    """Returns US dollars for what a model used, None where nobody knows its price or no tokens were told.

    What the configuration says goes before the snapshot (a price that it leaves out is 0 then); what is
    served by Ollama costs nothing. Without a provider the model's name decides whose it is. Where
    genai-prices is not installed, only the configuration knows prices.
    """
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    if prices != _NOT_SAID:
        return _by_configuration(usage, prices)
    if provider in _FREE:
        return 0.0
    return _by_snapshot(usage, model, provider) if model else None


def _by_configuration(usage: Usage, prices: Prices) -> float:
    asked = (usage.input_tokens or 0) * (prices.input_usd_per_mtok or 0.0)
    return (asked + (usage.output_tokens or 0) * (prices.output_usd_per_mtok or 0.0)) / _MILLION


def _by_snapshot(usage: Usage, model: str, provider: str | None) -> float | None:
    try:
        import genai_prices
    except ImportError:
        return None
    tokens = genai_prices.Usage(
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cache_read_tokens=min(usage.cached_tokens or 0, usage.input_tokens or 0),
    )
    try:
        found = genai_prices.calc_price(tokens, model, provider_id=provider)
    except (LookupError, ValueError):  # no such model, or a kind of token that has no price
        return None
    return float(found.total_price)

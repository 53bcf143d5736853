"""Writes a configuration as JSON and reads exactly the same one back, for runs that outlive a process."""

from __future__ import annotations

import json

from pydantic import ValidationError

from orchestrator.config.schema import Config
from orchestrator.errors import Refused

SCHEMA_VERSION = 1


def freeze(config: Config) -> str:
    """Returns the whole configuration, defaults included, as one line of JSON with sorted keys."""
    data = {"schema_version": SCHEMA_VERSION, "config": config.model_dump(mode="json", by_alias=True)}
    return json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def thaw(text: str) -> Config:
    """Returns the configuration that `freeze` wrote.

    Raises:
        Refused: `frozen-config-invalid`: written by another version, or damaged.
    """
    try:
        data = json.loads(text)
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"its format is {data['schema_version']!r}, not {SCHEMA_VERSION}")
        return Config.model_validate_json(json.dumps(data["config"]), strict=True)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(
            f"The configuration kept with the run cannot be read: {_reason(error)}.",
            code="frozen-config-invalid",
            hint="Continue the run with the version of orchestrator that started it.",
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__

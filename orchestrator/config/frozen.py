"""Writes a configuration as JSON and reads exactly the same one back, for runs that outlive a process."""

from __future__ import annotations

import json
from collections.abc import Container

from pydantic import ValidationError

from orchestrator.config.schema import Config
from orchestrator.config.withheld import give_back, withhold
from orchestrator.errors import Refused
from orchestrator.model.json import Json
from orchestrator.redaction.redactor import Redactor

SCHEMA_VERSION = 1


def freeze(config: Config, redactor: Redactor | None = None) -> str:
    """Returns the whole configuration, defaults included, as one line of JSON with sorted keys.

    With a redactor it holds no secret; `withheld` lists the places of those that were left out.
    """
    values: Json = config.model_dump(mode="json", by_alias=True)
    data: dict[str, Json] = {"schema_version": SCHEMA_VERSION, "config": values}
    if redactor is not None:
        data["config"], places = withhold(values, redactor)
        if places:
            data["withheld"] = [list(place) for place in places]
    return json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def thaw(
    text: str,
    *,
    current: Config | None = None,
    redactor: Redactor | None = None,
    parts: Container[str] | None = None,
) -> Config:
    """Returns the configuration that `freeze` wrote.

    Secrets that were left out are taken from `current`, which must be trusted; without it their marks stay,
    and with `parts` those in all other sections.

    Raises:
        Refused: `frozen-config-invalid`: written by another version, or damaged.
        CredentialMissing: `secret-gone`, `current` does not hold a secret that was left out.
    """
    try:
        data = json.loads(text)
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"its format is {data['schema_version']!r}, not {SCHEMA_VERSION}")
        values, places = data["config"], [tuple(place) for place in data.get("withheld", ())]
        if places and current is not None:
            present = current.model_dump(mode="json", by_alias=True)
            needed = [place for place in places if parts is None or place[0] in parts]
            values = give_back(values, needed, present, redactor or Redactor())
        return Config.model_validate_json(json.dumps(values), strict=True)
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

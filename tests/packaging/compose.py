"""docker-compose.yml, read as docker compose reads it, with the variables that a `.env` file would give."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.packaging.environment import ROOT

_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<kind>:-|:\?)(?P<word>[^}]*))?\})")


class NotSet(Exception):  # noqa: N818 - compose's "required variable … is missing a value"
    """A variable that must be set isn't. The text is its name."""


def services(variables: Mapping[str, str]) -> dict[str, Any]:
    """Returns the services, filled in.

    Args:
        variables: What `.env` sets.

    Raises:
        NotSet: A variable that must be set isn't.
    """
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(text)
    filled: dict[str, Any] = _filled(read["services"], variables)
    for service in filled.values():
        given = {name: variables.get(name) if value is None else value for name, value in _environment(service)}
        service["environment"] = {name: value for name, value in given.items() if value is not None}
    return filled


def _environment(service: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    return list(service.get("environment", {}).items())


def _filled(node: Any, variables: Mapping[str, str]) -> Any:  # noqa: ANN401 - YAML
    if isinstance(node, dict):
        return {key: _filled(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(each, variables) for each in node]
    return _VARIABLE.sub(lambda found: _value(found, variables), node) if isinstance(node, str) else node


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found["dollar"]:
        return "$"
    value = variables.get(found["name"], "")
    if found["kind"] == ":?" and not value:
        raise NotSet(found["name"])
    return value or (found["word"] or "" if found["kind"] == ":-" else "")

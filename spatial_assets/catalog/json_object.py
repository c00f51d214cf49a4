"""JSON objects of a catalogue, such as STAC items, and their two parts that everything reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

JsonObject: TypeAlias = Mapping[str, object]
"""A JSON object as parsed, with nothing checked yet."""


def properties_of(item: JsonObject) -> JsonObject:
    """The item's properties; {} if it has none."""
    properties = item.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def assets_of(item: JsonObject) -> Mapping[str, JsonObject]:
    """The item's assets that are JSON objects, by key."""
    assets = item.get("assets")
    if not isinstance(assets, Mapping):
        return {}
    return {str(key): asset for key, asset in assets.items() if isinstance(asset, Mapping)}

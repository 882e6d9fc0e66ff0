# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of an OpenAPI document as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

_RANGES = {
    "value": ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"),
    "characters": ("minLength", None, "maxLength", None),
    "items": ("minItems", None, "maxItems", None),
}


@dataclass(frozen=True)
class Bound:
    """A limit of a field: of its `value`, its `characters` or its `items`, or a `pattern`."""

    kind: str
    text: str


@dataclass(frozen=True)
class Field:
    """One row. `owner` is the schema's title; `path` leads from the body to the field."""

    owner: str
    name: str
    path: str
    type: str
    required: bool
    default: str | None
    bounds: tuple[Bound, ...]
    description: str


@dataclass(frozen=True)
class Variant:
    """Heads the rows of one of several objects that may stand at `path`."""

    title: str
    path: str
    description: str


class Schemas:
    """The schemas of one document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._all: dict[str, Schema] = document.get("components", {}).get("schemas", {})

    def resolve(self, schema: Schema) -> Schema:
        """Follow a reference."""
        while "$ref" in schema:
            schema = self._all[schema["$ref"].rpartition("/")[2]]
        return schema

    def rows(self, schema: Schema, prefix: str = "") -> Iterator[Field | Variant]:
        """Yield the fields of an object, each followed by those of the objects within it."""
        schema = self.resolve(schema)
        for name, content in schema.get("properties", {}).items():
            path = prefix + name
            yield self._field(schema, name, path)
            objects = list(self._objects(content))
            for inner, suffix in objects:
                if len(objects) > 1:
                    yield Variant(inner["title"], path + suffix, inner.get("description", ""))
                yield from self.rows(inner, f"{path}{suffix}.")

    def _field(self, owner: Schema, name: str, path: str) -> Field:
        content = owner["properties"][name]
        choices = self._choices(content)
        default = content.get("default")
        return Field(
            owner=owner.get("title", ""),
            name=name,
            path=path,
            type=self.type_of(content),
            required=name in owner.get("required", ()),
            default=None if default is None else json.dumps(default, ensure_ascii=False),
            bounds=tuple(dict.fromkeys(bound for choice in choices for bound in _bounds(choice))),
            description=content.get("description", ""),
        )

    def type_of(self, schema: Schema) -> str:
        """Name a type as TypeScript does: `string | string[]`, `"float" | "base64"`."""
        return " | ".join(dict.fromkeys(self._name(choice) for choice in self._choices(schema)))

    def _name(self, schema: Schema) -> str:
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        if values:
            return " | ".join(json.dumps(value, ensure_ascii=False) for value in values)
        if schema.get("type") == "array":
            items = self.type_of(schema.get("items", {}))
            return f"({items})[]" if " | " in items else f"{items}[]"
        return str(schema.get("type", "any"))

    def _choices(self, schema: Schema) -> list[Schema]:
        """The types a value may have, null left out."""
        schema = self.resolve(schema)
        choices = schema.get("anyOf") or schema.get("oneOf") or [schema]
        resolved = [self.resolve(choice) for choice in choices]
        return [choice for choice in resolved if choice.get("type") != "null"]

    def _objects(self, schema: Schema) -> Iterator[tuple[Schema, str]]:
        for choice in self._choices(schema):
            if choice.get("properties"):
                yield choice, ""
            elif choice.get("type") == "array":
                for inner, suffix in self._objects(choice.get("items", {})):
                    yield inner, "[]" + suffix


def _bounds(schema: Schema) -> Iterator[Bound]:
    for kind, (least, above, most, below) in _RANGES.items():
        low = _limit(schema, (least, "≥ "), (above, "> "))
        high = _limit(schema, (most, "≤ "), (below, "< "))
        if low and high and low[0] == "≥" and high[0] == "≤":
            yield Bound(kind, f"{low[2:]} – {high[2:]}")  # noqa: RUF001  # an en dash, for people
        elif low or high:
            yield Bound(kind, ", ".join(filter(None, (low, high))))
    if "pattern" in schema:
        yield Bound("pattern", schema["pattern"])


def _limit(schema: Schema, *kinds: tuple[str | None, str]) -> str:
    return next((f"{sign}{schema[key]:,}" for key, sign in kinds if key in schema), "")

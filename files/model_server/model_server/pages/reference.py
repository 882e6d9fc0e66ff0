# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The reference for people, made from the OpenAPI document and the routes of the application."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug.routing import Rule

from ..errors import TABLE
from . import examples
from .language import DEFAULT, Texts, read
from .schemas import Field, Schemas, Variant

_CODES = {row.code for row in TABLE}
_CONVERTER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
_PARAMETER = re.compile(r"\{[^}]*\}")
_TAG_OF_OTHERS = "Operations"
_METHODS_OF_FLASK = {"HEAD", "OPTIONS"}
_JSON = "application/json"


@dataclass(frozen=True)
class Parameter:
    """A parameter of a path or a query."""

    name: str
    place: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True)
class Operation:
    """One route. `access` is `key`, `operators` or `open`; `failures` are statuses with codes."""

    name: str
    method: str
    path: str
    tag: str
    summary: str
    description: str
    access: str
    example: str
    parameters: list[Parameter] = field(default_factory=list)
    request: list[Field | Variant] = field(default_factory=list)
    answer: list[Field | Variant] = field(default_factory=list)
    failures: dict[int, list[str]] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """Identifier within the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def key(operation: str) -> str:
    """Reduce `GET /v1/models/{name}` to what stays the same when a parameter is renamed."""
    return _PARAMETER.sub("{}", operation)


def find(table: dict[str, Texts], operation: str) -> Texts:
    """Return the texts of an operation from a table of texts; nothing when there are none."""
    return {key(name): texts for name, texts in table.items()}.get(key(operation), {})


def routes(rules: Iterable[Rule]) -> Iterator[tuple[str, Rule]]:
    """Yield every operation that the application answers, static files left out."""
    for rule in rules:
        if rule.endpoint.rpartition(".")[2] in ("static", "texts"):
            continue
        path = _CONVERTER.sub(r"{\1}", rule.rule)
        for method in sorted((rule.methods or {"GET"}) - _METHODS_OF_FLASK):
            yield f"{method} {path}", rule


class Reference:
    """All operations of one service, in one language."""

    def __init__(
        self, document: dict[str, Any], rules: Iterable[Rule], language: str, **service: str
    ) -> None:
        """Take the document, the routes, and `url`, `task` and `model` of the service."""
        self._schemas = Schemas(document)
        self._texts = read(language)
        self._english = read(DEFAULT)
        self._translated = language != DEFAULT
        self._service = service
        documented = {
            f"{method.upper()} {path}": content
            for path, methods in document["paths"].items()
            for method, content in methods.items()
        }
        served = dict(routes(rules))
        self.operations = [
            self._operation(name, documented.get(name, {}), bool(served[name].websocket))
            for name in sorted(served, key=lambda name: (name not in documented, _order(name)))
        ]

    def by_tag(self) -> dict[str, list[Operation]]:
        """Group the operations as the document does; those for operators come last."""
        groups: dict[str, list[Operation]] = {}
        for operation in self.operations:
            groups.setdefault(operation.tag, []).append(operation)
        return dict(sorted(groups.items(), key=lambda group: group[0] == _TAG_OF_OTHERS))

    def _operation(self, name: str, content: dict[str, Any], websocket: bool) -> Operation:
        method, path = name.split(" ", 1)
        own = find(self._texts.get("operations", {}), name)
        english = find(self._english["operations"], name)
        if not self._translated:
            own = english | {part: content[part] for part in _own_parts(content)}
        access = english.get("access", "open")
        if content.get("security"):
            access = "key"
        service = self._service
        body = examples.body(name, service["task"], service["model"])
        filled = _PARAMETER.sub(
            lambda match: service["model"] if match[0] == "{name}" else "ID", name
        )
        request = content.get("requestBody", {}).get("content", {}).get(_JSON, {})
        answer = content.get("responses", {}).get("200", {}).get("content", {})
        return Operation(
            name=name,
            method="WS" if websocket else method,
            path=path,
            tag=(content.get("tags") or [english.get("tag", _TAG_OF_OTHERS)])[0],
            summary=own.get("summary", ""),
            description=own.get("description", ""),
            access=access,
            example=examples.command(
                filled, service["url"], body, key=access == "key", websocket=websocket
            ),
            parameters=[self._parameter(item) for item in content.get("parameters", ())],
            request=self._rows(request),
            answer=self._rows(answer.get(_JSON) or next(iter(answer.values()), {})),
            failures=_failures(content.get("responses", {})),
        )

    def _rows(self, media: dict[str, Any]) -> list[Field | Variant]:
        return [self._localised(row) for row in self._schemas.rows(media.get("schema", {}))]

    def _localised(self, row: Field | Variant) -> Field | Variant:
        if not self._translated:
            return row
        if isinstance(row, Variant):
            return replace(row, description=self._texts["schemas"].get(row.title, ""))
        return replace(row, description=self._texts["fields"].get(row.owner, {}).get(row.name, ""))

    def _parameter(self, item: dict[str, Any]) -> Parameter:
        name = item["name"]
        return Parameter(
            name=name,
            place=item["in"],
            type=self._schemas.type_of(item.get("schema", {})),
            required=item.get("required", False),
            description=self._texts["parameters"].get(name, ""),
        )


def _own_parts(content: dict[str, Any]) -> list[str]:
    """Name the texts that the document has for an operation."""
    return [part for part in ("summary", "description") if content.get(part)]


def _order(name: str) -> tuple[str, str]:
    method, path = name.split(" ", 1)
    return path, method


def _failures(responses: dict[str, Any]) -> dict[int, list[str]]:
    """Return the codes by status: those that the description names, else all of the status."""
    found: dict[int, list[str]] = {}
    for status in sorted(int(text) for text in responses if text.isdigit() and text >= "400"):
        named = re.findall(r"`([a-z_]+)`", responses[str(status)].get("description", ""))
        codes = [code for code in named if code in _CODES]
        found[status] = codes or [row.code for row in TABLE if row.status == status]
    return found

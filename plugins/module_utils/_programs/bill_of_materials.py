# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a bill of materials with cyclonedx-python-lib: a CycloneDX 1.6 document for a model.

Request: ``name``, ``version``, ``purl`` (type, namespace, name, version), ``licences`` (texts),
``files`` (path, size, sha256), ``packages`` (name, version, sha256: a list), ``card`` (task,
architectureFamily, modelArchitecture), ``numbers`` and ``properties`` (texts by name). Answer:
``{"bom": text}``. The text is held against the schema before it is returned, and the same request
gives the same text. Format: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import uuid
from pathlib import PurePosixPath
from typing import Any, cast

# What serial numbers are made from by name, as RFC 4122 has it: the same content, the same number.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/schema/bom-1.6.schema.json")


class Invalid(Exception):
    """The document is not what its schema admits."""


def root_digest(files: list[dict[str, Any]]) -> str:
    """Return one SHA-256 over the hashes of all files, as OpenSSF model signing names a model."""
    ordered = sorted(files, key=lambda item: PurePosixPath(item["path"]))
    return hashlib.sha256(b"".join(bytes.fromhex(item["sha256"]) for item in ordered)).hexdigest()


def licences(texts: list[str]) -> list[Any]:
    """Return what CycloneDX makes of licences: an SPDX id, one expression alone, else a name."""
    factory = importlib.import_module("cyclonedx.contrib.license.factories").LicenseFactory()
    declared = importlib.import_module("cyclonedx.model.license").LicenseAcknowledgement.DECLARED
    known = importlib.import_module("cyclonedx.spdx").fixup_id
    if len(texts) == 1:
        return [factory.make_from_string(texts[0], license_acknowledgement=declared)]
    return [
        (factory.make_with_id if known(text) else factory.make_with_name)(
            text, acknowledgement=declared
        )
        for text in texts
    ]


def document(request: dict[str, Any]) -> dict[str, Any]:
    """Return the document as plain values, without a serial number."""
    model = importlib.import_module("cyclonedx.model")
    boms = importlib.import_module("cyclonedx.model.bom")
    parts = importlib.import_module("cyclonedx.model.component")
    output = importlib.import_module("cyclonedx.output")
    schema = importlib.import_module("cyclonedx.schema")
    url = importlib.import_module("packageurl").PackageURL

    def sha256(value: str) -> Any:
        return model.HashType(alg=model.HashAlgorithm.SHA_256, content=value)

    def properties(values: dict[str, Any]) -> list[Any]:
        return [model.Property(name=key, value=str(values[key])) for key in sorted(values)]

    about = request["purl"]
    root = parts.Component(
        type=parts.ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="model",
        name=request["name"],
        version=request["version"],
        purl=url(about["type"], about["namespace"] or None, about["name"], about["version"]),
        hashes=[sha256(root_digest(request["files"]))],
        licenses=licences(request["licences"]),
        properties=properties(request["properties"]),
    )
    files = [
        parts.Component(
            type=parts.ComponentType.FILE,
            bom_ref=f"file:{item['path']}",
            name=item["path"],
            hashes=[sha256(item["sha256"])],
            properties=properties({"modelops:size": item["size"]}),
        )
        for item in request["files"]
    ]
    packages = [
        parts.Component(
            type=parts.ComponentType.LIBRARY,
            bom_ref=f"package:{item['name']}@{item['version']}",
            name=item["name"],
            version=item["version"],
            purl=url("pypi", None, item["name"], item["version"]),
            hashes=[sha256(value) for value in item["sha256"]],
        )
        for item in request["packages"]
    ]
    bom = boms.Bom(components=[*files, *packages], metadata=boms.BomMetaData(component=root))
    bom.register_dependency(root, files)
    maker = output.make_outputter(bom, schema.OutputFormat.JSON, schema.SchemaVersion.V1_6)
    made: dict[str, Any] = json.loads(maker.output_as_string())
    # A time would make each run another document.
    del made["metadata"]["timestamp"]
    del made["serialNumber"]
    # cyclonedx-python-lib writes no model cards (yet).
    card: dict[str, Any] = {
        "modelParameters": {key: value for key, value in request["card"].items() if value}
    }
    if request["numbers"]:
        card["properties"] = [
            {"name": f"modelops:model:{key}", "value": request["numbers"][key]}
            for key in sorted(request["numbers"])
        ]
    made["metadata"]["component"]["modelCard"] = card
    return made


def write(request: dict[str, Any]) -> str:
    """Return the document as text. Raises ``Invalid``."""
    made = document(request)
    content = json.dumps(made, sort_keys=True)
    made["serialNumber"] = f"urn:uuid:{uuid.uuid5(NAMESPACE, content)}"
    text = json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    # Its import takes seconds, for a check of IRIs, of which the document has none.
    sys.modules.setdefault("rfc3987_syntax", cast(Any, None))
    validators = importlib.import_module("cyclonedx.validation.json")
    version = importlib.import_module("cyclonedx.schema").SchemaVersion.V1_6
    problem = validators.JsonStrictValidator(version).validate_str(text)
    if problem is not None:
        raise Invalid(str(problem)[:600])
    return text


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    try:
        answer = {"bom": write(request)}
    except ImportError as error:
        message = (
            f"The interpreter {sys.executable} has no cyclonedx-python-lib ({error}). Run the role "
            "python_env with its entry point tools, or give tools_python."
        )
        answer = {"error": message, "code": "tools_missing"}
    except Invalid as error:
        message = (
            f"The bill of materials of {request['name']} is not what the schema of CycloneDX 1.6 "
            f"admits: {error}. Report it; the model's card or lock holds what was not foreseen."
        )
        answer = {"error": message, "code": "tools_failed"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()

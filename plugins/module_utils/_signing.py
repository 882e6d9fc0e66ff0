# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of models in the format of OpenSSF model signing, version 1.0.

A signature is a Sigstore bundle: a DSSE envelope around an in-toto statement whose predicate lists
each file of the model with its SHA-256 (https://github.com/sigstore/model-transparency). What needs
cryptography runs in the tools environment; this file decides what must be signed, by whom, and what
to say where it is not.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._errors import ModelError
from ._manifest import Manifest, ModelFile
from ._programs import model_signature
from ._tools import run_tool

PREDICATE = "https://model_signing/signature/v1.0"
NONE: dict[str, Any] = {"verified": False}


@dataclass(frozen=True)
class Trust:
    """The text of a signature, what it is held against, and whether there must be one.

    ``keys`` and ``certificates`` are PEM texts. ``foresee`` says that nothing is to be changed and
    that the tools environment may not be made yet, as in check mode.
    """

    signature: str = ""
    keys: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    required: bool = False
    tools_python: str = ""
    foresee: bool = False


def check_trust(trust: Trust, name: str) -> None:
    """Refuse a choice that cannot prove anything: ``signature_missing`` or ``invalid_option``."""
    if (trust.required or trust.signature) and not (trust.keys or trust.certificates):
        option = "require_signature is true" if trust.required else "signature is given"
        raise ModelError(
            f"{name}: {option}, but neither trusted_keys nor trusted_certificates names who may "
            "sign. Give the PEM text of a public key or of a certificate that you trust.",
            "invalid_option",
        )
    if trust.required and not trust.signature:
        raise ModelError(
            f"{name}: a signature is required, but none is given. Sign the model with the module "
            "model_signature or with 'model_signing sign', and give the file's text as signature.",
            "signature_missing",
        )


def verify_signature(manifest: Manifest, trust: Trust, known: Mapping[str, Any]) -> dict[str, Any]:
    """Verify that the signature is about exactly the files of ``manifest``; return the proof.

    The proof: ``verified``; if true also ``method`` (key or certificate), ``key`` (SHA-256 of the
    signer's public key as DER, hex), ``certificate`` (the subject, empty for a key), and the
    SHA-256 of what was compared: ``signature_sha256``, ``trust_sha256``, ``files_sha256``. One in
    ``known`` about the same three is returned as it is. Raises ``ModelError``:
    ``signature_missing``, ``signature_invalid``, ``invalid_option``, ``tools_missing``,
    ``tools_failed``.
    """
    name = f"{manifest.source} {manifest.id} {manifest.revision}"
    check_trust(trust, name)
    if not trust.signature:
        return NONE
    compared = {
        "signature_sha256": _sha256(trust.signature.strip()),
        "trust_sha256": _sha256(json.dumps([sorted(trust.keys), sorted(trust.certificates)])),
        "files_sha256": files_digest(manifest.files),
    }
    if known.get("verified") is True and all(known.get(key) == compared[key] for key in compared):
        return dict(known)
    method = _method(trust.signature, name)
    trusted = trust.keys if method == "key" else trust.certificates
    if not trusted:
        raise _invalid(
            name, f"it was made with a {method}, but trusted_{_PLURAL[method]} names none"
        )
    files = _without_itself(manifest.files, trust.signature)
    difference = _difference(_signed_files(trust.signature, name), files)
    if difference:
        raise _invalid(name, difference)
    if trust.foresee and trust.tools_python and not os.path.exists(trust.tools_python):
        return NONE
    request = {
        "action": "verify",
        "signature": trust.signature,
        "method": method,
        "trusted": list(trusted),
        **_described(manifest, files),
    }
    try:
        answer = run_tool(trust.tools_python, model_signature, request)
    except ModelError as error:
        if error.code == "signature_invalid":
            raise _invalid(name, f"no trusted {method} confirms it ({error.message})") from error
        raise
    return {"verified": True, **answer, **compared}


def sign(
    manifest: Manifest,
    tools_python: str,
    private_key: str,
    password: str = "",
    certificate: str = "",
    chain: Sequence[str] = (),
    existing: str = "",
) -> dict[str, Any]:
    """Return a signature of the files of ``manifest``: ``signature`` (text), ``kept``, the signer.

    Keys and certificates are paths of PEM files, ``existing`` is the text of an earlier signature,
    which is kept if it is right. Raises ``ModelError``: ``invalid_option``, ``tools_missing``,
    ``tools_failed``.
    """
    if password and certificate:
        raise ModelError(
            "password is given for the key of a certificate, but model-signing reads such a key "
            "only without a password. Give the key decrypted, or sign with the key alone.",
            "invalid_option",
        )
    if chain and not certificate:
        raise ModelError(
            "certificate_chain is given without certificate; give the certificate that signs.",
            "invalid_option",
        )
    request = {
        "action": "sign",
        "private_key": private_key,
        "password": password,
        "certificate": certificate,
        "certificate_chain": list(chain),
        "existing": existing,
        **_described(manifest, _without_itself(manifest.files, existing)),
    }
    try:
        return run_tool(tools_python, model_signature, request)
    except ModelError as error:
        if error.code != "invalid_option":
            raise
        raise ModelError(
            f"The model cannot be signed with {certificate or private_key}: {error.message}. "
            "Use a private key on the curve P-256, P-384 or P-521 as PEM, and with a certificate "
            "the one that belongs to the key.",
            "invalid_option",
        ) from error


def files_digest(files: Sequence[ModelFile]) -> str:
    """Return one SHA-256 over paths and hashes of files."""
    return _sha256(json.dumps([[item.path, item.sha256] for item in files]))


_PLURAL = {"key": "keys", "certificate": "certificates"}


def _described(manifest: Manifest, files: Sequence[ModelFile]) -> dict[str, Any]:
    listed = [{"path": item.path, "sha256": item.sha256} for item in files]
    return {"name": manifest.id, "files": listed}


def _without_itself(files: Sequence[ModelFile], signature: str) -> list[ModelFile]:
    """A signature that lies among the files cannot be about itself; its content tells which."""
    text = signature.rstrip("\n")
    own = {_sha256(text), _sha256(text + "\n")} if text else set()
    return [item for item in files if item.sha256 not in own]


def _method(signature: str, name: str) -> str:
    """Say whether a key or a certificate made the signature."""
    try:
        material = json.loads(signature)["verificationMaterial"]
        for key, method in (("publicKey", "key"), ("x509CertificateChain", "certificate")):
            if key in material:
                return method
    except (ValueError, TypeError, KeyError) as error:
        raise _invalid(name, "it is not a Sigstore bundle") from error
    raise _invalid(name, "it was made neither with a key nor with a certificate chain")


def _signed_files(signature: str, name: str) -> dict[str, str]:
    """Return the SHA-256 by path that the statement lists. It is not proven by that."""
    try:
        payload = json.loads(signature)["dsseEnvelope"]["payload"]
        statement = json.loads(base64.b64decode(payload))
        if statement["predicateType"] != PREDICATE:
            raise _invalid(name, f"its predicate is {statement['predicateType']}, not {PREDICATE}")
        form = statement["predicate"]["serialization"]
        if (form["method"], form["hash_type"]) != ("files", "sha256"):
            raise _invalid(
                name, f"it lists {form['method']} by {form['hash_type']}; sign files by sha256"
            )
        resources = statement["predicate"]["resources"]
        found = {str(item["name"]): str(item["digest"]) for item in resources}
    except (ValueError, TypeError, KeyError) as error:
        raise _invalid(name, "its statement cannot be read") from error
    if len(found) != len(resources):
        raise _invalid(name, "it lists a file twice")
    return found


def _difference(signed: Mapping[str, str], files: Sequence[ModelFile]) -> str:
    """Say how the first path differs, in the order of paths; nothing if none does."""
    there = {item.path: item.sha256 for item in files}
    for path in sorted(set(signed) | set(there)):
        if path not in signed:
            return (
                f"'{path}' is not signed; sign it as well (model_signing leaves out what git uses, "
                "unless it is told --no-ignore-git-paths), or exclude it from the model"
            )
        if path not in there:
            return f"it is about '{path}', which the model does not have"
        if signed[path] != there[path]:
            return f"'{path}' was signed with other content"
    return ""


def _invalid(name: str, what: str) -> ModelError:
    return ModelError(
        f"The signature of {name} is refused: {what}. Nothing was changed. Get the signature that "
        "belongs to this lock, or find out who changed the model.",
        "signature_invalid",
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

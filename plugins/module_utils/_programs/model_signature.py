# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign models and verify signatures with model-signing.

The package and the format: https://github.com/sigstore/model-transparency. Files are given by name
and hash, so that a lock can be signed and verified without a byte of the model. Nothing is asked
over the network. Requests have ``name`` (text that stands in the signature) and ``files`` (a list
of ``{"path", "sha256"}``), and:

``{"action": "verify", "signature": text, "method": "key" or "certificate", "trusted": [PEM]}``: the
answer is ``{"method", "key", "certificate"}``, where ``key`` is the SHA-256 of the signer's public
key as DER and ``certificate`` the subject, empty for a key. The signature must be about the files,
no more and no less.

``{"action": "sign", "private_key": path, "password": text, "certificate": path or "",
"certificate_chain": [paths], "existing": text}``: the answer has ``signature`` (text) besides, and
``kept``: whether it is the existing one, which is by the same signer about the same files.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import json
import os
import sys
import tempfile
from typing import Any


class Refused(Exception):
    """The message says why, the code is one of the collection's."""

    def __init__(self, message: str, code: str = "signature_invalid") -> None:
        super().__init__(message)
        self.code = code


def listed(name: str, files: list[dict[str, str]]) -> Any:
    """Return a hashing configuration that takes digests from ``files`` instead of a folder."""
    hashing = importlib.import_module("model_signing.hashing")
    manifest = importlib.import_module("model_signing.manifest")
    digest = importlib.import_module("model_signing._hashing.hashing").Digest

    class Listed(hashing.Config):  # type: ignore[name-defined, misc]
        def hash(self, model_path: Any, *, files_to_hash: Any = None) -> Any:
            form = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
            kind = manifest.SerializationType.from_args(form)
            items = [
                kind.new_item(item["path"], digest("sha256", bytes.fromhex(item["sha256"])))
                for item in files
            ]
            return manifest.Manifest(name, items, kind)

        def add_ignored_paths(self, *, model_path: Any, paths: Any) -> None:
            """Whatever the signature ignores, the list of files stays as it is."""

    return Listed()


def fingerprint(key: Any) -> str:
    """Return the SHA-256 of a public key as DER, in hex."""
    forms = importlib.import_module("cryptography.hazmat.primitives.serialization")
    spki = forms.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(forms.Encoding.DER, spki)).hexdigest()


def signer(signature: str) -> Any:
    """Return the certificate that a signature says it was made with."""
    x509 = importlib.import_module("cryptography.x509")
    chain = json.loads(signature)["verificationMaterial"]["x509CertificateChain"]
    return x509.load_der_x509_certificate(base64.b64decode(chain["certificates"][0]["rawBytes"]))


def check_trusted(method: str, texts: list[str]) -> list[Any]:
    """Return the public keys, none for certificates. Raises ``Refused`` for any other text."""
    forms = importlib.import_module("cryptography.hazmat.primitives.serialization")
    x509 = importlib.import_module("cryptography.x509")
    keys = []
    for number, text in enumerate(texts):
        try:
            if method == "key":
                keys.append(forms.load_pem_public_key(text.encode()))
            else:
                x509.load_pem_x509_certificates(text.encode())
        except Exception as error:
            option = "trusted_keys" if method == "key" else "trusted_certificates"
            message = f"{option}[{number}] is no PEM text of a {method}: {error}."
            raise Refused(message, "invalid_option") from error
    return keys


def verify(request: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return who signed. Raises ``Refused``."""
    method, trusted = request["method"], request["trusted"]
    keys = check_trusted(method, trusted)
    if not trusted:
        # Without any, model-signing would trust every authority that browsers trust.
        raise Refused(f"no {method} is trusted")
    signature = write(folder, "signature", request["signature"])
    paths = [write(folder, str(number), text) for number, text in enumerate(trusted)]
    # All certificates together are one store of trust; each key is tried alone.
    options: list[dict[str, Any]] = (
        [{"public_key": path} for path in paths]
        if method == "key"
        else [{"certificate_chain": paths}]
    )
    reasons = []
    for number, option in enumerate(options):
        reason = problem(method, option, request, signature)
        if reason:
            reasons.append(reason)
        elif method == "key":
            return {"method": method, "key": fingerprint(keys[number]), "certificate": ""}
        else:
            certificate = signer(request["signature"])
            subject = certificate.subject.rfc4514_string()
            key = fingerprint(certificate.public_key())
            return {"method": method, "key": key, "certificate": subject}
    raise Refused("; ".join(reasons))


def problem(method: str, option: dict[str, Any], request: dict[str, Any], signature: str) -> str:
    """Say why the file ``signature`` is not a right one about the request's files, or nothing."""
    config = importlib.import_module("model_signing.verifying").Config()
    try:
        if method == "key":
            config.use_elliptic_key_verifier(**option)
        else:
            config.use_certificate_verifier(**option)
        config.set_hashing_config(listed(request["name"], request["files"]))
        config.verify(os.path.dirname(signature), signature)
    except Exception as error:  # the package raises whatever its parts raise
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return ""


def sign(request: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return a signature and who made it. Raises ``Refused``."""
    signing = importlib.import_module("model_signing.signing")
    x509 = importlib.import_module("cryptography.x509")
    forms = importlib.import_module("cryptography.hazmat.primitives.serialization")
    target = os.path.join(folder, "signature")
    private, password = request["private_key"], request["password"].encode() or None
    config = signing.Config().set_hashing_config(listed(request["name"], request["files"]))
    try:
        with open(private, "rb") as stream:
            key = forms.load_pem_private_key(stream.read(), password).public_key()
        subject = ""
        if request["certificate"]:
            with open(request["certificate"], "rb") as stream:
                subject = x509.load_pem_x509_certificate(stream.read()).subject.rfc4514_string()
            config.use_certificate_signer(
                private_key=private,
                signing_certificate=request["certificate"],
                certificate_chain=request["certificate_chain"],
            )
        else:
            config.use_elliptic_key_signer(private_key=private, password=password)
        config.sign(folder, target)
    except Exception as error:  # of OpenSSL, of the package, of the file system
        raise Refused(f"{type(error).__name__}: {error}", "invalid_option") from error
    with open(target, encoding="utf-8") as stream:
        made = stream.read()
    pem = key.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo).decode()
    kept = same_signer(request, made, pem, folder)
    return {
        "signature": request["existing"] if kept else made,
        "kept": kept,
        "method": "certificate" if subject else "key",
        "key": fingerprint(key),
        "certificate": subject,
    }


def same_signer(request: dict[str, Any], made: str, pem: str, folder: str) -> bool:
    """Say whether the existing signature is right and names the signer as the one just made."""
    try:
        material = json.loads(made)["verificationMaterial"]
        existing = json.loads(request["existing"])
        if existing["verificationMaterial"] != material:
            return False
        # The key decides, whatever proves it: so one way to verify does for both methods.
        hint = hashlib.sha256(pem.encode()).hexdigest()
        existing["verificationMaterial"] = {"publicKey": {"hint": hint}, "tlogEntries": []}
    except (ValueError, TypeError, KeyError):
        return False
    path = write(folder, "existing", json.dumps(existing))
    option = {"public_key": write(folder, "public", pem)}
    return not problem("key", option, request, path)


def write(folder: str, name: str, text: str) -> str:
    """Write a file for model-signing, which reads everything from files; return its path."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text.rstrip() + "\n")
    return path


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    try:
        # model-signing prints warnings to where the answer goes.
        with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:
            importlib.import_module("model_signing.verifying")
            answer = (verify if request["action"] == "verify" else sign)(request, folder)
    except ImportError as error:
        message = (
            f"The interpreter {sys.executable} has no model-signing ({error}). Run the role "
            "python_env with its entry point tools, or give tools_python."
        )
        answer = {"error": message, "code": "tools_missing"}
    except Refused as error:
        answer = {"error": str(error), "code": error.code}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()

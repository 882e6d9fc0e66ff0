# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Signatures against the real model-signing: what one side signs, the other verifies."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._signing import (
    Trust,
    sign,
    verify_signature,
)

# Keys and certificates, made by the cryptography package of the tools environment.
_MAKE = """
import datetime, pathlib, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

folder = pathlib.Path(sys.argv[1])
start = datetime.datetime(2026, 1, 1)

def key(name, curve=ec.SECP256R1, password=None):
    made = ec.generate_private_key(curve())
    lock = forms.BestAvailableEncryption(password) if password else forms.NoEncryption()
    pem = made.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, lock)
    public = made.public_key().public_bytes(
        forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / f"{name}.key").write_bytes(pem)
    (folder / f"{name}.pub").write_bytes(public)
    return made

def certificate(name, own, issuer=None, issuer_key=None, authority=False, signing=True):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(signing and not authority, False, False, not signing, False,
                          authority, authority, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(usage, critical=True)
        .sign(issuer_key or own, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(made.public_bytes(forms.Encoding.PEM))
    return made

key("a")
key("b", ec.SECP384R1)
key("locked", ec.SECP521R1, b"open sesame")
key("wrong_curve", ec.SECP256K1)
root_key = key("root")
root = certificate("root", root_key, authority=True)
other_key = key("other")
certificate("other", other_key, authority=True)
middle_key = key("middle")
middle = certificate("middle", middle_key, root, root_key, authority=True)
certificate("leaf", key("leaf"), middle, middle_key)
certificate("server", key("server"), middle, middle_key, signing=False)
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, model_tools_python: str) -> Path:
    """A folder with <name>.key, .pub and .crt: leaf is under middle is under root."""
    folder = tmp_path_factory.mktemp("keys")
    subprocess.run([model_tools_python, "-c", _MAKE, str(folder)], check=True)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model; the signatures know no more of it than names and bytes."""
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "config.json").write_text('{"hidden_size": 4}')
    (folder / "a-b.txt").write_text("sorts apart from a/b as text and as a path")
    (folder / "a").mkdir()
    (folder / "a" / "b.txt").write_text("so the order of the hashes is tested")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 1000)
    return folder


@pytest.fixture
def command(model_tools_python: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``model_signing``."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        program = str(Path(model_tools_python).with_name("model_signing"))
        return subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def trust(model_tools_python: str, keys: Path) -> Callable[..., Trust]:
    """Return a trust: ``trust(signature text, keys=[names], certificates=[names])``."""

    def make(
        signature: str, keys_of: tuple[str, ...] = (), roots: tuple[str, ...] = (), **more: Any
    ) -> Trust:
        return Trust(
            signature=signature,
            keys=tuple((keys / f"{name}.pub").read_text() for name in keys_of),
            certificates=tuple((keys / f"{name}.crt").read_text() for name in roots),
            tools_python=more.pop("tools_python", model_tools_python),
            **more,
        )

    return make


def manifest_of(folder: Path, *without: str) -> Manifest:
    """The manifest of all files of a folder."""
    files = [
        {
            "path": path.relative_to(folder).as_posix(),
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in without
    ]
    about = {"lock_version": 1, "source": "huggingface", "id": "owner/name", "files": files}
    return Manifest.from_dict({**about, "revision": "v1", "commit": "v1"})


def code_of(manifest: Manifest, trust: Trust) -> str:
    """The code of the refusal; its message is complete."""
    with pytest.raises(ModelError) as caught:
        verify_signature(manifest, trust, {})
    assert "owner/name" in caught.value.message
    return caught.value.code


@pytest.mark.parametrize(("key", "password"), [("a", ""), ("b", ""), ("locked", "open sesame")])
def test_the_command_verifies_what_we_sign_with_a_key(
    model: Path, keys: Path, model_tools_python: str, command: Any, key: str, password: str
) -> None:
    made = sign(manifest_of(model), model_tools_python, str(keys / f"{key}.key"), password)
    (model / "model.sig").write_text(made["signature"])
    options = ("--signature", model / "model.sig", "--public_key", keys / f"{key}.pub")
    assert command("verify", "key", *options, model).returncode == 0
    other = ("--signature", model / "model.sig", "--public_key", keys / "root.pub")
    assert command("verify", "key", *other, model).returncode != 0
    (model / "config.json").write_text("{}")
    assert command("verify", "key", *options, model).returncode != 0


def test_the_command_verifies_what_we_sign_with_a_certificate(
    model: Path, keys: Path, model_tools_python: str, command: Any
) -> None:
    made = sign(
        manifest_of(model),
        model_tools_python,
        str(keys / "leaf.key"),
        certificate=str(keys / "leaf.crt"),
        chain=[str(keys / "middle.crt")],
    )
    assert (made["method"], made["certificate"]) == ("certificate", "CN=leaf")
    (model / "model.sig").write_text(made["signature"])
    verify = ("verify", "certificate", "--signature", model / "model.sig", "--certificate_chain")
    assert command(*verify, keys / "root.crt", model).returncode == 0
    assert command(*verify, keys / "other.crt", model).returncode != 0


def test_we_verify_what_the_command_signs_with_a_key(
    model: Path, keys: Path, command: Any, trust: Callable[..., Trust]
) -> None:
    signature = model / "model.sig"
    done = command("sign", "key", "--signature", signature, "--private_key", keys / "b.key", model)
    assert done.returncode == 0, done.stderr
    text = signature.read_text()
    # The signature that lies in the model is left out, and only it.
    proof = verify_signature(manifest_of(model), trust(text, ("a", "b")), {})
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", str(keys / "b.pub"), "-outform", "DER"],
        capture_output=True,
        check=True,
    ).stdout
    assert proof["verified"] is True
    assert (proof["method"], proof["certificate"]) == ("key", "")
    assert proof["key"] == hashlib.sha256(der).hexdigest()
    assert proof["signature_sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_we_verify_what_the_command_signs_with_a_certificate(
    model: Path, keys: Path, tmp_path: Path, command: Any, trust: Callable[..., Trust]
) -> None:
    signature = tmp_path / "model.sig"
    done = command(
        *("sign", "certificate", "--signature", signature, "--private_key", keys / "leaf.key"),
        *("--signing_certificate", keys / "leaf.crt", "--certificate_chain", keys / "middle.crt"),
        model,
    )
    assert done.returncode == 0, done.stderr
    trusted = trust(signature.read_text(), ("a",), ("other", "root"))
    proof = verify_signature(manifest_of(model), trusted, {})
    assert (proof["verified"], proof["certificate"]) == (True, "CN=leaf")


@pytest.fixture
def signature(model: Path, keys: Path, model_tools_python: str) -> str:
    """A signature of the model by key a."""
    made = sign(manifest_of(model), model_tools_python, str(keys / "a.key"))
    return str(made["signature"])


class TestRefused:
    """What does not verify is refused, and says which code."""

    def test_another_key(self, model: Path, signature: str, trust: Callable[..., Trust]) -> None:
        assert code_of(manifest_of(model), trust(signature, ("b", "root"))) == "signature_invalid"

    def test_a_key_where_only_certificates_are_trusted(
        self, model: Path, signature: str, trust: Callable[..., Trust]
    ) -> None:
        assert code_of(manifest_of(model), trust(signature, (), ("root",))) == "signature_invalid"

    @pytest.mark.parametrize(
        ("name", "roots"), [("leaf", ("other",)), ("leaf", ("middle",)), ("server", ("root",))]
    )
    def test_a_certificate_that_is_not_trusted_or_not_for_signing(
        self,
        model: Path,
        keys: Path,
        model_tools_python: str,
        trust: Callable[..., Trust],
        name: str,
        roots: tuple[str, ...],
    ) -> None:
        made = sign(
            manifest_of(model),
            model_tools_python,
            str(keys / f"{name}.key"),
            certificate=str(keys / f"{name}.crt"),
            chain=[str(keys / "middle.crt")],
        )
        refused = trust(made["signature"], ("a",), roots)
        assert code_of(manifest_of(model), refused) == "signature_invalid"

    @pytest.mark.parametrize("change", ["changed", "removed", "added"])
    def test_other_files(
        self, model: Path, signature: str, trust: Callable[..., Trust], change: str
    ) -> None:
        if change == "changed":
            (model / "config.json").write_text("{}")
        elif change == "removed":
            (model / "config.json").unlink()
        else:
            (model / "config.jsoo").write_text("{}")
        with pytest.raises(ModelError, match=r"'config\.jso[no]'") as caught:
            verify_signature(manifest_of(model), trust(signature, ("a",)), {})
        assert caught.value.code == "signature_invalid"

    def test_a_payload_that_was_changed_to_fit(
        self, model: Path, signature: str, trust: Callable[..., Trust]
    ) -> None:
        (model / "config.json").write_text("{}")
        bundle = json.loads(signature)
        statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        digests = {item.path: item.sha256 for item in manifest_of(model).files}
        for resource in statement["predicate"]["resources"]:
            resource["digest"] = digests[resource["name"]]
        total = b"".join(bytes.fromhex(r["digest"]) for r in statement["predicate"]["resources"])
        statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(total).hexdigest()
        payload = base64.b64encode(json.dumps(statement).encode()).decode()
        bundle["dsseEnvelope"]["payload"] = payload
        forged = trust(json.dumps(bundle), ("a",))
        with pytest.raises(ModelError, match="no trusted key confirms it") as caught:
            verify_signature(manifest_of(model), forged, {})
        assert caught.value.code == "signature_invalid"

    @pytest.mark.parametrize("option", ["--ignore-paths", "default"])
    def test_files_that_the_command_left_out(
        self,
        model: Path,
        keys: Path,
        command: Any,
        trust: Callable[..., Trust],
        option: str,
    ) -> None:
        (model / ".gitattributes").write_text("*.bin filter=lfs")
        left_out = ("--no-ignore-git-paths", option, model / "config.json")
        command(
            *("sign", "key", "--signature", model / "model.sig", "--private_key", keys / "a.key"),
            *(left_out if option != "default" else ()),
            model,
        )
        manifest = manifest_of(model)
        trusted = trust((model / "model.sig").read_text(), ("a",))
        path = "config.json" if option != "default" else ".gitattributes"
        with pytest.raises(ModelError, match=f"'{path}' is not signed") as caught:
            verify_signature(manifest, trusted, {})
        assert caught.value.code == "signature_invalid"
        if option == "default":
            without = manifest_of(model, ".gitattributes")
            assert verify_signature(without, trusted, {})["verified"] is True

    def test_a_key_that_is_none(
        self, model: Path, signature: str, trust: Callable[..., Trust], model_tools_python: str
    ) -> None:
        broken = Trust(signature=signature, keys=("x",), tools_python=model_tools_python)
        with pytest.raises(ModelError, match=r"trusted_keys\[0\]") as caught:
            verify_signature(manifest_of(model), broken, {})
        assert caught.value.code == "invalid_option"

    def test_tools_that_are_not_there(
        self, model: Path, signature: str, trust: Callable[..., Trust]
    ) -> None:
        missing = trust(signature, ("a",), tools_python="/nonexistent/environment")
        with pytest.raises(ModelError) as caught:
            verify_signature(manifest_of(model), missing, {})
        assert caught.value.code == "tools_missing"
        foreseen = trust(signature, ("a",), tools_python="/nonexistent/environment", foresee=True)
        assert verify_signature(manifest_of(model), foreseen, {}) == {"verified": False}


def test_a_proof_is_taken_again_only_for_the_same(
    model: Path, signature: str, trust: Callable[..., Trust]
) -> None:
    known = verify_signature(manifest_of(model), trust(signature, ("a",)), {})
    # Without tools only what is known already can be confirmed.
    blind = trust(signature, ("a",), tools_python="/nonexistent")
    assert verify_signature(manifest_of(model), blind, known) == known
    more = trust(signature, ("a", "b"), tools_python="/nonexistent")
    for changed, manifest in (
        (more, manifest_of(model)),
        (blind, manifest_of(model, "config.json")),
    ):
        with pytest.raises(ModelError):
            verify_signature(manifest, changed, known)


def test_a_right_signature_is_kept(model: Path, keys: Path, model_tools_python: str) -> None:
    def again(existing: str, key: str = "a", **more: Any) -> dict[str, Any]:
        private = str(keys / f"{key}.key")
        manifest = manifest_of(model)
        return sign(manifest, model_tools_python, private, existing=existing, **more)

    chain = {"certificate": str(keys / "leaf.crt"), "chain": [str(keys / "middle.crt")]}
    first = again("")
    assert not first["kept"]
    second = again(first["signature"])
    assert (second["kept"], second["signature"]) == (True, first["signature"])
    assert not again(first["signature"], "b")["kept"]
    certified = again(first["signature"], "leaf", **chain)
    assert not certified["kept"]
    assert again(certified["signature"], "leaf", **chain)["kept"]
    assert not again(certified["signature"], "leaf")["kept"]
    (model / "config.json").write_text("{}")
    assert not again(first["signature"])["kept"]
    assert not again("no signature")["kept"]


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("wrong_curve", {}),
        ("locked", {}),
        ("locked", {"password": "wrong"}),
        ("absent", {}),
        ("a", {"certificate": "leaf.crt"}),
    ],
)
def test_a_key_that_cannot_sign_is_an_option_that_is_wrong(
    model: Path, keys: Path, model_tools_python: str, key: str, more: dict[str, str]
) -> None:
    if "certificate" in more:
        more = {"certificate": str(keys / more["certificate"])}
    with pytest.raises(ModelError, match="cannot be signed with") as caught:
        sign(manifest_of(model), model_tools_python, str(keys / f"{key}.key"), **more)
    assert caught.value.code == "invalid_option"

# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused about a signature before any cryptography; the rest is in tests/model_tools.

``bundle`` is a stand-in of a signature: it has the form of one, but nobody signed it.
"""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from ansible_collections.modelops.serving.plugins.module_utils import _signing
from ansible_collections.modelops.serving.plugins.module_utils._approval import Policy
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._manifest import Manifest
from ansible_collections.modelops.serving.plugins.module_utils._signing import (
    Trust,
    sign,
    verify_signature,
)
from ansible_collections.modelops.serving.plugins.module_utils._snapshot import Choice, Snapshot
from ansible_collections.modelops.serving.plugins.module_utils._store import Place
from ansible_collections.modelops.serving.tests.unit.plugins.module_utils.models import (
    lock_of,
    make_source,
)

MATERIAL = {"publicKey": {"hint": "00"}, "tlogEntries": []}


def bundle(manifest, material=None, form=None, predicate=_signing.PREDICATE, twice=False):
    resources = [
        {"name": item.path, "algorithm": "sha256", "digest": item.sha256} for item in manifest.files
    ]
    statement = {
        "predicateType": predicate,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", **(form or {})},
            "resources": resources * (2 if twice else 1),
        },
    }
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    material = MATERIAL if material is None else material
    return json.dumps({"verificationMaterial": material, "dsseEnvelope": {"payload": payload}})


def refusal(manifest, **trust):
    with pytest.raises(ModelError) as caught:
        verify_signature(manifest, Trust(**{"keys": ("key",), **trust}), {})
    return caught.value


@pytest.fixture
def asked(monkeypatch):
    """The requests that would go to the tools environment; each is confirmed."""
    requests = []

    def confirm(_python, _program, request):
        requests.append(request)
        return {"method": request["method"], "key": "ab", "certificate": ""}

    monkeypatch.setattr(_signing, "run_tool", confirm)
    return requests


def test_no_signature_is_no_proof(lock, asked):
    assert verify_signature(lock, Trust(), {}) == {"verified": False}
    assert verify_signature(lock, Trust(keys=("key",)), {"verified": True}) == {"verified": False}
    assert asked == []


def test_a_required_signature_must_be_given(lock):
    error = refusal(lock, required=True)
    assert error.code == "signature_missing"
    assert "owner/name" in error.message


@pytest.mark.parametrize("choice", [{"required": True}, {"signature": "{}"}])
def test_somebody_must_be_trusted(lock, choice):
    error = refusal(lock, keys=(), **choice)
    assert error.code == "invalid_option"
    assert "trusted_keys" in error.message


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("no json", "not a Sigstore bundle"),
        ("[]", "not a Sigstore bundle"),
        ('{"verificationMaterial": null}', "not a Sigstore bundle"),
        ('{"verificationMaterial": {"certificate": {}}}', "neither with a key nor"),
        (json.dumps({"verificationMaterial": MATERIAL}), "statement cannot be read"),
        (
            json.dumps({"verificationMaterial": MATERIAL, "dsseEnvelope": {"payload": "e30"}}),
            "statement cannot be read",
        ),
    ],
)
def test_what_is_no_signature_is_refused(lock, asked, signature, reason):
    error = refusal(lock, signature=signature)
    assert error.code == "signature_invalid"
    assert reason in error.message
    assert asked == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"predicate": "https://model_signing/Digests/v0.1"}, "Digests/v0.1"),
        ({"form": {"method": "shards"}}, "shards by sha256"),
        ({"form": {"hash_type": "blake3"}}, "files by blake3"),
        ({"twice": True}, "a file twice"),
        ({"material": {"x509CertificateChain": {}}}, "trusted_certificates names none"),
    ],
)
def test_other_kinds_of_signatures_are_refused(lock, asked, change, reason):
    error = refusal(lock, signature=bundle(lock, **change))
    assert error.code == "signature_invalid"
    assert reason in error.message
    assert asked == []


def test_the_first_path_that_differs_is_named(model, lock, asked):
    signature = bundle(lock)
    fewer = Manifest.from_dict(lock_of({p: d for p, d in model.items() if p != "config.json"}))
    more = Manifest.from_dict(lock_of({**model, "extra.py": b""}))
    other = Manifest.from_dict(lock_of({**model, "README.md": b"", "config.json": b""}))
    assert "about 'config.json'" in refusal(fewer, signature=signature).message
    assert "'extra.py' is not signed" in refusal(more, signature=signature).message
    assert "'README.md' was signed with other" in refusal(other, signature=signature).message
    assert asked == []


def test_the_tools_are_asked_about_exactly_the_files(lock, asked):
    signature = bundle(lock)
    proof = verify_signature(lock, Trust(signature=signature, keys=("key",)), {})
    assert proof["verified"] is True
    assert proof["signature_sha256"] == hashlib.sha256(signature.encode()).hexdigest()
    assert asked[0]["trusted"] == ["key"]
    assert asked[0]["files"] == [{"path": f.path, "sha256": f.sha256} for f in lock.files]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_signature_among_the_files_is_not_about_itself(model, lock, asked, end):
    signature = bundle(lock)
    manifest = Manifest.from_dict(lock_of({**model, "model.sig": (signature + end).encode()}))
    trust = Trust(signature=signature + "\n", keys=("key",))
    assert verify_signature(manifest, trust, {})["verified"] is True
    assert "model.sig" not in [item["path"] for item in asked[0]["files"]]


def test_a_known_proof_is_taken_for_the_same_alone(model, lock, asked):
    trust = Trust(signature=bundle(lock), keys=("key", "other"))
    known = verify_signature(lock, trust, {})
    assert verify_signature(lock, trust, known) == known
    swapped = Trust(signature=trust.signature, keys=("other", "key"))
    assert verify_signature(lock, swapped, known) == known
    assert len(asked) == 1
    verify_signature(lock, Trust(signature=trust.signature, keys=("key",)), known)
    verify_signature(lock, trust, {**known, "verified": False})
    assert len(asked) == 3


def test_check_mode_foresees_the_tools_only_where_they_are_to_be(lock):
    signature = bundle(lock)
    trust = Trust(signature=signature, keys=("k",), tools_python="/nonexistent", foresee=True)
    assert verify_signature(lock, trust, {}) == {"verified": False}
    nowhere = refusal(lock, signature=signature, foresee=True)
    assert nowhere.code == "tools_missing"
    assert refusal(lock, signature=signature, tools_python="/x").code == "tools_missing"


@pytest.mark.parametrize("options", [{"password": "p", "certificate": "c"}, {"chain": ["c"]}])
def test_signing_options_that_do_not_go_together_are_refused(lock, options):
    with pytest.raises(ModelError) as caught:
        sign(lock, "/x", "key", **options)
    assert caught.value.code == "invalid_option"


@pytest.mark.parametrize("locked", [True, False])
def test_an_unsigned_model_is_refused_before_a_byte_is_asked_for(tmp_path, lock, serve, locked):
    url, seen = serve(lambda path, headers: (404, {}, b""))
    place = Place(str(tmp_path / "store"), "modelscope", "owner/name", "v1.0.0")
    policy = Policy(require_signature=True, trusted_keys=("key",))
    choice = Choice(lock=lock if locked else None, policy=policy)
    with pytest.raises(ModelError) as caught:
        Snapshot(place, make_source("modelscope", url), choice).present()
    assert caught.value.code == "signature_missing"
    assert seen == []
    assert not (tmp_path / "store").exists()

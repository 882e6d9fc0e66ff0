# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The surface `/login`: a user name and a password for a token."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import g

from ..records import RequestRecord
from ..security.login import Login
from ..types import LoginRequest, LoginResponse
from ._docs import failures


def build(login: Login) -> APIBlueprint:
    """Create the blueprint."""
    blueprint = APIBlueprint("session", __name__, tag="Session")

    @blueprint.post("/login")
    @blueprint.doc(
        summary="Sign in",
        description="The token is sent as `Authorization: Bearer TOKEN`. After too many failures "
        "the user is locked out for a while, whatever the password.",
        responses=failures(400, 401, 403, 413, 415, 429, 500, 503),
    )
    @blueprint.input(LoginRequest, arg_name="body")
    @blueprint.output(LoginResponse)
    def sign_in(body: LoginRequest) -> LoginResponse:
        record: RequestRecord = g.record
        token = login.sign_in(body.username, body.password, record.address)
        # Only a name that is known may stand in a log: another may be a password.
        record.client = body.username
        return LoginResponse(access_token=token, expires_in=login.token_seconds)

    return blueprint

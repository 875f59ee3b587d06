"""Authlib with `Basic` and no secret, the empty one and its default, at each endpoint that has a function of its session."""

import json
import os
import sys

from authlib.integrations.requests_client import OAuth2Session

env = os.environ
seen = []
for secret in ["", None]:
    session = OAuth2Session(
        env["AGENT"],
        secret,
        token_endpoint_auth_method="client_secret_basic",
        revocation_endpoint_auth_method="client_secret_basic",
        token_endpoint=f"{env['ISSUER']}/oauth/token",
        grant_type="client_credentials",
        scope="payments.read",
    )
    session.cert = (env["SVID_CERT"], env["SVID_KEY"])
    session.verify = env["BUNDLE"]
    first = session.fetch_token(resource=env["RESOURCE"])
    renewed = session.refresh_token(session.metadata["token_endpoint"], refresh_token=first["refresh_token"])
    about = lambda: session.introspect_token(f"{env['ISSUER']}/oauth/introspect", token=renewed["access_token"]).json()
    before = about()["active"]
    revoked = session.revoke_token(f"{env['ISSUER']}/oauth/revoke", token=renewed["access_token"])
    seen.append([renewed["txn"] == first["txn"], before, revoked.status_code, about()["active"]])

json.dump(seen, sys.stdout)

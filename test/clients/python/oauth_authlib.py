"""Authlib: a token by scope, and its renewal when it has expired."""

import json
import os
import sys

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session

env = os.environ
seen = {}


def session_of(secret=None):
    session = OAuth2Session(
        env["AGENT"],
        secret,
        token_endpoint=f"{env['ISSUER']}/oauth/token",
        grant_type="client_credentials",
        scope="payments.read payments.refund",
    )
    session.cert = (env["SVID_CERT"], env["SVID_KEY"])
    session.verify = env["BUNDLE"]
    return session


session = session_of()
first = session.fetch_token(resource=env["RESOURCE"])
seen["first"] = {"txn": first["txn"], "scope": first["scope"]}

get = lambda: session.get(f"{env['ENVOY']}/v1/payments/p-1", headers={"Host": env["HOST_NAME"]}).status_code
seen["statuses"] = [get()]
session.token = {**session.token, "expires_at": 1}
seen["statuses"].append(get())
seen["renewed"] = {"txn": session.token["txn"], "same": session.token["access_token"] == first["access_token"]}

try:
    session_of("s3cret").fetch_token(resource=env["RESOURCE"])
except OAuthError as error:
    seen["secret"] = error.error

json.dump(seen, sys.stdout)

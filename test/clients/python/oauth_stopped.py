"""Authlib, whose task is stopped by somebody else: what its renewal and a new sign-in are answered."""

import json
import os
import sys

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session

env = os.environ
session = OAuth2Session(
    env["AGENT"],
    token_endpoint=f"{env['ISSUER']}/oauth/token",
    grant_type="client_credentials",
    scope="payments.read",
)
session.cert = (env["SVID_CERT"], env["SVID_KEY"])
session.verify = env["BUNDLE"]
print(session.fetch_token(resource=env["RESOURCE"])["txn"], flush=True)
sys.stdin.readline()

get = lambda: session.get(f"{env['ENVOY']}/v1/payments/p-1", headers={"Host": env["HOST_NAME"]})
seen = [get().status_code]
session.token = {**session.token, "expires_at": 1}
for attempt in (get, lambda: session.fetch_token(resource=env["RESOURCE"])):
    try:
        attempt()
        seen.append("accepted")
    except OAuthError as error:
        seen.append(error.error)
json.dump(seen, sys.stdout)

"""requests-oauthlib: a token by scope with its default client authentication, and its renewal when it has expired."""

import json
import os
import sys

from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests_oauthlib import OAuth2Session

env = os.environ
seen = {"updated": 0}


def updated(token):
    seen["updated"] += 1


url = f"{env['ISSUER']}/oauth/token"
client = BackendApplicationClient(client_id=env["AGENT"], scope=["payments.read"])
session = OAuth2Session(client=client, auto_refresh_url=url, token_updater=updated)
session.cert = (env["SVID_CERT"], env["SVID_KEY"])
session.verify = env["BUNDLE"]
first = session.fetch_token(url, resource=env["RESOURCE"])
seen["first"] = {"txn": first["txn"]}

get = lambda: session.get(f"{env['ENVOY']}/v1/payments/p-1", headers={"Host": env["HOST_NAME"]}).status_code
seen["statuses"] = [get()]
session.token = {**session.token, "expires_at": 1}
seen["statuses"].append(get())
seen["renewed"] = {"txn": session.token["txn"], "same": session.token["access_token"] == first["access_token"]}

try:
    session.fetch_token(url, client_secret="s3cret", resource=env["RESOURCE"])
except OAuth2Error as error:
    seen["secret"] = error.error

json.dump(seen, sys.stdout)

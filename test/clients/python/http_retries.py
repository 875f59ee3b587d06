"""urllib3 and requests with their retries: a spent budget is asked for once."""

import json
import os
import sys

import requests
from urllib3.util import Retry

env = os.environ
session = requests.Session()
session.cert = (env["SVID_CERT"], env["SVID_KEY"])
session.verify = env["BUNDLE"]
session.mount("https://", requests.adapters.HTTPAdapter(max_retries=Retry(total=4, backoff_factor=0.01)))
headers = {"Host": env["HOST_NAME"], "Authorization": f"Bearer {env['TOKEN']}"}
answers = [session.get(f"{env['ENVOY']}/v1/payments/p-1", headers=headers) for _ in range(2)]
json.dump([[answer.status_code, len(answer.raw.retries.history)] for answer in answers], sys.stdout)

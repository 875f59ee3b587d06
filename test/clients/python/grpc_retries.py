"""grpcio with a retry policy: what it is answered, call after call, and what it reads of denials."""

import json
import os
import sys

import grpc

env = os.environ
read = lambda name: open(env[name], "rb").read()
identity = grpc.ssl_channel_credentials(read("BUNDLE"), read("SVID_KEY"), read("SVID_CERT"))
retries = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}
options = [
    ("grpc.ssl_target_name_override", env["HOST_NAME"]),
    ("grpc.default_authority", env["HOST_NAME"]),
    ("grpc.service_config", json.dumps(retries)),
]
with grpc.secure_channel(f"127.0.0.1:{env['ENVOY_PORT']}", identity, options) as channel:
    call = channel.unary_unary(env["METHOD"])
    metadata = [("authorization", f"Bearer {env['TOKEN']}")]
    codes, details = [], []
    for _ in range(2):
        try:
            call(bytes.fromhex(env["MESSAGE"]), metadata=metadata, timeout=60)
            codes.append("OK")
        except grpc.RpcError as error:
            codes.append(error.code().name)
            details.append(error.details())
json.dump({"codes": codes, "details": details}, sys.stdout)

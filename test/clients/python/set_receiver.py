"""Receives Security Event Tokens (RFC 8935) over TLS, and verifies each with PyJWT by the key set of the issuer.

Prints its port, then a line of JSON for each token it takes. The first delivery of each token but verification events is answered with
503, so that the transmitter must send it again.
"""

import json
import os
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"
keys = jwt.PyJWKSet.from_dict(json.load(open(os.environ["JWKS"])))
seen = set()
lock = threading.Lock()


def verified(token):
    header = jwt.get_unverified_header(token)
    assert header["typ"] == "secevent+jwt", header
    return jwt.decode(
        token,
        keys[header["kid"]],
        algorithms=[header["alg"]],
        issuer=os.environ["ISSUER"],
        audience=os.environ["AUDIENCE"],
        options={"require": ["iss", "aud", "iat", "jti", "events"]},
    )


class Events(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        try:
            if self.headers["authorization"] != "Bearer " + os.environ["BEARER"]:
                return self.answer(401, {"err": "authentication_failed"})
            if self.headers["content-type"] != "application/secevent+jwt":
                return self.answer(400, {"err": "invalid_request"})
            claims = verified(body)
        except Exception as error:
            print(json.dumps({"error": repr(error)}), flush=True)
            return self.answer(400, {"err": "invalid_key", "description": repr(error)})
        if VERIFICATION in claims["events"]:
            print(json.dumps(claims), flush=True)
            return self.answer(202, None)
        with lock:
            is_new = claims["jti"] not in seen
            seen.add(claims["jti"])
            if not is_new:
                print(json.dumps(claims), flush=True)
        self.answer(503 if is_new else 202, None)

    def answer(self, status, error):
        body = b"" if error is None else json.dumps(error).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("localhost", int(os.environ["PORT"])), Events)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.environ["CERT"], os.environ["KEY"])
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"ready": True}), flush=True)
sys.stdin.read()

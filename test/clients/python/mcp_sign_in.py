"""The MCP SDK for Python, 1.x and 2.x, with its own sign-in by client credentials."""

import asyncio
import json
import os
import ssl
import sys

from mcp import ClientSession
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client

try:
    import httpx2 as httpx
except ImportError:
    import httpx

env = os.environ


class Storage:
    tokens = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return None

    async def set_client_info(self, info):
        pass


class NameServer(httpx.AsyncHTTPTransport):
    """What the name server does elsewhere: the host of the tools is this Envoy."""

    async def handle_async_request(self, request):
        if request.url.host == env["HOST_NAME"]:
            request.url = request.url.copy_with(host="localhost", port=int(env["ENVOY_PORT"]))
        return await super().handle_async_request(request)


async def main():
    tls = ssl.create_default_context(cafile=env["BUNDLE"])
    tls.load_cert_chain(env["SVID_CERT"], env["SVID_KEY"])
    storage = Storage()
    url = f"https://{env['URL_HOST']}/mcp"
    auth = ClientCredentialsOAuthProvider(
        server_url=url, storage=storage, client_id=env["AGENT"], client_secret="", issuer=env["ISSUER"]
    )
    seen = {}
    async with httpx.AsyncClient(transport=NameServer(verify=tls), auth=auth, timeout=60) as client:
        async with streamable_http_client(url, http_client=client) as streams:
            async with ClientSession(streams[0], streams[1]) as session:
                await session.initialize()
                seen["scope"] = storage.tokens.scope
                result = await session.call_tool("read_file", {"name": "trip-report"})
                seen["text"] = result.content[0].text
                first = storage.tokens.access_token
                auth.context.token_expiry_time = 1
                result = await session.call_tool("read_file", {"name": "trip-report"})
                seen["again"] = result.content[0].text
                seen["renewed"] = storage.tokens.access_token != first
    json.dump(seen, sys.stdout)


asyncio.run(main())

import asyncio
import json
import os
import ssl
import urllib.request

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

import model


class TaskToken(httpx.Auth):
    def auth_flow(self, request):
        bearer = {"authorization": "Bearer " + os.environ["REMIT_TOKEN_URL_AUTH"]}
        with urllib.request.urlopen(urllib.request.Request(os.environ["REMIT_TOKEN_URL"], headers=bearer)) as answer:
            request.headers["authorization"] = "Bearer " + json.load(answer)["access_token"]
        yield request


def with_svid(headers=None, timeout=None, auth=None):
    tls = ssl.create_default_context(cafile=os.environ["REMIT_BUNDLE"])
    tls.load_cert_chain(os.environ["REMIT_SVID"])
    return httpx.AsyncClient(headers=headers, timeout=timeout, auth=TaskToken(), verify=tls)


async def main(url):
    async with streamablehttp_client(url, httpx_client_factory=with_svid) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        await session.list_tools()

        async def call(name, arguments):
            result = await session.call_tool(name, arguments)
            return "\n".join(part.text for part in result.content)

        print(await model.run(call))


asyncio.run(main(os.environ["TOOLS_URL"]))

"""Users of a service, each with a session of the Python SDK at the URL of a task. USERS: [[url, task], ...]; CALLS of each."""

import asyncio
import json
import os
from contextlib import asynccontextmanager

counts = {"right": 0, "wrong": 0}


@asynccontextmanager
async def session_at(url):
    try:
        from mcp import Client
    except ImportError:
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            yield session
    else:
        async with Client(url) as client:
            yield client


async def user(url, task):
    async with session_at(url) as session:
        left = int(os.environ["CALLS"])
        while left > 0:
            said = (await session.call_tool("whoami", {})).content[0].text
            # A fault of a loaded machine: no call reached the upstream.
            if said.startswith("Denied: "):
                continue
            counts["right" if said == task else "wrong"] += 1
            left -= 1


async def main():
    await asyncio.gather(*(user(url, task) for url, task in json.loads(os.environ["USERS"])))
    print(json.dumps(counts))


asyncio.run(main())

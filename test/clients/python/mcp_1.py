import asyncio
import os

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

import model


async def main(url):
    async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        await session.list_tools()

        async def call(name, arguments):
            result = await session.call_tool(name, arguments)
            return "\n".join(part.text for part in result.content)

        print(await model.run(call))


asyncio.run(main(os.environ["TOOLS_URL"]))

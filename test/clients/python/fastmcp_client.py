import asyncio
import os

from fastmcp import Client

import model


async def main(url):
    async with Client(url) as client:
        await client.list_tools()

        async def call(name, arguments):
            result = await client.call_tool(name, arguments, raise_on_error=False)
            return "\n".join(part.text for part in result.content)

        print(await model.run(call))


asyncio.run(main(os.environ["TOOLS_URL"]))

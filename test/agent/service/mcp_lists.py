"""What a model sees at the URL of a task, with the Python SDK 2.x: names and descriptions of the tools of each page. URL."""

import asyncio
import json
import os

from mcp import Client


async def main():
    async with Client(os.environ["URL"]) as client:
        pages, cursor = [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            pages.append([[tool.name, tool.description] for tool in page.tools])
            cursor = page.next_cursor
            if cursor is None:
                break
    print(json.dumps(pages))


asyncio.run(main())

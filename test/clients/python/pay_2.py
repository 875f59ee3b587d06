import asyncio
import os

from mcp import Client
from mcp.types import ElicitResult

# What the person answers to each question.
answers = [80, 1_000_000, 90]


async def asked(_context, _params):
    return ElicitResult(action="accept", content={"amount": answers.pop(0)})


async def main(url):
    async with Client(url, elicitation_callback=asked) as client:
        while answers:
            result = await client.call_tool("transfer", {"amount": 1})
            print(" ".join(part.text.replace("\n", " ") for part in result.content))


asyncio.run(main(os.environ["TOOLS_URL"]))

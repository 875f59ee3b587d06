import asyncio
import os

from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIChatModel


async def main(url):
    agent = Agent(OpenAIChatModel("scripted"), toolsets=[MCPToolset(url)])
    async with agent:
        print((await agent.run("tidy up")).output)


asyncio.run(main(os.environ["TOOLS_URL"]))

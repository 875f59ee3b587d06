from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIChatModel

import jobs


async def agent(url, prompt):
    async with Agent(OpenAIChatModel("scripted"), toolsets=[MCPToolset(url)]) as keeper:
        return (await keeper.run(prompt)).output


jobs.run(agent)

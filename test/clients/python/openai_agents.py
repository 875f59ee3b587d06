import asyncio
import os

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from openai import AsyncOpenAI

set_tracing_disabled(True)


async def main(url):
    async with MCPServerStreamableHttp({"url": url}, name="files") as files:
        model = OpenAIChatCompletionsModel("scripted", AsyncOpenAI())
        agent = Agent(name="assistant", instructions="keep files tidy", mcp_servers=[files], model=model)
        result = await Runner.run(agent, "tidy up", max_turns=30)
        print(result.final_output)


asyncio.run(main(os.environ["TOOLS_URL"]))

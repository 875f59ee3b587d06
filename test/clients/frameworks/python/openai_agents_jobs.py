from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from openai import AsyncOpenAI

import jobs

set_tracing_disabled(True)


async def agent(url, prompt):
    async with MCPServerStreamableHttp({"url": url}, name="files") as files:
        model = OpenAIChatCompletionsModel("scripted", AsyncOpenAI())
        keeper = Agent(name="keeper", instructions="keep files tidy", mcp_servers=[files], model=model)
        return (await Runner.run(keeper, prompt, max_turns=jobs.CALLS)).final_output


jobs.run(agent)

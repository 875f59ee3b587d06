from agent_framework import Agent, MCPStreamableHTTPTool
from agent_framework.openai import OpenAIChatCompletionClient

import jobs


async def agent(url, prompt):
    async with MCPStreamableHTTPTool(name="files", url=url, load_prompts=False) as files:
        keeper = Agent(client=OpenAIChatCompletionClient(model="scripted"), tools=[files])
        return (await keeper.run(prompt)).text


jobs.run(agent)

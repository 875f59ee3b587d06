import asyncio
import os

from langchain.agents import create_agent
from langchain.mcp import MCPAdapter
from langchain_openai import ChatOpenAI


async def main(url):
    async with MCPAdapter(url) as adapter:
        agent = create_agent(ChatOpenAI(model="scripted"), await adapter.list_tools())
        result = await agent.ainvoke({"messages": [("user", "tidy up")]}, {"recursion_limit": 50})
        print(result["messages"][-1].content)


asyncio.run(main(os.environ["TOOLS_URL"]))

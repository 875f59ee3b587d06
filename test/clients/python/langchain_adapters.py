import asyncio
import os

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from langchain_openai import ChatOpenAI


async def main(url):
    client = MultiServerMCPClient({"files": {"transport": "streamable_http", "url": url}})
    async with client.session("files") as session:
        agent = create_agent(ChatOpenAI(model="scripted"), await load_mcp_tools(session))
        result = await agent.ainvoke({"messages": [("user", "tidy up")]}, {"recursion_limit": 50})
        print(result["messages"][-1].content)


asyncio.run(main(os.environ["TOOLS_URL"]))

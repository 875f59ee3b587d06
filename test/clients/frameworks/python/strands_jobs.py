from mcp.client.streamable_http import streamable_http_client
from strands import Agent
from strands.models.openai import OpenAIModel
from strands.tools.mcp import MCPClient

import jobs


def agent(url, prompt):
    with MCPClient(lambda: streamable_http_client(url)) as files:
        keeper = Agent(model=OpenAIModel(model_id="scripted"), tools=files.list_tools_sync(), callback_handler=None)
        return keeper(prompt)


jobs.run_in_threads(agent)

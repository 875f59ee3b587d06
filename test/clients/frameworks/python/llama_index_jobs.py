import os

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec

import jobs


async def agent(url, prompt):
    tools = await McpToolSpec(BasicMCPClient(url)).to_tool_list_async()
    model = OpenAILike(
        model="scripted", api_base=os.environ["OPENAI_BASE_URL"], is_chat_model=True, is_function_calling_model=True
    )
    return await FunctionAgent(tools=tools, llm=model).run(prompt, max_iterations=jobs.CALLS)


jobs.run(agent)

from openai import AsyncOpenAI
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.function_choice_behavior import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.connectors.mcp import MCPStreamableHttpPlugin

import jobs


async def agent(url, prompt):
    async with MCPStreamableHttpPlugin(name="files", url=url, load_prompts=False) as files:
        keeper = ChatCompletionAgent(
            service=OpenAIChatCompletion(ai_model_id="scripted", async_client=AsyncOpenAI()),
            plugins=[files],
            function_choice_behavior=FunctionChoiceBehavior.Auto(maximum_auto_invoke_attempts=jobs.CALLS),
        )
        return await keeper.get_response(messages=prompt)


jobs.run(agent)

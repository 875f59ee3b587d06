import json
import os

import httpx
from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmResponse
from google.adk.runners import InMemoryRunner
from google.adk.tools.mcp_tool import McpToolset, StreamableHTTPConnectionParams
from google.genai import types

import jobs


class Scripted(BaseLlm):
    """A model behind chat completions: ADK's own way to them takes LiteLLM."""

    async def generate_content_async(self, llm_request, stream=False):
        messages = [message for content in llm_request.contents for message in messages_of(content)]
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json={"messages": messages})
        reply = answer.json()["choices"][0]["message"]
        parts = [types.Part(text=reply["content"])] if reply["content"] else []
        for call in reply.get("tool_calls", []):
            function = call["function"]
            parts.append(types.Part.from_function_call(name=function["name"], args=json.loads(function["arguments"])))
        yield LlmResponse(content=types.Content(role="model", parts=parts))


def messages_of(content):
    for part in content.parts:
        if part.function_response:
            yield {"role": "tool", "content": json.dumps(part.function_response.response)}
        elif part.text or part.function_call:
            yield {"role": "assistant" if content.role == "model" else "user", "content": part.text}


async def agent(url, prompt):
    files = McpToolset(connection_params=StreamableHTTPConnectionParams(url=url))
    try:
        keeper = LlmAgent(name="keeper", model=Scripted(model="scripted"), tools=[files])
        runner = InMemoryRunner(agent=keeper)
        said = ""
        for event in await runner.run_debug(prompt, quiet=True):
            said = "".join(part.text or "" for part in (event.content.parts if event.content else []))
        return said
    finally:
        await files.close()


jobs.run(agent)

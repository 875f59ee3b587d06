import os

from smolagents import MCPClient, OpenAIServerModel, ToolCallingAgent

import jobs


def agent(url, prompt):
    with MCPClient({"url": url, "transport": "streamable-http"}, structured_output=False) as tools:
        model = OpenAIServerModel("scripted", api_base=os.environ["OPENAI_BASE_URL"], api_key="of-no-model")
        return ToolCallingAgent(tools=tools, model=model, max_steps=jobs.CALLS, verbosity_level=0).run(prompt)


jobs.run_in_threads(agent)

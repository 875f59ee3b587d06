"""The loop of an agent that is written without a framework: asks the model, calls the tools it names, hands it what they said."""

import json
import os
import urllib.request


def ask(messages):
    body = json.dumps({"model": "scripted", "messages": messages}).encode()
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]


async def run(call_tool):
    messages = [{"role": "user", "content": "tidy up"}]
    while True:
        reply = ask(messages)
        messages.append(reply)
        if not reply.get("tool_calls"):
            return reply["content"]
        for call in reply["tool_calls"]:
            text = await call_tool(call["function"]["name"], json.loads(call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})

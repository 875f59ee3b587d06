import asyncio
import os

from a2a.client import create_client
from a2a.helpers import new_text_message
from a2a.types import GetTaskRequest, Role, SendMessageRequest
from a2a.utils.errors import A2AError

import model


async def main(url):
    async with await create_client(url) as agent:

        async def call(name, arguments):
            try:
                if name == "look_up":
                    task = await agent.get_task(GetTaskRequest(id=arguments["id"]))
                    return f"the task {task.id} is known"
                message = new_text_message(arguments["words"], role=Role.ROLE_USER)
                message.metadata["kind"] = arguments["kind"]
                events = [event async for event in agent.send_message(SendMessageRequest(message=message))]
                return f"{len(events)} events"
            except A2AError as error:
                return str(error)

        print(await model.run(call))


asyncio.run(main(os.environ["TOOLS_URL"]))

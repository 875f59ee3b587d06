"""The tasks of a service, each with an agent of its own, all at once. JOBS: [{"job": …, "url": …}, …]; prints a line of JSON for each."""

import asyncio
import json
import os

CALLS = 20
"""The most turns of an agent; frameworks have less by default."""


def told(job, **end):
    # At once, since frameworks print too, from threads of their own.
    os.write(1, f"\n{json.dumps({'job': job, **end})}\n".encode())


async def ended(agent, job, url):
    try:
        told(job, said=str(await agent(url, job)))
    except BaseException as error:
        told(job, error=f"{type(error).__name__}: {error}")


async def all_ended(agent):
    jobs = json.loads(os.environ["JOBS"])
    await asyncio.gather(*(ended(agent, job["job"], job["url"]) for job in jobs))


def run(agent):
    """Runs an agent, an async function of URL and prompt, for each task."""
    asyncio.run(all_ended(agent))


def run_in_threads(agent):
    """Runs an agent that is no async function."""
    run(lambda url, prompt: asyncio.to_thread(agent, url, prompt))

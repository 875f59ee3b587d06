/** Runs an agent, an async function of URL and prompt, for each task of a service, all at once. Prints a line of JSON for each. */
export async function run(agent) {
  const ended = async ({ job, url }) => {
    try {
      return { job, said: String(await agent(url, job)) };
    } catch (error) {
      return { job, error: String(error) };
    }
  };
  for (const end of await Promise.all(JSON.parse(process.env.JOBS).map(ended))) console.log(JSON.stringify(end));
}

/** The most turns of an agent; frameworks have less by default. */
export const CALLS = 20;

// An agent under `remit run`: makes the calls of CALLS (`GET /items/7`, `POST /items {"amount":500}`), one a line, and prints what came of each.
const calls = process.env.CALLS.split('\n');

for (const call of calls) {
  const [, method, path, body] = /^(\S+) (\S+) ?(.*)$/.exec(call);
  const content = body === '' ? {} : { body, headers: { 'content-type': 'application/json' } };
  const answer = await fetch(`${process.env.REMIT_FORWARD_TOOLS}${path}`, { method, ...content });
  console.log(`${answer.status} ${method} ${path} ${(await answer.text()).trim()}`);
}

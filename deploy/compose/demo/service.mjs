// A service that acts for many users. Each request gets a task of its own, and a task is a URL.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const { REMIT_TASKS } = process.env;

async function answered({ url, headers }) {
  const declared = {
    method: 'POST',
    body: JSON.stringify({ intent: 'look.yaml', purpose: `for ${headers['x-user']}` }),
  };
  const task = await (await fetch(REMIT_TASKS, declared)).json();
  if (task.error !== undefined) return { status: 503, body: task };
  try {
    const answer = await fetch(task.forward.tools + url);
    return { status: answer.status, body: { task: task.task, answer: await answer.json() } };
  } finally {
    await fetch(task.end, { method: 'DELETE' });
  }
}

const server = createServer(async (request, response) => {
  const { status, body } = await answered(request);
  response.writeHead(status).end(JSON.stringify(body));
}).listen(0, '127.0.0.1');
await once(server, 'listening');

/** As a user of the service asks it. Envoy and the issuer may still be starting: a request without a decision is made again. */
async function asUser(user) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { 'x-user': user } });
    if (answer.status !== 503 || attempt === 60) return { status: answer.status, body: await answer.json() };
    await delay(1_000);
  }
}

const answers = await Promise.all(['alice', 'bob'].map(async (user) => ({ user, ...(await asUser(user)) })));
for (const { user, status, body } of answers) console.log(`${user}: ${status} ${JSON.stringify(body)}`);
const tasks = new Set(answers.map(({ body }) => body.task));
console.log(`tasks: ${tasks.size}`);
process.exit(answers.every(({ status }) => status === 200) && tasks.size === 2 ? 0 : 1);

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeAll, expect, it } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import {
  type Declared,
  type SeenCall,
  seenOf,
  type ServiceDomain,
  type StartedHelper,
  startServiceDomain,
} from './service-domain.ts';

/** A request that a prompt makes the service send: the worst tool that a service can give its model. */
interface Fetched {
  readonly url: string;
  readonly init?: RequestInit;
}

const folder = testFolders(async () => {
  service?.close();
  service?.closeAllConnections();
  await domain?.close();
});
let domain: ServiceDomain;
let helper: StartedHelper;
let service: Server;
let alice: Declared;
let sessionOfAlice = '';
const seen: SeenCall[] = [];

/**
 * A service whose users say what it fetches, within a task for each request. Its answer has what every fetch said, and the task of the request, as if the
 * model had told its user all that it knows.
 */
async function answered(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const task = await helper.declare({ intent: 'look.yaml', purpose: `for ${String(request.headers['x-user'])}` });
  const prompt = JSON.parse(Buffer.concat(chunks).toString()) as readonly Fetched[];
  const own = task.forward['tools'] ?? '';
  const statuses: number[] = [];
  for (const { init, url } of prompt) {
    const target = url.replaceAll('OWN', own).replaceAll('END', task.end).replaceAll('ORIGIN', new URL(own).origin);
    const answer = await fetch(target.replaceAll('API', new URL(task.end).origin), init).catch(() => null);
    await answer?.arrayBuffer();
    statuses.push(answer?.status ?? 0);
  }
  await fetch(task.end, { method: 'DELETE' });
  response.end(JSON.stringify({ statuses, task: task.task, own, end: task.end }));
}

beforeAll(async () => {
  domain = await startServiceDomain(folder());
  helper = await domain.helper();
  domain.answer((request, response) => {
    seen.push(seenOf(request, domain.connectionOf(request)));
    response.setHeader('mcp-session-id', `session-${seen.length}`);
    response.end('{}');
  });
  service = createServer((request, response) => void answered(request, response));
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  alice = await helper.declare();
  sessionOfAlice = (await fetch(alice.forward['tools'] ?? '')).headers.get('mcp-session-id') ?? '';
});

/** What a user was told. */
interface Told {
  readonly statuses: readonly number[];
  readonly task: string;
  readonly own: string;
  readonly end: string;
}

/** What came of a prompt of bob. */
async function prompted(prompt: readonly Fetched[]): Promise<Told> {
  const { port } = service.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: { 'x-user': 'bob' },
    body: JSON.stringify(prompt),
  });
  return (await answer.json()) as Told;
}

/** The same length and the same beginning as a real secret. */
const GUESS = `remit_${'A'.repeat(43)}`;
const stateOfAlice = async (): Promise<unknown> =>
  ((await (await fetch(alice.end)).json()) as { state: unknown }).state;

// Issue 44: what a malicious user can make a service do.
it.each<readonly [attack: string, prompt: () => readonly Fetched[]]>([
  [
    'call the URL of another user',
    () => [
      { url: `ORIGIN/${alice.task}/v1` },
      { url: `OWN/../${alice.task}/v1` },
      { url: `OWN/%2e%2e/${GUESS}/v1` },
      { url: 'ORIGIN/v1', init: { headers: { 'remit-task': alice.task } } },
      { url: 'OWN/v1', init: { headers: { 'remit-task': GUESS } } },
    ],
  ],
  [
    'guess a secret',
    () => [
      { url: `ORIGIN/${GUESS}/v1` },
      { url: `API/${GUESS}/tasks`, init: { method: 'POST', body: '{"intent":"look.yaml"}' } },
      { url: 'API/tasks', init: { method: 'POST', body: '{"intent":"look.yaml"}' } },
      { url: `API/${alice.task}`, init: { method: 'DELETE' } },
      { url: `API/${GUESS}/cancel`, init: { method: 'POST' } },
    ],
  ],
  [
    'replay an end',
    () => [
      { url: 'END', init: { method: 'DELETE' } },
      { url: 'END', init: { method: 'DELETE' } },
      { url: 'END/cancel', init: { method: 'POST' } },
      { url: `END/../${alice.task}`, init: { method: 'DELETE' } },
      { url: 'OWN/v1' },
    ],
  ],
  [
    'fix a session',
    () => [
      { url: 'OWN/v1', init: { headers: { 'mcp-session-id': sessionOfAlice } } },
      { url: 'OWN/v1', init: { headers: { 'mcp-session-id': 'session-1' } } },
    ],
  ],
])('a prompt that makes the service %s does nothing in the task of another user', async (_attack, prompt) => {
  const before = seen.length;
  const attacks = prompt();
  const { statuses, task } = await prompted(attacks);
  // What is not below the URLs of his own task is refused.
  const foreign = statuses.filter((_status, nth) => /^(?:API|ORIGIN)/.test(attacks[nth]?.url ?? ''));
  expect(foreign.filter((status) => status < 400)).toEqual([]);
  const during = seen.slice(before);
  expect(during.map((call) => call.task).filter((id) => id !== task)).toEqual([]);
  expect(during.filter(({ headers }) => headers['mcp-session-id'] !== undefined)).toEqual([]);
  expect(await stateOfAlice()).toBe('active');
  // What bob did opened and closed his own task alone.
  expect(await (await fetch(helper.variables['REMIT_TASKS'] ?? '')).json()).toMatchObject({ open: 1 });
});

it('a URL that a user was told is dead once the request was answered, also its end', async () => {
  const { end, own } = await prompted([]);
  const before = seen.length;
  expect((await fetch(`${own}/v1`)).status).toBe(403);
  expect((await fetch(`${end}/cancel`, { method: 'POST' })).status).toBe(409);
  expect(seen.length).toBe(before);
  expect(await stateOfAlice()).toBe('active');
});

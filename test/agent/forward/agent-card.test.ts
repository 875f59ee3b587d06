import { gzipSync } from 'node:zlib';
import { beforeAll, expect, it } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { type ForwarderUnderTest, startForwarder } from './upstream.ts';

const folder = testFolders(() => forwarder.close());
let forwarder: ForwarderUnderTest;
beforeAll(async () => {
  forwarder = await startForwarder(folder());
});

const PATH = '/.well-known/agent-card.json';
const AT = 'https://tools.acme.test';

/** What a client gets at `path` of an upstream that has `body` there. */
async function got(body: string, path: string = PATH, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  forwarder.answer((_request, response) => {
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      ...headers,
    });
    response.end(body);
  });
  return (await fetch(`${forwarder.url}${path}`)).text();
}

it.each<[string, object, (local: string) => object]>([
  [
    'A2A 1.0',
    { name: 'é', supportedInterfaces: [{ url: `${AT}/a2a`, protocolBinding: 'JSONRPC' }] },
    (local) => ({ name: 'é', supportedInterfaces: [{ url: `${local}/a2a`, protocolBinding: 'JSONRPC' }] }),
  ],
  [
    'A2A 0.3',
    { url: `${AT}/a2a`, additionalInterfaces: [{ url: `${AT}/rest`, transport: 'HTTP+JSON' }] },
    (local) => ({ url: `${local}/a2a`, additionalInterfaces: [{ url: `${local}/rest`, transport: 'HTTP+JSON' }] }),
  ],
  [
    'elsewhere, and what is no URL of the agent',
    {
      url: 'https://other.acme.test/a2a',
      provider: { url: `${AT}/about` },
      documentationUrl: `${AT}/docs`,
      supportedInterfaces: [{ url: 'tools.acme.test:443' }, { url: 7 }, 'x'],
    },
    () => ({
      url: 'https://other.acme.test/a2a',
      provider: { url: `${AT}/about` },
      documentationUrl: `${AT}/docs`,
      supportedInterfaces: [{ url: 'tools.acme.test:443' }, { url: 7 }, 'x'],
    }),
  ],
])('the URLs in the card of an agent lead to the local address: %s', async (_name, card, expected) => {
  for (const path of [PATH, '/.well-known/agent.json', `/team${PATH}?v=1`])
    expect(JSON.parse(await got(JSON.stringify(card), path))).toEqual(expected(forwarder.url));
});

const card = JSON.stringify({ url: `${AT}/a2a` });
it.each<[string, string, string, Readonly<Record<string, string>>]>([
  ['another file', card, '/v1/agent-card.json', {}],
  ['another type', card, PATH, { 'content-type': 'text/plain' }],
  ['what is no JSON', `${card} and more`, PATH, {}],
  ['a list', `[${card}]`, PATH, {}],
  ['a card of more than 256 KiB', card.replace('{', `{"name":"${'n'.repeat(270_000)}",`), PATH, {}],
])('passes on unchanged: %s', async (_name, body, path, headers) => {
  expect(await got(body, path, headers)).toBe(body);
});

it('reads the card of an upstream that compresses what it may', async () => {
  const asked: unknown[] = [];
  forwarder.answer(({ headers }, response) => {
    asked.push(headers['accept-encoding']);
    const isCoded = headers['accept-encoding'] !== undefined;
    response.writeHead(200, { 'content-type': 'application/json', ...(isCoded ? { 'content-encoding': 'gzip' } : {}) });
    response.end(isCoded ? gzipSync(card) : card);
  });
  const headers = { 'accept-encoding': 'gzip' };
  const answer = await fetch(`${forwarder.url}${PATH}`, { headers });
  expect(await answer.json()).toEqual({ url: `${forwarder.url}/a2a` });
  expect(await (await fetch(`${forwarder.url}/v1/agent-card.json`, { headers })).text()).toBe(card);
  expect(asked).toEqual([undefined, 'gzip']);
});

import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { causeOf } from '../../../src/core/task/cause.ts';
import { issuerUrl } from '../../authority/issuer/bench.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { intentText, type RunDomain, startCommand, startRunDomain } from './domain.ts';
import type { Ended } from './domain.ts';

// Each run starts two or three processes.

const folder = testFolders(async () => {
  proxy.closeAllConnections();
  await Promise.all([new Promise((resolve) => void proxy.close(resolve)), domain.close()]);
});
let domain: RunDomain;
let proxy: Server;
/** What the proxy was sent: request lines and headers. */
let seen: string[] = [];

beforeAll(async () => {
  domain = await startRunDomain(folder(), { waitSeconds: 300 });
  proxy = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.rawHeaders.join(' ')}`);
    response.end('by proxy');
  });
  proxy.on('connect', (request, socket) => {
    seen.push(`CONNECT ${request.url} ${request.rawHeaders.join(' ')}`);
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
  });
  await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve));
});
beforeEach(() => {
  seen = [];
});

const run = (
  command: readonly string[],
  {
    words = [],
    environment = {},
  }: { readonly words?: readonly string[]; readonly environment?: Record<string, string> } = {},
): Promise<Ended> =>
  startCommand(['run', '--intent', domain.intent, ...domain.options, ...words, '--', ...command], { environment })
    .ended;

const PYTHON = `
import json, os, urllib.request
r = urllib.request.Request(os.environ['REMIT_TOKEN_URL'], headers={'authorization': 'Bearer ' + os.environ['REMIT_TOKEN_URL_AUTH']})
print('token', json.load(urllib.request.urlopen(r))['access_token'])
print(urllib.request.urlopen('http://outside.test/x').read().decode())
`;
const REQUESTS = `
import os, sys
try:
  import requests
except ImportError:
  sys.exit(77)
print('token', requests.get(os.environ['REMIT_TOKEN_URL'], headers={'authorization': 'Bearer ' + os.environ['REMIT_TOKEN_URL_AUTH']}).json()['access_token'])
print(requests.get('http://outside.test/x').text)
`;
const NODE = `
const got = await fetch(process.env.REMIT_TOKEN_URL, { headers: { authorization: 'Bearer ' + process.env.REMIT_TOKEN_URL_AUTH } });
console.log('token', (await got.json()).access_token);
console.log(await (await fetch('http://outside.test/x')).text());
`;
const CURL = `
printf 'token '
curl -sS -H "authorization: Bearer $REMIT_TOKEN_URL_AUTH" "$REMIT_TOKEN_URL"
echo
curl -sS http://outside.test/x
`;

const clients: readonly (readonly [string, readonly string[]])[] = [
  ['urllib', ['python3', '-c', PYTHON]],
  ['requests', ['python3', '-c', REQUESTS]],
  ['fetch of Node.js', [process.execPath, '--input-type=module', '-e', NODE]],
  ['curl', ['sh', '-c', CURL]],
];

describe('remit run behind a proxy', () => {
  it.each(clients)('shows it nothing of the token to %s, and its password to nobody', async (_name, command) => {
    const { port } = proxy.address() as AddressInfo;
    const url = `http://ann:geheim@127.0.0.1:${port}`;
    for (const noProxy of ['', '*.acme.test', 'a.test,*']) {
      seen = [];
      const { code, out, err } = await run(command, {
        environment: {
          http_proxy: url,
          HTTP_PROXY: url,
          HTTPS_PROXY: url,
          ALL_PROXY: url,
          NO_PROXY: noProxy,
          NODE_USE_ENV_PROXY: '1',
        },
      });
      // The client is not installed everywhere.
      if (code === 77) return;
      expect([code, out, err]).toEqual([
        0,
        expect.stringMatching(/^token .*eyJ[\s\S]*by proxy\s*$/),
        expect.any(String),
      ]);
      expect(err).toContain(
        'passed on without user and password: ALL_PROXY, HTTPS_PROXY, HTTP_PROXY, http_proxy (--keep',
      );
      expect(err).not.toContain('geheim');
      expect(seen).toEqual([expect.stringMatching(/^GET http:\/\/outside\.test\/x /)]);
      expect(seen.join()).not.toMatch(/authorization|geheim|\/token/i);
    }
  });
});

describe('remit run: variables', () => {
  const environment = {
    OPENAI_API_KEY: 'hidden-1',
    GH_TOKEN: 'hidden-2',
    PLAIN: 'hidden-3',
    CACHE: 'redis://:hidden-4@c',
  };
  const show = ['sh', '-c', `tr '\\0' '\\n' < /proc/$$/environ`];

  it('are kept and taken by the intent and by options, with names shown and no value', async () => {
    writeFileSync(domain.intent, `${intentText()}keep: [OPENAI_*]\ntake: [PLAIN]\n`);
    const { out, err, code } = await run(show, { environment, words: ['--keep', 'C*', '--take', 'GH_*'] });
    writeFileSync(domain.intent, intentText());
    expect([code, out.match(/hidden-\d/g)?.toSorted()]).toEqual([0, ['hidden-1', 'hidden-4']]);
    expect(err).toContain('not passed on: GH_TOKEN, PLAIN (--keep NAME passes one on)');
    expect(err).toContain('passed on, though secret: CACHE, OPENAI_API_KEY');
    expect(err).not.toContain('hidden');
  });

  it.each(['A=b', 'A B', ''])('refuse the pattern `%s`', async (pattern) => {
    const { code, err } = await run(['true'], { words: [`--keep=${pattern}`] });
    expect([code, err]).toEqual([2, expect.stringContaining('is not the name of a variable, in which `*` stands for')]);
  });
});

describe('remit run after a stop', () => {
  it('is refused with what to do, asks once, and starts no command', async () => {
    const first = await run(['true']);
    const id = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(first.err)?.[0] ?? '';
    expect([first.code, domain.stateOf(id)]).toEqual([0, 'completed']);
    const started = startCommand([
      'run',
      '--intent',
      domain.intent,
      ...domain.options,
      '--',
      'sh',
      '-c',
      'echo up $REMIT_TASK_ID; sleep 60',
    ]);
    const [, running = ''] = await started.said(/up (\S+)/);
    const cause = causeOf('operator.suspended');
    domain.store.applyTaskEvent({ issuer: issuerUrl, id: running }, { kind: 'suspend', cause }, 'operator');
    started.process.kill('SIGTERM');
    await started.ended;
    // The run has cancelled its suspended task, which clears nothing.
    expect(domain.stateOf(running)).toBe('cancelled');
    const before = domain.spans.length;
    const { code, out, err } = await run(['echo', 'started']);
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(
      /access_denied: an operator stopped a task of this client .* not before \d{4}-.*Z\n.*to do: stop: /,
    );
    const asked = domain.spans.slice(before);
    expect(asked.map(({ name, attributes }) => [name, attributes['remit.reason']])).toEqual([
      ['token.issue', 'task.stopped'],
    ]);
  });
});

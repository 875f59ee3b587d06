import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { defaultProofRules, proofFrom } from '../../../src/core/token/proof/proof.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { byOperator } from '../../builders/task.ts';
import { issuerUrl } from '../../authority/issuer/bench.ts';
import {
  claimsOf,
  comesTrue,
  intentText,
  type RunDomain,
  type Started,
  startCommand,
  startRunDomain,
} from '../run/domain.ts';

const folder = testFolders(async () => {
  upstream.closeAllConnections();
  upstream.close();
  await domain.close();
});
const PAYMENTS = 'https://payments.acme.test';
const FILES = 'https://files.acme.test';
let domain: RunDomain;
let upstream: Server;
beforeAll(async () => {
  domain = await startRunDomain(folder(), { tokenSeconds: 60 });
  const own = await domain.authority.svid('/ns/tools/sa/server', { dns: ['payments.acme.test', 'files.acme.test'] });
  // Says what it was called with: whose token, for what, and whether it is bound to the certificate of the connection.
  upstream = createServer(
    { key: own.keyPem, cert: own.certPem, ca: domain.authority.bundlePem, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      const [scheme, token = ''] = (request.headers.authorization ?? '').split(' ');
      const claims = claimsOf(token);
      const peer = createHash('sha256')
        .update((request.socket as TLSSocket).getPeerCertificate().raw)
        .digest('base64url');
      const { 'x5t#S256': bound, jkt } = claims['cnf'] as Record<string, string>;
      const { method = '', url = '' } = request;
      const proof = proofFrom([request.headers['dpop'] ?? []].flat(), {
        method,
        url: `${String(claims['aud'])}${url}`,
        accessToken: token,
        nowMs: Date.now(),
        rules: defaultProofRules,
      });
      response.end(
        JSON.stringify({
          task: claims['txn'],
          audience: claims['aud'],
          peer,
          isBound: bound === peer,
          scheme,
          isProven: !isDeny(proof) && proof.thumbprint === jkt,
          proofId: isDeny(proof) ? null : proof.proofId,
        }),
      );
    },
  );
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
});

const intentOf = (text: string): string => {
  const file = join(folder(), 'intent.yaml');
  writeFileSync(file, text);
  return file;
};
const both = (): string =>
  intentOf(
    intentText(['payments.read'], [PAYMENTS]).replace(
      'expires_in',
      `  - resource: ${FILES}\n    actions: [files.read]\nexpires_in`,
    ),
  );

const run = (intent: string, forwards: readonly string[], script: string, more: readonly string[] = []): Started => {
  const connect = `connect=127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  const words = forwards.flatMap((forward) => ['--forward', `${forward},${connect}`]);
  return startCommand([
    'run',
    '--intent',
    intent,
    ...domain.options,
    ...words,
    ...more,
    '--',
    'python3',
    '-u',
    '-c',
    AGENT + script,
  ]);
};

/** A client that knows a URL. */
const AGENT = `
import json, os, sys, time, urllib.error, urllib.request
def get(name):
    try:
        with urllib.request.urlopen(os.environ['REMIT_FORWARD_' + name] + '/x') as answer: return json.load(answer)
    except urllib.error.HTTPError as error: return {'status': error.code, **json.load(error)}
`;
const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const tasksIn = (text: string): string[] => [
  ...new Set(text.match(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ?? []),
];

describe('remit run --forward', () => {
  it('declares a task for each resource, forwards with the token of each, and ends both', async () => {
    const script = `
for name in ('PAYMENTS', 'FILES'): print(json.dumps(get(name)))
print(os.environ['REMIT_TASK_ID'], os.environ['no_proxy'])
`;
    const ended = await run(both(), [`payments=${PAYMENTS}`, `files=${FILES}/base`], script).ended;
    const [payments, files, last = ''] = ended.out.split('\n');
    const [one, two] = [payments, files].map((line) => JSON.parse(line ?? '{}') as Record<string, unknown>);
    expect([one?.['audience'], two?.['audience'], one?.['isBound'], two?.['isBound']]).toEqual([
      PAYMENTS,
      FILES,
      true,
      true,
    ]);
    expect(one?.['task']).not.toBe(two?.['task']);
    expect(last).toBe(`${String(one?.['task'])} 127.0.0.1,localhost`);
    const states = [one, two].map((seen) => domain.stateOf(String(seen?.['task'])));
    expect([ended.code, states]).toEqual([0, ['completed', 'completed']]);
    expect(ended.err).toContain(`for ${FILES}, until`);
  });

  // Issue 39, point 1: behind the sidecars of a mesh a token cannot be bound to the certificate of the agent.
  it('with --dpop binds the tokens to a key of its own, and signs each call for its method, URL and token', async () => {
    const script = `
for name in ('PAYMENTS', 'PAYMENTS', 'FILES'): print(json.dumps(get(name)))
url = urllib.request.Request(os.environ['REMIT_TOKEN_URL'], headers={'authorization': 'Bearer ' + os.environ['REMIT_TOKEN_URL_AUTH']})
with urllib.request.urlopen(url) as answer: print(json.load(answer)['token_type'])
`;
    const ended = await run(both(), [`payments=${PAYMENTS}`, `files=${FILES}`], script, ['--dpop']).ended;
    const [one, two, files, type] = ended.out.split('\n');
    const seen = [one, two, files].map((line) => JSON.parse(line ?? '{}') as Record<string, unknown>);
    expect(seen.map(({ scheme, isProven, isBound }) => [scheme, isProven, isBound])).toEqual(
      seen.map(() => ['DPoP', true, false]),
    );
    expect(new Set(seen.map(({ proofId }) => proofId)).size).toBe(3);
    expect([ended.code, type]).toEqual([0, 'DPoP']);
  });

  it.each([
    ['without --forward', [], []],
    ['with --env', [`payments=${PAYMENTS}`], ['--env']],
  ])('refuses --dpop %s, since nothing could sign', async (_which, forwards, more) => {
    const ended = await run(both(), forwards, 'print("ran")', ['--dpop', ...more]).ended;
    expect([ended.code, ended.out]).toEqual([2, '']);
    expect(ended.err).toContain('--dpop needs --forward');
  });

  it('declares none for a resource without a forwarder, and says so', async () => {
    const ended = await run(both(), ['files'], 'print(get("FILES")["audience"])').ended;
    expect([ended.code, ended.out]).toEqual([0, `${FILES}\n`]);
    expect(tasksIn(ended.err)).toHaveLength(1);
    expect(ended.err).toContain(`no task for ${PAYMENTS}: no --forward is for it`);
  });

  it('cancels the first task if the second is refused, and starts nothing', async () => {
    const text = intentText(['payments.read'], [PAYMENTS]).replace(
      'expires_in',
      `  - resource: ${FILES}\n    actions: [files.burn]\nexpires_in`,
    );
    const ended = await run(intentOf(text), [`payments=${PAYMENTS}`, `files=${FILES}`], 'print("ran")').ended;
    const [first = ''] = tasksIn(ended.err);
    expect([ended.code, ended.out, domain.stateOf(first)]).toEqual([1, '', 'cancelled']);
    expect(ended.err).toContain(`${FILES}: invalid_authorization_details: `);
  });

  it('is cleaned up by the watcher if it is killed: tasks, socket and list', async () => {
    const script = `
time.sleep(0.5)
print('ready', os.environ['REMIT_MCP_SERVERS'])
time.sleep(120)
`;
    const started = run(both(), [`payments=${PAYMENTS}`, `files=${FILES}`], script);
    const [, file = ''] = await started.said(/ready (\S+)\n/);
    const tasks = tasksIn(started.err());
    expect([tasks.map(domain.stateOf), existsSync(file)]).toEqual([['active', 'active'], true]);
    started.process.kill('SIGKILL');
    await started.ended;
    expect(await comesTrue(() => tasks.every((task) => domain.stateOf(task) === 'cancelled'))).toBe(true);
    expect(await comesTrue(() => !existsSync(dirname(file)))).toBe(true);
  });

  // Issue 37, point 19.
  it('gives MCP servers that are programs the variables of the run, in the file for hosts', async () => {
    const entry = { command: process.execPath, args: [beside('mcp-stdio-server.mjs')], env: { REGION: 'eu' } };
    const remote = { type: 'http', url: 'https://tools.acme.test/mcp' };
    const file = join(folder(), 'mcp.json');
    writeFileSync(file, JSON.stringify({ mcpServers: { local: entry, remote }, other: 1 }));
    const started = (...words: readonly string[]): Started =>
      startCommand([
        'run',
        '--intent',
        intentOf(intentText()),
        ...domain.options,
        ...words,
        '--forward',
        `payments,connect=127.0.0.1:${(upstream.address() as AddressInfo).port}`,
        '--',
        process.execPath,
        beside('mcp-host.mjs'),
      ]);
    const ended = await started('--mcp-servers', file).ended;
    const said = JSON.parse(ended.out) as Record<string, unknown>;
    expect([ended.code, said['region'], said['isBound'], said['own']]).toEqual([0, 'eu', true, said['task']]);

    writeFileSync(file, JSON.stringify({ mcpServers: { payments: entry } }));
    const twice = await started('--mcp-servers', file).ended;
    expect(twice).toMatchObject({
      code: 1,
      err: expect.stringContaining('has a server `payments`, as --forward does'),
    });
    writeFileSync(file, JSON.stringify({ mcpServers: { local: { command: 'x', env: { A: 1 } } } }));
    const unfit = await started('--mcp-servers', file).ended;
    expect(unfit).toMatchObject({ code: 2, err: expect.stringContaining('the server `local` must be an object') });
  });

  it('calls with token and certificate of the new SVID after a rotation', async () => {
    const script = `
first = get('PAYMENTS')
print('first', first['peer'])
while get('PAYMENTS')['peer'] == first['peer']: time.sleep(0.05)
print('second', json.dumps(get('PAYMENTS')))
`;
    const started = run(intentOf(intentText()), ['payments'], script);
    const [, before] = await started.said(/first (\S+)\n/);
    await domain.rotate();
    const { out, code } = await started.ended;
    const second = JSON.parse(/second (.*)/.exec(out)?.[1] ?? '{}') as Record<string, unknown>;
    expect([code, second['isBound'], second['peer'] === before]).toEqual([0, true, false]);
  });

  it.each([
    ['revoke', 'task.revoked', 'stop'],
    ['suspend', 'task.suspended', 'stop'],
  ] as const)('answers 403 for itself after a %s', async (kind, reason, next) => {
    const script = `
print('task', get('PAYMENTS')['task'])
while 'task' in (last := get('PAYMENTS')): time.sleep(0.2)
print('last', json.dumps(last))
sys.exit(3)
`;
    const started = run(intentOf(intentText()), ['payments'], script);
    const [, task = ''] = await started.said(/task (\S+)\n/);
    domain.store.applyTaskEvent({ issuer: issuerUrl, id: task }, byOperator(kind, 'by the test'), 'operator');
    const { out } = await started.ended;
    const last = JSON.parse(/last (.*)/.exec(out)?.[1] ?? '{}') as Record<string, unknown>;
    expect([last['status'], last['reason'], last['next']]).toEqual([403, reason, next]);
  });
});

const apply = (id: string, kind: 'revoke' | 'suspend' | 'resume'): void =>
  void domain.store.applyTaskEvent({ issuer: issuerUrl, id }, byOperator(kind, 'by the test'), 'operator');
const become = (tasks: readonly string[], states: readonly string[]): Promise<boolean> =>
  comesTrue(() => tasks.map(domain.stateOf).join() === states.join());

// Issue 37, point 19.
describe('remit run --forward: the tasks of two resources', () => {
  const script = `
for name in ('PAYMENTS', 'FILES'): print('task', get(name)['task'])
while True:
    for name in ('PAYMENTS', 'FILES'): get(name)
    time.sleep(0.2)
`;
  const startedWithTwo = async (): Promise<{ readonly started: Started; readonly tasks: readonly string[] }> => {
    const started = run(both(), [`payments=${PAYMENTS}`, `files=${FILES}`], script);
    const [, one = '', two = ''] = await started.said(/task (\S+)\ntask (\S+)\n/);
    return { started, tasks: [one, two] };
  };
  it('are suspended and resumed together', async () => {
    const { started, tasks } = await startedWithTwo();
    const [, second = ''] = tasks;
    apply(second, 'suspend');
    expect(await become(tasks, ['suspended', 'suspended'])).toBe(true);
    apply(second, 'resume');
    expect(await become(tasks, ['active', 'active'])).toBe(true);
    started.process.kill('SIGTERM');
    await started.ended;
    expect(tasks.map(domain.stateOf)).toEqual(['cancelled', 'cancelled']);
  });

  it('end together', async () => {
    const { started, tasks } = await startedWithTwo();
    apply(tasks[0] ?? '', 'revoke');
    expect(await become(tasks, ['revoked', 'cancelled'])).toBe(true);
    started.process.kill('SIGTERM');
    const { err } = await started.ended;
    expect(err).toContain(`task ${tasks[1] ?? ''} of the same run is cancelled too`);
  });
});

describe('remit run --forward: refusals before the command starts', () => {
  it.each([
    [['a=ftp://a.test'], '--forward `a=ftp://a.test` must name an https: URL'],
    [['a,resource=https://other.test'], 'the intent does not name the resource `https://other.test`'],
  ])('%j: %s', async (forwards, message) => {
    const words = forwards.flatMap((forward) => ['--forward', forward]);
    const asked = ['run', '--intent', domain.intent, ...domain.options, ...words, '--', 'true'];
    const { code, err } = await startCommand(asked).ended;
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });
});

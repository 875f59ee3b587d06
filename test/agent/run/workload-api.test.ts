import { X509Certificate, createPrivateKey } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { entryOf, WorkloadApiServer } from '../../core/identity/workload-api-server.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { claimsOf, comesTrue, type RunDomain, startCommand, startRunDomain } from './domain.ts';

const folder = testFolders(async () => {
  api.close();
  await domain.close();
});
let domain: RunDomain;
let api: WorkloadApiServer;
let address: string;
beforeAll(async () => {
  const at = folder();
  domain = await startRunDomain(at);
  address = `unix:${join(at, 'api.sock')}`;
  ({ server: api } = await WorkloadApiServer.start(address));
});

/** Makes the Workload API return a new SVID of the workload. */
const give = async (): Promise<void> => {
  const { authority } = domain;
  api.greeting = { svids: [entryOf(await authority.svid('/ns/agents/sa/planner'), authority.bundlePem)] };
  api.push(api.greeting);
};

/** The options without the files. */
const issuer = (): readonly string[] => domain.options.slice(0, 4);

const script = `
import json, os, time, urllib.request
def token():
    ask = urllib.request.Request(os.environ['REMIT_TOKEN_URL'])
    ask.add_header('Authorization', 'Bearer ' + os.environ['REMIT_TOKEN_URL_AUTH'])
    with urllib.request.urlopen(ask) as answer: return json.load(answer)['access_token']
first = token()
print('first', first)
end = time.time() + 90
while token() == first and time.time() < end: time.sleep(0.1)
print('second', token())
`;

describe('remit run with the SPIFFE Workload API', () => {
  it('declares with the SVID it gives, and binds anew when it gives another', async () => {
    await give();
    const words = ['run', '--intent', domain.intent, ...issuer(), '--', 'python3', '-u', '-c', script];
    const started = startCommand(words, { environment: { SPIFFE_ENDPOINT_SOCKET: address } });
    const [, first = ''] = await started.said(/first (\S+)\n/);
    await give();
    const { code, out } = await started.ended;
    const [one, two] = [claimsOf(first), claimsOf(/second (\S+)/.exec(out)?.[1] ?? '')];
    expect([code, two['txn'], domain.stateOf(String(one['txn']))]).toEqual([0, one['txn'], 'completed']);
    expect(two['cnf']).not.toEqual(one['cnf']);
  });

  it('picks an SVID of several by --svid-id, and says which are there if none fits', async () => {
    const { authority } = domain;
    const both = ['/ns/agents/sa/other', '/ns/agents/sa/planner'];
    api.greeting = {
      svids: await Promise.all(both.map(async (path) => entryOf(await authority.svid(path), authority.bundlePem))),
    };
    api.push(api.greeting);
    const words = ['run', '--intent', domain.intent, ...issuer(), '--workload-api', address];
    const picked = ['--svid-id', 'spiffe://acme.test/ns/agents/sa/planner', '--', 'sh', '-c', 'echo $REMIT_TASK_ID'];
    const { code, out } = await startCommand([...words, ...picked]).ended;
    expect([code, domain.task(out.trim())?.agent]).toEqual([0, 'spiffe://acme.test/ns/agents/sa/planner']);
  });

  it('keeps it in --svid-folder, one file with certificate and key, until the command ends', async () => {
    await give();
    const at = join(folder(), 'svid');
    const words = ['run', '--intent', domain.intent, ...issuer(), '--workload-api', address, '--svid-folder', at, '--'];
    const waiting = 'echo ready $REMIT_SVID $REMIT_BUNDLE; while ! [ -e "$0" ]; do sleep 0.05; done';
    const end = join(folder(), 'end');
    const started = startCommand([...words, 'sh', '-c', waiting, end]);
    const [, svid = '', bundle = ''] = await started.said(/ready (\S+) (\S+)\n/);
    expect([svid, bundle]).toEqual([join(at, 'svid.pem'), join(at, 'bundle.pem')]);
    expect([statSync(at), statSync(svid), statSync(bundle)].map(({ mode }) => mode & 0o777)).toEqual([
      0o700, 0o600, 0o600,
    ]);
    const serialOf = (): string => {
      const text = readFileSync(svid, 'utf8');
      const certificate = new X509Certificate(text);
      expect(certificate.checkPrivateKey(createPrivateKey(text))).toBe(true);
      expect(certificate.verify(new X509Certificate(readFileSync(bundle)).publicKey)).toBe(true);
      return certificate.serialNumber;
    };
    const first = serialOf();
    await give();
    expect(await comesTrue(() => serialOf() !== first)).toBe(true);
    mkdirSync(end);
    expect((await started.ended).code).toBe(0);
    expect([svid, bundle].map((file) => existsSync(file))).toEqual([false, false]);
  });

  it('starts no command if --svid-folder cannot be made, and cancels the task', async () => {
    await give();
    const words = ['run', '--intent', domain.intent, ...issuer(), '--workload-api', address];
    const { code, out, err } = await startCommand([...words, '--svid-folder', '/dev/null/x', '--', 'echo', 'ran'])
      .ended;
    const [, id = ''] = /task (\S+) is cancelled/.exec(err) ?? [];
    expect([code, out, domain.stateOf(id)]).toEqual([1, '', 'cancelled']);
    expect(err).toContain('the folder `/dev/null/x` could not be made');
  });

  it('cancels with it if the wrapper is killed, and removes the files of the SVID', async () => {
    await give();
    const at = join(folder(), 'svid-of-killed');
    const words = ['run', '--intent', domain.intent, ...issuer(), '--workload-api', address, '--svid-folder', at, '--'];
    const started = startCommand([...words, 'sh', '-c', 'echo ready $REMIT_TASK_ID; exec sleep 20']);
    const [, id = ''] = await started.said(/ready (\S+)/);
    expect(existsSync(join(at, 'svid.pem'))).toBe(true);
    started.process.kill('SIGKILL');
    await started.ended;
    expect(await comesTrue(() => domain.stateOf(id) === 'cancelled')).toBe(true);
    expect(await comesTrue(() => !existsSync(join(at, 'svid.pem')))).toBe(true);
  });

  it.each([
    [
      'an address that is none',
      ['--workload-api', '/run/api.sock'],
      2,
      '--workload-api: a workload api address must be',
    ],
    ['both at once', ['--workload-api', 'unix:/x', '--bundle', '/y'], 2, 'are required, or --workload-api'],
    ['an ID without the API', ['--svid-id', 'spiffe://acme.test/a'], 2, '--svid-id goes with the Workload API'],
    ['an ID that is none', ['--workload-api', 'unix:/x', '--svid-id', 'a'], 2, '--svid-id: a spiffe id must begin'],
    ['no SVID at all', [], 2, '--svid-cert, --svid-key and --bundle are required'],
  ])('refuses %s', async (_name, options, code, message) => {
    const words = ['run', '--intent', domain.intent, ...issuer(), ...options, '--', 'true'];
    const ended = await startCommand(words).ended;
    expect([ended.code, ended.err]).toEqual([code, expect.stringContaining(message)]);
  });
});

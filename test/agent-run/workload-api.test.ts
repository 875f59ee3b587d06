import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { entryOf, WorkloadApiServer } from '../identity/workload-api-server.ts';
import { scratch } from '../builders/scratch.ts';
import { claimsOf, comesTrue, type RunDomain, startCommand, startRunDomain } from './domain.ts';

const { folder, remove } = scratch();
let domain: RunDomain;
let api: WorkloadApiServer;
let address: string;
beforeAll(async () => {
  const at = folder();
  domain = await startRunDomain(at);
  address = `unix:${join(at, 'api.sock')}`;
  ({ server: api } = await WorkloadApiServer.start(address));
});
afterAll(async () => {
  api.close();
  await domain.close();
  remove();
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
end = time.time() + 10
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

  it('cancels with it where the wrapper is killed', async () => {
    await give();
    const words = ['run', '--intent', domain.intent, ...issuer(), '--workload-api', address, '--'];
    const started = startCommand([...words, 'sh', '-c', 'echo ready $REMIT_TASK_ID; exec sleep 20']);
    const [, id = ''] = await started.said(/ready (\S+)/);
    started.process.kill('SIGKILL');
    await started.ended;
    expect(await comesTrue(() => domain.stateOf(id) === 'cancelled')).toBe(true);
  });

  it.each([
    [
      'an address that is none',
      ['--workload-api', '/run/api.sock'],
      2,
      '--workload-api: a workload api address must be',
    ],
    ['both at once', ['--workload-api', 'unix:/x', '--bundle', '/y'], 2, 'are required, or --workload-api'],
    ['no SVID at all', [], 2, '--svid-cert, --svid-key and --bundle are required'],
  ])('refuses %s', async (_name, options, code, message) => {
    const words = ['run', '--intent', domain.intent, ...issuer(), ...options, '--', 'true'];
    const ended = await startCommand(words).ended;
    expect([ended.code, ended.err]).toEqual([code, expect.stringContaining(message)]);
  });
});

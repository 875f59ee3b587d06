import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { until } from '../until.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { startDomain } from './domain.ts';
import { remit, type Running } from './process.ts';

interface Made {
  readonly task: string;
  readonly forward: Readonly<Record<string, string>>;
  readonly end: string;
}

const read = async (base = ''): Promise<readonly unknown[]> => {
  const answer = await fetch(`${base}/v1/payments/p-1`);
  const { id = null, reason = null } = (await answer.json()) as Readonly<Record<string, string>>;
  return [answer.status, id ?? reason];
};

// Issue 44, points 1 and 2.
describeWith(envoyPart(), 'remit agent through Envoy', (envoy) => {
  const scratch = testFolder(async () => {
    running?.child.kill('SIGTERM');
    await running?.exit;
    await domain?.stop();
  });
  let domain: DevDomain;
  let running: Running;
  let url = '';
  const at = (name: string): string => join(scratch.folder, name);
  beforeAll(async () => {
    domain = await startDomain(envoy, { folder: scratch.folder });
    await mkdir(at('intents'));
    const access = 'access:\n  - resource: https://payments.acme.test\n    actions:';
    await writeFile(at('intents/look.yaml'), `purpose: look at a payment\n${access} [payments.read]\n`);
    await writeFile(at('intents/erase.yaml'), `purpose: erase all\n${access} [payments.erase]\n`);
    const { envoyPort, issuerPort } = domain.stage;
    running = remit([
      'agent',
      '--intents',
      at('intents'),
      '--folder',
      at('agent'),
      '--forward',
      `payments=https://payments.acme.test,connect=127.0.0.1:${envoyPort}`,
      '--issuer',
      `https://localhost:${issuerPort}`,
      '--bundle',
      at('bundle.pem'),
      '--svid-cert',
      at('planner.pem'),
      '--svid-key',
      at('planner.key'),
    ]);
    await running.said('ready');
    url = /^REMIT_TASKS=(.*)$/m.exec(await readFile(at('agent/environment'), 'utf8'))?.[1] ?? '';
  });

  /** Tried again while the issuer has no time: the machine of a test may be loaded. */
  const post = (request: object): Promise<Response> =>
    until(async () => {
      const answer = await fetch(url, { method: 'POST', body: JSON.stringify(request) });
      return answer.status === 503 ? false : answer;
    });
  const declared = async (): Promise<Made> => (await (await post({ intent: 'look.yaml' })).json()) as Made;
  it('carries the calls of a task at its URL until its end, and those of another task on', async () => {
    const [one, two] = [await declared(), await declared()];
    expect(await read(one.forward['payments'])).toEqual([200, 'p-1']);
    const denied = await fetch(`${one.forward['payments']}/v1/payments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"amount": 1}',
    });
    expect([denied.status, await denied.json()]).toMatchObject([403, { reason: 'action.outside-intent' }]);
    const end = await fetch(one.end, { method: 'DELETE' });
    expect([end.status, await end.json()]).toEqual([200, { task: one.task, state: 'completed' }]);
    expect(await read(one.forward['payments'])).toEqual([403, 'task.completed']);
    expect(await read(two.forward['payments'])).toEqual([200, 'p-1']);
    expect((await fetch(`${two.end}/cancel`, { method: 'POST' })).status).toBe(200);
  });

  it('says what the issuer refuses, and what a developer can do', async () => {
    const refused = await post({ intent: 'erase.yaml' });
    expect([refused.status, await refused.json()]).toMatchObject([
      403,
      {
        error: 'invalid_authorization_details',
        next: 'change_arguments',
        to_do: expect.stringContaining('intent check'),
      },
    ]);
  });
});

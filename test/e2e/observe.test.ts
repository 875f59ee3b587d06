import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, examples, mustDeclare, startDomain } from './domain.ts';

const DAY_MS = 86_400_000;
const inDays = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10);
const entry = (agent: string, until: string): string =>
  `  - { id: ${agent}, agents: ['spiffe://acme.test/ns/agents/sa/${agent}'], servers: [payments], until: ${until}, owner: us, because: CHG-1 }\n`;

/** What agents send that know nothing of Remit. */
const UPSTREAMS = { token: 'of-the-upstream' };

/** The shipped policies, with the planner observed until in ten days, and the reporter until yesterday. */
async function policiesIn(folder: string): Promise<string> {
  const copy = join(folder, 'policies');
  await cp(examples, copy, { recursive: true });
  const text = `observe:\n${entry('planner', inDays(10))}${entry('reporter', inDays(-1))}`;
  await writeFile(join(copy, 'enforcement.yaml'), text);
  return copy;
}

// Issue 41, points 1, 2 and 4.
describeWith(envoyPart(), 'an agent that is observed, through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  beforeAll(async () => {
    domain = await startDomain(envoy, { folder: scratch.folder, policies: await policiesIn(scratch.folder) });
  });

  it('passes with a token of its upstream, but not with an ended token, and another call is denied from its day on', async () => {
    const { planner, reporter, thief } = domain.stage;
    expect((await callPayments(planner, domain, UPSTREAMS))[0]).toBe(200);
    expect(await callPayments(reporter, domain, UPSTREAMS)).toEqual([401, 'token.malformed']);
    const { token, taskId } = await mustDeclare(planner, domain);
    expect(await callPayments(planner, domain, { token })).toEqual([200, null]);
    expect(await callPayments(thief, domain, { token })).toEqual([401, 'token.binding']);
    expect(await callPayments(planner, domain, { token })).toEqual([401, 'token.revoked']);
    await domain.stop();
    const { out } = await ran(ledgerQuery, '--ledger', join(scratch.folder, 'ledger'), '--kind', 'use', '--json');
    const uses = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .toReversed();
    expect(taskId).toEqual(expect.any(String));
    expect(uses.map(({ decision, mode, would }) => [decision, mode, would?.reason])).toEqual([
      ['allow', 'observe', 'token.malformed'],
      ['deny', undefined, undefined],
      ['allow', 'observe', null],
      ['deny', undefined, undefined],
      ['deny', 'observe', 'token.revoked'],
    ]);
  });
});

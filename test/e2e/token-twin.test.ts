import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { twinOf } from '../core/token/twin.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, mustDeclare, startDomain } from './domain.ts';

/** Issue 14: the twin of an ES256 token counted as another token with a first use of its own. */
describeWith(envoyPart(), 'the twin of a token, through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;

  beforeAll(async () => {
    domain = await startDomain(envoy, { folder: scratch.folder });
  });

  it('is a reuse of the same token, linked to the previous use', async () => {
    const { planner } = domain.stage;
    const { taskId, token } = await mustDeclare(planner, domain);
    const twin = twinOf(token);
    expect(twin).not.toBe(token);
    expect(await callPayments(planner, domain, { token })).toEqual([200, null]);
    expect(await callPayments(planner, domain, { token: twin })).toEqual([200, null]);
    expect(await callPayments(planner, domain, { token: twinOf(twin) })).toEqual([200, null]);
    await domain.remit.flush();
    const of = ['--ledger', join(scratch.folder, 'ledger'), '--task', taskId, '--kind', 'use', '--oldest-first'];
    const { out } = await ran(ledgerQuery, ...of, '--json');
    const uses = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(uses.map((use) => use.tokenUse)).toEqual([1, 2, 3]);
    expect(uses.map((use) => use.reuse.includes('first'))).toEqual([true, false, false]);
    expect(new Set(uses.map((use) => use.jtiDigest)).size).toBe(1);
  });

  it('has no use of its own with a single-use token', async () => {
    const { planner } = domain.stage;
    const { token } = await mustDeclare(planner, domain, { constraints: { single_use: true } });
    expect(await callPayments(planner, domain, { token })).toEqual([200, null]);
    expect(await callPayments(planner, domain, { token: twinOf(token) })).toEqual([403, 'task.replayed']);
  });
});

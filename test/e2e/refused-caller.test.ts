import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, mustDeclare, startDomain } from './domain.ts';

/** Issue 14: a caller of an untrusted domain was recorded without any identity. This Envoy admits that domain. */
describeWith(envoyPart(), 'a caller of an untrusted domain, through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  const stdout = { lines: [] as string[], writable: true, writableLength: 0 };

  beforeAll(async () => {
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      settings: { decisionLog: 'stdout' },
      stdout: { ...stdout, write: (line) => stdout.lines.push(line) },
    });
  });

  const usesOf = async (...filter: readonly string[]): Promise<readonly Record<string, unknown>[]> => {
    await domain.remit.flush();
    const of = ['--ledger', join(scratch.folder, 'ledger'), '--kind', 'use', '--oldest-first', '--json'];
    const { out } = await ran(ledgerQuery, ...of, ...filter);
    return out
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  };

  it('is recorded and logged with its presented id and address, but not as an agent', async () => {
    const { planner, stranger } = domain.stage;
    const declared = await mustDeclare(planner, domain);
    expect(await callPayments(stranger, domain, declared)).toEqual([403, 'identity.untrusted-domain']);
    const refusedCaller = { address: '127.0.0.1', id: 'spiffe://other.test/ns/agents/sa/planner' };
    const [refused, ...others] = await usesOf('--reason', 'identity.untrusted-domain');
    expect(others).toEqual([]);
    expect(refused).toMatchObject({ agent: null, refusedCaller, reason: 'identity.untrusted-domain' });
    expect(await usesOf('--agent', refusedCaller.id)).toEqual([]);
    const line = stdout.lines.find((one) => one.includes('identity.untrusted-domain')) ?? '{}';
    expect(JSON.parse(line)).toMatchObject({ agent: null, refusedCaller });
  });

  it('has no such field if the caller is accepted', async () => {
    const { planner } = domain.stage;
    const declared = await mustDeclare(planner, domain);
    expect(await callPayments(planner, domain, declared)).toEqual([200, null]);
    const [use] = await usesOf('--task', declared.taskId);
    expect(use).toMatchObject({ agent: 'spiffe://acme.test/ns/agents/sa/planner', refusedCaller: null });
  });
});

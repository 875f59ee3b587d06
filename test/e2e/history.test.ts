import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, examples, mustDeclare, payment, startDomain } from './domain.ts';
import { must } from '../builders/must.ts';

const PAY = payment(1);

describeWith(envoyPart(), 'what a task has already done, through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  beforeAll(async () => {
    const policies = join(scratch.folder, 'policies');
    await cp(examples, policies, { recursive: true });
    const catalog = join(policies, 'actions.yaml');
    const text = await readFile(catalog, 'utf8');
    const labelled = text.replace(
      "path: '/v1/payments/{id}', risk: low",
      "path: '/v1/payments/{id}', risk: low, labels: [customer-data]",
    );
    expect(labelled).not.toBe(text);
    await writeFile(catalog, labelled);
    domain = await startDomain(envoy, { folder: scratch.folder, policies });
  });

  it('denies sending data once customer data was read, with any token of the task', async () => {
    const { planner, issuerHost, issuerPort } = domain.stage;
    const { token, taskId } = await mustDeclare(planner, domain);
    expect(await callPayments(planner, domain, { token, ...PAY })).toEqual([201, null]);
    expect(await callPayments(planner, domain, { token })).toEqual([200, null]);
    expect(await callPayments(planner, domain, { token, ...PAY })).toEqual([403, 'policy.forbidden']);
    const path = `/tasks/${taskId}/token`;
    const further = await planner.call(issuerPort, { host: issuerHost, method: 'POST', path });
    const { access_token: another } = JSON.parse(further.body);
    expect(await callPayments(planner, domain, { token: another, ...PAY })).toEqual([403, 'policy.forbidden']);
  });

  it('never allows two concurrent uses that forbid each other', async () => {
    const { planner } = domain.stage;
    for (let round = 0; round < 10; round += 1) {
      const { token, taskId } = await mustDeclare(planner, domain);
      await Promise.all([callPayments(planner, domain, { token }), callPayments(planner, domain, { token, ...PAY })]);
      await domain.remit.flush();
      const records = must(await domain.remit.recordsOf(taskId, 100));
      const allowed = records
        .map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')))
        .filter(({ kind, decision }) => kind === 'use' && decision === 'allow')
        .toSorted((a, b) => a.tokenUse - b.tokenUse)
        .map(({ action }) => action);
      expect(['payments.create,payments.read', 'payments.read']).toContain(allowed.join(','));
      expect(await callPayments(planner, domain, { token, ...PAY })).toEqual([403, 'policy.forbidden']);
    }
  });
});

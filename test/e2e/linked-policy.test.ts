import { appendFile, cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, declare, examples, mustDeclare, startDomain } from './domain.ts';

/** Open resources can be read by anybody whom a link names. */
const policies = `
@id("open-reads") permit (principal in ?principal, action, resource is Remit::Endpoint) when { resource.tier == "open" };
`;
const links = [
  {
    templateId: 'open-reads',
    newId: 'agents-open-reads',
    values: { '?principal': { type: 'Remit::AgentGroup', id: 'agents' } },
  },
];

/** The shipped policies with other rules for payments: lists are open, everything else is restricted. */
async function policiesIn(folder: string): Promise<string> {
  const copy = join(folder, 'policies');
  await cp(examples, copy, { recursive: true });
  await rm(join(copy, 'policies', 'payments.cedar'));
  const catalog = await readFile(join(copy, 'actions.yaml'), 'utf8');
  const audience = '    audience: https://payments.acme.test\n';
  const list = 'path: /v1/payments, risk: low }';
  const other = / {4}audience: https:\/\/(?:files|tickets)\.acme\.test\n/g;
  const text = catalog
    .replace(audience, `${audience}    attributes: { tier: restricted }\n`)
    .replaceAll(other, (line) => `${line}    attributes: { tier: internal }\n`)
    .replace(list, 'path: /v1/payments, risk: low, attributes: { tier: open } }');
  await writeFile(join(copy, 'actions.yaml'), text);
  await appendFile(join(copy, 'policies', 'risk.cedar'), policies);
  await writeFile(join(copy, 'policies', 'open.cedarlinks.json'), JSON.stringify(links));
  return copy;
}

describeWith(envoyPart(), 'a template, its link and an attribute of a resource, through Envoy', (binary) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;

  beforeAll(async () => {
    domain = await startDomain(binary, { folder: scratch.folder, policies: await policiesIn(scratch.folder) });
  });

  it('decide, and the record names the link', async () => {
    const { reporter, thief } = domain.stage;
    const { token } = await mustDeclare(reporter, domain, { actions: ['payments.list', 'payments.read'] });
    expect(await callPayments(reporter, domain, { token, path: '/v1/payments' })).toEqual([200, null]);
    expect(await callPayments(reporter, domain, { token })).toEqual([403, 'policy.not-permitted']);
    expect((await declare(thief, domain, { actions: ['payments.list'] })).status).toBe(400);
    await domain.stop();
    const { out } = await ran(ledgerQuery, '--ledger', join(scratch.folder, 'ledger'), '--kind', 'use', '--json');
    const used = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(used.map(({ action, policyIds: by }) => [action, by]).toReversed()).toEqual([
      ['payments.list', ['agents-open-reads']],
      ['payments.read', []],
    ]);
  });
});

import { describe, expect, it } from '@jest/globals';
import { codeownersText, ownershipFindings } from '../../../../src/tools/policy/owners/ownership.ts';
import { ownersFrom } from '../../../../src/tools/policy/owners/owners-file.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';

const OWNERS = `owners:
  - team: payments
    reviewers: ['@acme/payments', '@acme/security']
    paths: [a.cedar]
    servers: [payments]
    actions: ['payments.*', issue]
    agents: ['spiffe://acme.test/ns/payments/*']
    groups: [payers]
`;
const { owners } = ownersFrom(OWNERS, 'owners.yaml');

const head = (principal: string, action: string, resource: string): string =>
  `@id("p") permit (${principal}, ${action}, ${resource});`;
const payers = 'principal in Remit::AgentGroup::"payers"';
const read = 'action == Remit::Action::"payments.read"';
const payments = 'resource in Remit::Server::"payments"';

const found = async (policies: string) => {
  const set = await mustLoad(folderWith(policies));
  return ownershipFindings(owners, { ...set, entities: set.facts.entities }).map(
    ({ line, column, message }) => `${line}:${column}: ${message}`,
  );
};

/** Whether a team whose agents have a pattern may name an agent. */
const reached = async (agents: string, agent: string) => {
  const set = await mustLoad(folderWith(head(`principal == Remit::Agent::"${agent}"`, read, 'resource')));
  const given = ownersFrom(OWNERS.replace('spiffe://acme.test/ns/payments/*', agents), 'owners.yaml');
  expect(given.findings).toEqual([]);
  return ownershipFindings(given.owners, { ...set, entities: set.facts.entities }).length === 0;
};

describe('ownershipFindings', () => {
  it.each([
    ['an action', head(payers, read, 'resource')],
    ['actions of a server', head(payers, 'action', payments)],
    ['its agents', head('principal == Remit::Agent::"spiffe://acme.test/ns/payments/sa/a"', read, 'resource')],
    [
      'agents of a type in its group',
      head('principal is Remit::Agent in Remit::AgentGroup::"payers"', read, 'resource'),
    ],
    [
      'tokens for its server',
      head(payers, 'action == Remit::Action::"issue"', 'resource == Remit::Server::"payments"'),
    ],
  ])('lets a head name %s (issue 43, point 2)', async (_what, policy) => {
    expect(await found(policy)).toEqual([]);
  });

  it.each([
    ['every action', head(payers, 'action', 'resource'), ['the action `files.list`', 'the server `files`']],
    [
      'a risk, which has actions of others',
      head(payers, 'action in Remit::Action::"low"', 'resource'),
      ['the action `files.list`', 'the server `files`'],
    ],
    [
      'another server',
      head(payers, 'action', 'resource in Remit::Server::"files"'),
      ['the action `files.list`', 'the server `files`'],
    ],
    ['tokens for any server', head(payers, 'action == Remit::Action::"issue"', 'resource'), ['the server `files`']],
    ['every agent', head('principal', read, 'resource'), ['every agent']],
    [
      'another group',
      head('principal in Remit::AgentGroup::"agents"', read, 'resource'),
      ['`Remit::AgentGroup::"agents"`'],
    ],
    [
      'a trust domain',
      head('principal in Remit::TrustDomain::"acme.test"', read, 'resource'),
      ['`Remit::TrustDomain::"acme.test"`'],
    ],
    [
      'an agent of another namespace',
      head('principal == Remit::Agent::"spiffe://acme.test/ns/a/sa/b"', read, 'resource'),
      ['`Remit::Agent::"spiffe://acme.test/ns/a/sa/b"`'],
    ],
  ])('refuses a head that reaches %s', async (_what, policy, outside) => {
    expect(await found(policy)).toEqual(outside.map((what) => `1:1: the team \`payments\` may not speak of ${what}`));
  });

  it('keeps a star of a pattern within its segment, unless it is the last alone (review of issue 43)', async () => {
    expect(await reached('spiffe://acme.test/ns/pay*', 'spiffe://acme.test/ns/pay-eu')).toBe(true);
    expect(await reached('spiffe://acme.test/ns/pay*', 'spiffe://acme.test/ns/payroll/sa/admin')).toBe(false);
    expect(await reached('spiffe://acme.test/ns/pay*/sa/a', 'spiffe://acme.test/ns/payroll/sa/a')).toBe(true);
    expect(await reached('spiffe://acme.test/ns/pay/*', 'spiffe://acme.test/ns/pay/sa/a')).toBe(true);
    expect(await reached('spiffe://acme.test/ns/pay/*', 'spiffe://acme.test/ns/pay')).toBe(false);
  });

  it('takes no condition for a head, and holds forbids to the same', async () => {
    const policy = `@id("p") forbid (${payers}, action, resource) when { context.risk == "high" };`;
    expect(await found(policy)).toHaveLength(2);
  });

  it('sees what entities add to the ancestors of an endpoint', async () => {
    const endpoint = { type: 'Remit::Endpoint', id: 'files:GET /v1/files' };
    const entities = JSON.stringify([
      { uid: endpoint, attrs: {}, parents: [{ type: 'Remit::Server', id: 'payments' }] },
    ]);
    const set = await mustLoad(folderWith(head(payers, 'action', payments), { entities }));
    expect(ownershipFindings(owners, { ...set, entities: set.facts.entities })).toHaveLength(2);
  });

  it('refuses a file that nobody owns', async () => {
    const set = await mustLoad(folderWith(head(payers, read, 'resource')));
    const [elsewhere] = ownersFrom(OWNERS.replace('a.cedar', 'policies/'), 'owners.yaml').owners;
    expect(
      ownershipFindings(elsewhere === undefined ? [] : [elsewhere], { ...set, entities: set.facts.entities }),
    ).toEqual([expect.objectContaining({ message: 'no team owns this file', policy: 'p' })]);
  });
});

describe('ownersFrom', () => {
  it.each([
    ['a key that is missing', OWNERS.replace('    servers: [payments]\n', ''), 'an owner lacks the key `servers`'],
    [
      'a team twice',
      `${OWNERS}${OWNERS.replace('owners:\n', '').replace('a.cedar', 'b.cedar')}`,
      'the id `payments` is of another entry too',
    ],
    [
      'a path of two teams',
      `${OWNERS}${OWNERS.replace('owners:\n', '').replace('team: payments', 'team: two')}`,
      'the path `a.cedar` is of `payments` too',
    ],
    ['a path out of the folder', OWNERS.replace('a.cedar', '../a.cedar'), 'must be relative to the policy folder'],
    [
      'nobody whose rights it gives',
      OWNERS.replace(/ {4}(?:agents|groups): .*\n/g, ''),
      'an owner lacks `agents` or `groups`',
    ],
  ])('refuses %s', (_what, text, message) => {
    expect(ownersFrom(text, 'owners.yaml').findings.map((finding) => finding.message)).toEqual([
      expect.stringContaining(message),
    ]);
  });
});

describe('codeownersText', () => {
  it('has longer paths later, since the last line that has a file counts', () => {
    const [one] = owners;
    const two =
      one === undefined ? [] : [{ ...one, paths: ['policies/payments/', 'policies/'], reviewers: ['@acme/all'] }];
    expect(
      codeownersText([...owners, ...two], 'cedar-policies/')
        .split('\n')
        .slice(1),
    ).toEqual([
      '/cedar-policies/a.cedar @acme/payments @acme/security',
      '/cedar-policies/policies/ @acme/all',
      '/cedar-policies/policies/payments/ @acme/all',
      '',
    ]);
  });
});

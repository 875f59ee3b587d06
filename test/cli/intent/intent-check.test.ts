import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { intentCheck } from '../../../src/cli/intent/intent-check.ts';
import { type RunDomain, startRunDomain } from '../../agent/run/domain.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { exampleFolder } from '../example-folder.ts';

const folder = testFolders(async () => {
  await domain.close();
  policies.remove();
});
const policies = exampleFolder();
let domain: RunDomain;
beforeAll(async () => {
  domain = await startRunDomain(folder());
});

const PLANNER = 'spiffe://acme.test/ns/agents/sa/planner';
let files = 0;
function intentWith(text: string): string {
  const file = join(domain.folder, `checked-${(files += 1)}.yaml`);
  writeFileSync(file, text);
  return file;
}
const GOOD = `purpose: settle payment p-1
access:
  - resource: https://payments.acme.test
    actions: [payments.read, payments.create]
    constraints: { max_calls: 20, max_amount: { argument: amount, limit: 500 } }
expires_in: 10m
`;
const BAD = `purpose: look
access:
  - resource: https://payments.acme.test
    actions: [payments.raed, payments.list]
  - resource: https://files.acme.test
    actions: [files.list]
expires_in: 10m
`;
const GRANTED = [
  'https://payments.acme.test: granted',
  '  yes  payments.read',
  '  yes  payments.create',
  expect.stringMatching(
    /^ {2}limits of payments.create: \{"max_calls":20,"max_amount":\{"argument":"amount","limit":500\},"not_after":\d+\}$/,
  ),
  expect.stringMatching(/^ {2}limits of payments.read: \{"max_calls":20,"not_after":\d+\}$/),
  expect.stringMatching(/^ {2}task of (?:599|600) s, tokens of (?:299|300) s$/),
];
const REFUSED = [
  'https://payments.acme.test: not granted',
  '  yes  payments.list',
  '  no   payments.raed  no such action; did you mean payments.read?',
];

/** By the issuer, and by the policies that it has. */
const checkers = [
  ['the issuer', () => domain.options],
  ['a policy folder', () => ['--policies', policies.path, '--agent', PLANNER]],
] as const;

describe.each(checkers)('remit intent check by %s', (_name, by) => {
  const checked = (text: string, ...more: readonly string[]) =>
    policies.run(intentCheck, intentWith(text), ...by(), ...more);

  it('prints what would be granted, with the limits and lives', async () => {
    expect(await checked(GOOD)).toEqual({ code: 0, out: GRANTED, err: [] });
  });

  it('exits with 1 if something would not be granted, and says what for each resource', async () => {
    const { code, out, err } = await checked(BAD);
    expect([code, err, out.slice(0, 3)]).toEqual([1, [], REFUSED]);
    expect(out).toContain('https://files.acme.test: granted');
    const one = await checked(BAD, '--resource', 'https://files.acme.test');
    expect([one.code, one.out[0]]).toEqual([0, 'https://files.acme.test: granted']);
  });

  it('prints JSON', async () => {
    const { out } = await checked(BAD, '--json');
    expect(JSON.parse(out.join('\n'))).toMatchObject([
      {
        resource: 'https://payments.acme.test',
        granted: false,
        actions: [
          { action: 'payments.list', granted: true },
          { action: 'payments.raed', granted: false, reason: 'action.unknown', nearest: 'payments.read' },
        ],
      },
      { resource: 'https://files.acme.test', granted: true, task_seconds: expect.any(Number) },
    ]);
  });

  it('says why the life of a task is refused', async () => {
    const { code, out } = await checked(GOOD.replace('10m', '8h'));
    expect([code, out.slice(0, 3)]).toEqual([
      1,
      [
        'https://payments.acme.test: not granted',
        '  yes  payments.read',
        '  no   payments.create  policy.not-permitted',
      ],
    ]);
    expect((await checked(GOOD, '--ttl', '8h')).code).toBe(1);
  });

  it('says what is wrong with the whole intent', async () => {
    const { code, out } = await checked(GOOD.replace('argument: amount', 'argument: sum'));
    expect([code, out]).toEqual([
      1,
      [
        'https://payments.acme.test: not granted',
        '  invalid_authorization_details: no action of the entry has the argument sum of max_amount: payments.read, payments.create',
      ],
    ]);
  });

  it.each<[string, string, readonly string[], RegExp]>([
    ['an invalid intent', 'purpose: x\n', [], /an intent|access/],
    ['a resource that it does not name', GOOD, ['--resource', 'https://files.acme.test'], /does not name the resource/],
    ['a bad life', GOOD, ['--ttl', 'soon'], /--ttl must be/],
    ['an intent twice', GOOD, ['--intent', 'x'], /the FILE of an intent is required, and no --intent/],
  ])('refuses %s', async (_title, text, more, message) => {
    const { code, err } = await checked(text, ...more);
    expect([code, err.join('\n')]).toEqual([2, expect.stringMatching(message)]);
  });
});

describe('remit intent check', () => {
  it.each<[string, readonly string[], RegExp]>([
    ['no issuer', [], /--issuer URL is required/],
    ['no agent', ['--policies', 'cedar-policies'], /--agent SPIFFE-ID is required with --policies/],
    ['an agent alone', ['--agent', PLANNER], /--agent goes with --policies/],
    ['both', ['--policies', 'p', '--agent', PLANNER, '--issuer', 'https://a.test'], /takes the place of an issuer/],
    ['an agent that is none', ['--policies', 'cedar-policies', '--agent', 'planner'], /--agent: /],
    ['policies that are none', ['--policies', '/nowhere', '--agent', PLANNER], /could not be read/],
  ])('refuses %s', async (_name, options, message) => {
    const { code, err } = await policies.run(intentCheck, intentWith(GOOD), ...options);
    expect([code, err.join('\n')]).toEqual([2, expect.stringMatching(message)]);
  });

  it('exits with 2 if the issuer does not answer', async () => {
    const options = domain.options.map((word) => (word.startsWith('https://localhost') ? 'https://localhost:1' : word));
    const { code, err } = await policies.run(intentCheck, intentWith(GOOD), ...options);
    expect([code, err.join('\n')]).toEqual([2, expect.stringMatching(/unreachable: no answer/)]);
  });
});

/** Issue 37, point 19. */
describe('remit intent check of actions that would be granted', () => {
  it('says of which every use would be denied, and of no others', async () => {
    const closed = exampleFolder();
    try {
      const more = `@id("closed") @reason("payments are not listed this week")
forbid (principal, action == Remit::Action::"payments.list", resource) when { context.intent.purpose like "look*" };
@id("dear") forbid (principal, action == Remit::Action::"payments.create", resource) when { context.args.amount > 0 };
@id("high") permit (principal, action == Remit::Action::"issue", resource);
`;
      writeFileSync(join(closed.path, 'closed.cedar'), more);
      const text = GOOD.replace('[payments.read, payments.create]', 'ACTIONS').replace(/\n *constraints.*/, '');
      const look = text.replace('settle payment p-1', 'look').replace('ACTIONS', '[payments.list, payments.create]');
      const by = ['--policies', closed.path, '--agent', PLANNER];
      const shown = await closed.run(intentCheck, intentWith(look), ...by);
      expect(shown.err).toEqual([]);
      expect([shown.code, shown.out.slice(0, 3).toSorted()]).toEqual([
        1,
        [
          '  yes  payments.create',
          '  yes  payments.list    but every use is denied: policy.forbidden: payments are not listed this week',
          'https://payments.acme.test: granted',
        ],
      ]);
      const stranger = ['--policies', closed.path, '--agent', 'spiffe://acme.test/nobody', '--json'];
      const json = await closed.run(intentCheck, intentWith(text.replace('ACTIONS', '[payments.read]')), ...stranger);
      const [answer] = JSON.parse(json.out.join('\n'));
      expect([json.code, answer.granted, answer.actions[0].uses_denied.reason]).toEqual([
        1,
        true,
        'policy.not-permitted',
      ]);
    } finally {
      closed.remove();
    }
  });
});

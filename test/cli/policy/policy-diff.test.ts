import { generateKeyPairSync } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { policyBundle } from '../../../src/cli/policy/policy-bundle.ts';
import { policyDiff } from '../../../src/cli/policy/policy-diff.ts';
import { examplePolicies, planner } from '../../tools/policy/cases/folder.ts';
import { exampleFolder } from '../example-folder.ts';
import type { ExampleFolder } from '../example-folder.ts';
import { diskLedger, ran, segmentsOf, tamper } from '../ledgers.ts';
import { recordedUses } from '../recorded-uses.ts';

let example: ExampleFolder;
let parent: string;
let state: string;

const edited = (file: string, edit: (text: string) => string): void =>
  writeFileSync(join(parent, file), edit(readFileSync(join(parent, file), 'utf8')));

beforeAll(async () => {
  example = exampleFolder();
  parent = dirname(example.path);
  for (const name of ['limit', 'gone', 'renamed', 'limited', 'wider'])
    cpSync(example.path, join(parent, name), { recursive: true });
  edited('limit/policies/payments.cedar', (text) => text.replace('amount > 500', 'amount > 100'));
  edited('gone/policies/payments.cedar', (text) =>
    text.replace('@id("payments-read")', '@id("read")\n@shadow("true")'),
  );
  edited('renamed/actions.yaml', (text) => text.replace('action: payments.refund', 'action: payments.undo'));
  edited('renamed/policies/payments.cedar', (text) => text.replace('"payments.refund"', '"payments.undo"'));
  edited('renamed/entities.cedarentities.json', (text) => text.replace('sa/reporter', 'sa/teller'));
  for (const [name, calls] of [
    ['limited', 1],
    ['wider', 9],
  ] as const)
    writeFileSync(
      join(parent, name, 'limits.yaml'),
      `limits:\n  - { id: lists, agents: ['*'], actions: [payments.list, payments.create], per: [agent], window: 1d, calls: ${calls} }\n`,
    );
  mkdirSync(join(parent, 'set.empty'));
  writeFileSync(join(parent, 'keys.json'), '{"keys":[]}');
  state = recordedUses(parent, (await examplePolicies()).hash);
});
afterAll(() => example.remove());

const shown = (lines: readonly string[]) =>
  lines.map((line) => line.replaceAll(`${parent}/`, '').replace(/sha-256:[\w-]{43}/, 'sha-256:…'));

/** Runs the command in the folder of the sets. Returns its output without the hashes of sets. */
async function diff(...args: readonly string[]) {
  const named = args.map((word) =>
    /^(?:p|limit|gone|renamed|limited|wider)$|^[a-z]+\./.test(word) ? join(parent, word) : word,
  );
  const { code, out, err } = await example.run(policyDiff, ...named);
  return { code, out: shown(out), err: shown(err) };
}
const ofState = (...more: readonly string[]) => ['--state', state, ...more];

const NOT_COMPARED = [
  'skipped: 1 x denied before the policies: token.expired',
  '  such as 2026-01-15T12:00:00.000Z late',
  'skipped: 1 x the caller of the recorded call was not known',
  '  such as 2026-01-15T12:00:00.000Z nobody',
];
const BY_ANOTHER = [
  'not repeatable: 1 x payments.list, missing: policy set that decided it',
  '  such as 2026-01-15T12:00:00.000Z before',
];

describe('remit policy diff', () => {
  it('lists different decisions, and what it cannot compare', async () => {
    expect(await diff('p', 'gone', ...ofState())).toEqual({
      code: 1,
      out: [
        'old: p, 19 policies, set sha-256:…',
        'new: gone, 19 policies, set sha-256:…',
        'policies: added read; removed payments-read',
        'actions: the same',
        'entities: the same',
        'observed: the same',
        'limits: the same',
        '1 x allow to deny (allow by payments-read to policy.not-permitted) in the ledger',
        `  payments.list by ${planner}`,
        '  such as 2026-01-15T12:00:00.000Z list',
        ...BY_ANOTHER,
        ...NOT_COMPARED,
        '2 decisions compared, 1 not repeatable, 2 skipped: 1 kind of difference',
      ],
      err: [],
    });
  });

  it('does not compare by arguments that are not recorded', async () => {
    const { code, out } = await diff('p', 'limit', ...ofState());
    expect([code, ...out.slice(2)]).toEqual([
      0,
      'policies: changed payments-limit',
      'actions: the same',
      'entities: the same',
      'observed: the same',
      'limits: the same',
      ...BY_ANOTHER,
      'not repeatable: 1 x payments.create, missing: argument amount',
      '  such as 2026-01-15T12:00:00.000Z create',
      ...NOT_COMPARED,
      '1 decision compared, 2 not repeatable, 2 skipped: 0 kinds of difference',
    ]);
  });

  it('needs only a copy of the ledger, and names what differs between the sets', async () => {
    const { code, out } = await diff('p', 'renamed', '--ledger', join(parent, 'ledger'), '--decision', 'allow');
    expect([code, ...out.slice(2)]).toEqual([
      0,
      'policies: changed payments-write',
      'actions: added payments.undo; removed payments.refund',
      'entities: added Remit::Agent::"spiffe://acme.test/ns/agents/sa/teller"; removed Remit::Agent::"spiffe://acme.test/ns/agents/sa/reporter"',
      'observed: the same',
      'limits: the same',
      'other files: changed actions.yaml',
      '2 decisions compared, 0 not repeatable, 0 skipped: 0 kinds of difference',
    ]);
  });

  it('compares the cases of a suite, and of a folder', async () => {
    const lines = [
      '2 x allow to deny (allow by payments-write to policy.forbidden by payments-limit) in the cases',
      `  payments.create by ${planner}`,
      '  such as p/tests/payments.test.yaml:12 the planner pays, p/tests/payments.test.yaml:17 a payment without a currency is one in euros',
    ];
    const one = await diff('p', 'limit', '--cases', 'p/tests/payments.test.yaml'.replace('p/', `${example.path}/`));
    expect([one.code, ...one.out.slice(7)]).toEqual([
      1,
      ...lines,
      '18 decisions compared, 0 not repeatable, 0 skipped: 1 kind of difference',
    ]);
    const request = {
      principal: 'Remit::Agent::"spiffe://a.test/b"',
      action: 'Remit::Action::"issue"',
      resource: 'Remit::Server::"s"',
      context: {},
    };
    const plain = { name: 'c', request, entities: [], decision: 'deny', reason: [], num_errors: 0 };
    writeFileSync(join(example.path, 'tests/a.cedartests.json'), JSON.stringify([plain]));
    const all = await diff('p', 'limit', '--cases', 'p');
    expect([all.code, ...all.out.slice(7)]).toEqual([
      1,
      ...lines,
      '72 decisions compared, 0 not repeatable, 0 skipped: 1 kind of difference',
    ]);
    expect(all.err).toEqual(['remit policy diff: 1 test of `cedar run-tests` left out']);
  });

  it('tries the limits of both sets on the records', async () => {
    const span = ['--since', '2026-01-01', '--until', '2026-02-01'];
    const limitLines = async (from: string, to: string) => {
      const { code, out } = await diff(from, to, ...ofState(...span));
      return [code, ...out.filter((line) => line.startsWith('limit'))];
    };
    expect(await limitLines('p', 'limited')).toEqual([
      1,
      'limits: added lists',
      'limit lists, calls, 1 in 1d: would have denied 1 for 1 key (old: 0)',
    ]);
    expect(await limitLines('limited', 'wider')).toEqual([
      1,
      'limits: changed lists',
      'limit lists, calls, 9 in 1d: would have denied 0 for 0 keys (old: 1)',
    ]);
    expect(await limitLines('limited', 'p')).toEqual([
      1,
      'limits: removed lists',
      'limit lists, calls, 1 in 1d: no longer in force (old: 1)',
    ]);
    expect(await limitLines('wider', 'wider')).toEqual([
      0,
      'limits: the same',
      'limit lists, calls, 9 in 1d: would have denied 0 for 0 keys (old: 0)',
    ]);
    const json = await diff('p', 'limited', ...ofState('--json', ...span));
    expect(JSON.parse(json.out.join('')).limits).toMatchObject({
      old: { limits: [], denied: 0 },
      new: { limits: [{ limit: 'lists', keys: [{ who: JSON.stringify([planner]), denied: 1 }] }] },
    });
  });

  it('prints one object with --json', async () => {
    const { code, out } = await example.run(policyDiff, example.path, join(parent, 'limit'), ...ofState('--json'));
    expect([code, JSON.parse(out.join(''))]).toEqual([
      0,
      {
        old: { path: 'p', hash: (await examplePolicies()).hash, policies: 19 },
        new: { path: expect.stringMatching(/limit$/), hash: expect.stringMatching(/^sha-256:/), policies: 19 },
        changes: {
          policies: { added: [], removed: [], changed: ['payments-limit'] },
          actions: { added: [], removed: [], changed: [] },
          entities: { added: [], removed: [], changed: [] },
          observed: { added: [], removed: [], changed: [] },
          limits: { added: [], removed: [], changed: [] },
          files: { added: [], removed: [], changed: [] },
        },
        limits: null,
        compared: 1,
        groups: [],
        ungrouped: 0,
        notRepeatable: {
          count: 2,
          groups: [expect.anything(), expect.objectContaining({ missing: ['argument amount'] })],
        },
        skipped: { count: 2, groups: [expect.anything(), expect.anything()] },
      },
    ]);
  });

  it('accepts bundles that a key verifies', async () => {
    const key = join(parent, 'bundle.pem');
    const { privateKey } = generateKeyPairSync('ed25519', {
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    writeFileSync(key, privateKey);
    const { out } = await example.run(policyBundle, '--public', key);
    writeFileSync(join(parent, 'bundle-keys.json'), out.join(''));
    await example.run(
      policyBundle,
      example.path,
      '--name',
      'a',
      '--key',
      key,
      '--serial',
      '1',
      '--out',
      join(parent, 'set.jws'),
    );
    const by = [...ofState('--decision', 'allow'), '--keys', join(parent, 'bundle-keys.json')];
    const good = await diff('set.jws', 'gone', ...by);
    expect([good.code, good.out[0], good.out.at(-1)]).toEqual([
      1,
      'old: set.jws, 19 policies, set sha-256:…',
      '2 decisions compared, 0 not repeatable, 0 skipped: 1 kind of difference',
    ]);
    expect(await diff('keys.json', 'gone', ...by)).toEqual({
      code: 2,
      out: [],
      err: ['remit policy diff: `keys.json` is not a signed bundle: has an unknown member `keys`'],
    });
    expect(await diff('set.jws', 'gone', ...ofState())).toEqual({
      code: 2,
      out: [],
      err: ['remit policy diff: `set.jws` is not a folder: a signed bundle needs `--keys`'],
    });
  });

  it('shows progress, reports the limit, and does not succeed if nothing could be compared', async () => {
    const { folder } = diskLedger(join(parent, 'many'), 101);
    const [path = ''] = segmentsOf(folder);
    tamper(path, "UPDATE records SET bytes = CAST('x' AS BLOB) WHERE seq = 1");
    const progress: string[] = [];
    const command = (args: readonly string[], io: Parameters<Parameters<typeof ran>[0]>[1]) =>
      policyDiff.run(args, { ...Object.create(null), ...io, progress: (line: string) => progress.push(line) });
    const all = await ran(command, example.path, example.path, '--ledger', folder);
    expect([all.exit, progress]).toEqual([2, ['100 uses', '']]);
    expect(all.out).toContain('skipped: 1 x the record is not JSON in UTF-8\n  such as record 1\n');
    expect(all.err).toBe('remit policy diff: nothing could be compared\n');
    const some = await ran(command, example.path, example.path, '--ledger', folder, '--limit', '2');
    expect(some.err).toBe(
      'remit policy diff: the last 2 uses are compared: --limit compares more\nremit policy diff: nothing could be compared\n',
    );
  });

  it.each<[string, readonly string[], string]>([
    ['one set', ['p'], 'OLD and NEW are required'],
    ['three', ['p', 'p', 'p'], 'unexpected argument `p`'],
    ['a missing set', ['p', 'no.such'], '`no.such` could not be read: ENOENT'],
    ['an unknown kind', ['p', 'p', '--kind', 'intent'], '--kind must be `use`: only uses are decided again'],
    ['an invalid limit', ['p', 'p', '--limit', '0'], '--limit must be a whole number from 1 to 100000'],
    ['an invalid decision', ['p', 'p', '--decision', 'x'], '--decision must be allow or deny'],
    [
      'a filter without a ledger',
      ['p', 'p', '--cases', 'p', '--since', '-2h'],
      '--since needs a ledger: name one with --config, --state or --ledger',
    ],
    ['missing cases', ['p', 'p', '--cases', 'no.such'], '`no.such` could not be read: ENOENT'],
    [
      'invalid cases',
      ['p', 'p', '--cases', 'keys.json'],
      'keys.json:1:1: a suite lacks the key `cases`\nremit policy diff: keys.json:1:2: unknown key `keys` in a suite',
    ],
    ['a folder without cases', ['p', 'p', '--cases', 'set.empty'], 'there are no cases in `set.empty`'],
    ['a missing ledger', ['p', 'p', '--ledger', '/nowhere'], 'no ledger in `/nowhere`'],
    ['a state without a ledger', ['p', 'p', '--state', '/no/such'], 'no ledger in `/no/ledger`'],
    ['a missing state file', ['p', 'p', '--state', 'no.such'], 'state file `no.such` cannot be opened: ENOENT'],
    ['a set with findings', ['set.empty', 'p'], 'set.empty/actions.yaml:1:1: the file is missing'],
    [
      'no configuration',
      ['p', 'p', '--config', '/no/such'],
      'cannot read the configuration `/no/such`: name one with --config, or use --state FILE',
    ],
  ])('refuses %s', async (_name, args, message) => {
    const { code, out, err } = await diff(...args);
    expect({ code, out, err: err.join('\n') }).toEqual({ code: 2, out: [], err: `remit policy diff: ${message}` });
  });
});

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerCheckProof } from '../../../src/cli/ledger/ledger-check-proof.ts';
import { investigated } from '../../../src/cli/why/investigation.ts';
import { investigationLines } from '../../../src/cli/why/investigation-text.ts';
import { SearchedLogs } from '../../../src/cli/why/searched-logs.ts';
import { taskRest } from '../../../src/cli/why/task-rest.ts';
import { matchesOf, meantOf } from '../../../src/cli/why/value-matches.ts';
import { whyCommand } from '../../../src/cli/why/why-command.ts';
import { keepPolicies, keptPoliciesFile } from '../../../src/core/ledger/log/kept-policies.ts';
import { readLog } from '../../../src/core/ledger/log/log-reader.ts';
import type { LedgerRecord } from '../../../src/core/ledger/record.ts';
import { SearchedReceived } from '../../../src/authority/records/received-records.ts';
import { recordFilesIn } from '../../../src/authority/records/record-files.ts';
import { authority, connected, nameOf, partFrom, sidecarLog } from '../../authority/records/receivers.ts';
import { encoded } from '../../builders/ledger-record.ts';
import { must, mustFind } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { ran, segmentsOf, tamper } from '../ledgers.ts';
import type { DiskLedger } from '../ledgers.ts';
import {
  after,
  at,
  before,
  decision,
  payment,
  planner,
  policies,
  policySet,
  reporter,
  taskId,
  thief,
  whyLedger,
} from './why-ledger.ts';

const folder = testFolders();

const whyIn = (ledger: Pick<DiskLedger, 'folder'>, ...args: readonly string[]) =>
  ran(whyCommand.run, ...args, '--ledger', ledger.folder);

const ledgerOf = (...calls: readonly LedgerRecord[]): Promise<DiskLedger> =>
  whyLedger(folder(), [...before, ...calls, ...after]);

/** The sections of the text, by their labels. */
const sections = (text: string): ReadonlyMap<string, string> => {
  const found = new Map<string, string[]>();
  let label = '';
  for (const line of text.trimEnd().split('\n')) {
    label = line.slice(0, 12).trim() || label;
    found.set(label, [...(found.get(label) ?? []), line.slice(12)]);
  }
  return new Map([...found].map(([name, lines]) => [name, lines.join('\n')]));
};

let ledger: DiskLedger;
beforeAll(async () => {
  ledger = await ledgerOf(payment(10));
});

/** What is said of the token if so many records are read. */
const elsewhere = (maxRecords: number): string => {
  const lines = mustFind(
    readLog(ledger.folder, (log) => {
      const logs = new SearchedLogs([{ folder: ledger.folder, log }], SearchedReceived.none, undefined);
      const matches = matchesOf({ value: 'p-77', argument: null, within: {} }, logs);
      const investigation = investigated(mustFind(meantOf(matches)), logs);
      const rest = taskRest(taskId(2), investigation.call.use, logs, { maxRecords });
      return investigationLines({ ...investigation, rest }, matches);
    }),
  );
  return sections(lines.join('\n')).get('elsewhere') ?? '';
};

describe('remit why', () => {
  it('explains the one call with a value: who, which intent, whose delegation, which policies then, what else, and where else', async () => {
    const { exit, out, err } = await whyIn(ledger, 'p-77');
    expect([exit, err]).toEqual([0, '']);
    const parts = sections(out);
    expect([...parts.keys()]).toEqual([
      'call',
      'who',
      'intent',
      'delegated',
      'policy',
      'what else',
      'elsewhere',
      'proof',
    ]);
    expect(parts.get('call')).toBe(
      [
        `${new Date(at(10)).toISOString()}  payments.create POST https://payments.acme.test/v1/payments amount=480 reference="p-77"`,
        'allow by pay; executed: the upstream answered, status 201',
        `decision ${decision(10)}  trace ${'a'.repeat(32)}  record 7`,
      ].join('\n'),
    );
    expect(parts.get('who')).toContain(
      `${reporter}, by its certificate, with a task token, use 1 of it\ntoken token-2 of ${reporter}`,
    );
    expect(parts.get('intent')).toBe(
      [
        `"settle the invoices of May", as ${reporter} declared ${new Date(at(3)).toISOString()}, granted by pay`,
        `task ${taskId(2)}  sha-256:2  trace ${'a'.repeat(32)}`,
        'may payments.create at https://payments.acme.test, within {"max_calls":3}',
        'on behalf of alice@acme.test',
        `no end is recorded; until ${new Date(at(900)).toISOString()} at the latest`,
      ].join('\n'),
    );
    expect(parts.get('delegated')).toMatch(
      new RegExp(
        `^by ${planner}, by a token of ${new Date(at(2)).toISOString()}, as a part of:\n"settle the invoices of May"`,
      ),
    );
    expect(parts.get('delegated')).toContain(`completed ${new Date(at(20)).toISOString()} by ${planner}`);
    // As it was written, without the clause that its end adds; and no policy that decided nothing.
    expect(parts.get('policy')).toBe(
      [
        `set ${policySet}, in force since ${new Date(at(0)).toISOString()}, of the folder /etc/remit/policies`,
        'pay, a.cedar line 3:',
        '  @id("pay")',
        '  @until("2030-01-01")',
        '  permit (principal, action == Remit::Action::"payments.create", resource)',
        '  when { context.args.amount <= 500 };',
      ].join('\n'),
    );
    expect(parts.get('what else')).toMatch(
      /^1 allowed: 1 executed; 1 denied\n.*deny token\.binding.*\n.*binding-violation by /,
    );
    expect(parts.get('elsewhere')).toMatch(
      new RegExp(`^by ${thief} at \`.*\`: 0 allowed, 1 denied, .*; other-identity, other-node$`),
    );
    expect(parts.get('proof')?.split('\n').slice(1)).toEqual(
      [
        ['call', 7],
        ['token', 6],
        ['intent', 5],
        ['intent-above-1', 2],
        ['delegation-1', 4],
        ['policy-set', 1],
      ].map(([what, seq]) => `${what}: record ${seq}, under the signed checkpoint of 12 records`),
    );
  });

  it('says what the limits that counted the call had left', async () => {
    const limits = [
      { id: 'paid', counts: 'amount EUR', left: 20 },
      { id: 'calls', counts: 'calls', share: 3 },
    ];
    const { out } = await whyIn(await ledgerOf(payment(10, { limits })), 'p-77');
    expect(sections(out).get('call')?.split('\n').slice(1, 4)).toEqual([
      'allow by pay; executed: the upstream answered, status 201',
      'limit `paid`, amount EUR: 20 left',
      'limit `calls`, calls: 3 left of what its process was lent',
    ]);
  });

  it.each([
    ['a recorded argument', ['p-77', '--argument', 'reference']],
    ['a number', ['480']],
    ['a decision id', [decision(10).toUpperCase()]],
    ['a time', ['p-77', '--since', '2026-01-01', '--until', '2026-01-02']],
  ])('finds the call by %s', async (_what, args) => {
    const { exit, out } = await whyIn(ledger, ...args, '--json');
    const { found, matches, isMore } = JSON.parse(out);
    expect([exit, matches.length, isMore, found.call.decisionId]).toEqual([0, 1, false, decision(10)]);
  });

  it.each([
    ['no call has it', ['p-78']],
    ['it is another argument', ['p-77', '--argument', 'amount']],
    ['it is part of a value', ['p-7']],
    ['it is of another time', ['p-77', '--until', '2025-12-31']],
    ['no decision has the id', ['019b76da-a800-7000-8000-000000009999']],
  ])('exits with 1 if %s', async (_what, args) => {
    const { exit, out, err } = await whyIn(ledger, ...args);
    expect([exit, err]).toEqual([1, '']);
    expect(out).toMatch(
      /^no recorded call has `.*`: as an argument it is recorded only if the catalog marks it `record: true`/,
    );
    const json = await whyIn(ledger, ...args, '--json');
    expect([json.exit, JSON.parse(json.out)]).toMatchObject([1, { matches: [], found: null }]);
  });

  it('finds a call by a segment of its path, also if an id of the upstream looks like one of ours', async () => {
    const uuid = '019b76da-ffff-7000-8000-000000000001';
    const read = { action: 'payments.read', method: 'GET', args: {}, path: `/v1/payments/${uuid}` };
    const { exit, out } = await whyIn(await ledgerOf(payment(10, read)), uuid);
    expect([exit, sections(out).get('call')]).toEqual([
      0,
      expect.stringContaining(`GET https://payments.acme.test/v1/payments/${uuid}\n`),
    ]);
  });

  it('explains the newest allowed of several calls of one task, and names the others', async () => {
    const refused = { decision: 'deny', reason: 'policy.forbidden', detail: 'by `pay`' } as const;
    const several = await ledgerOf(payment(8), payment(9), payment(10, refused));
    const { exit, out } = await whyIn(several, 'p-77');
    const call = sections(out).get('call') ?? '';
    expect([exit, call]).toEqual([0, expect.stringContaining(`decision ${decision(9)}`)]);
    expect(call).toMatch(
      new RegExp(`also \\S+  ${decision(10)}  deny policy.forbidden.*\nalso \\S+  ${decision(8)}  allow by pay`),
    );
  });

  it('lists calls of several tasks with decision id, time and agent, and asks to name one', async () => {
    const other = payment(9, { task: taskId(1), agent: planner });
    const { exit, out } = await whyIn(await ledgerOf(other, payment(10)), 'p-77');
    expect(exit).toBe(0);
    expect(out.trimEnd().split('\n')).toEqual([
      '`p-77` is in 2 calls, of several tasks:',
      expect.stringMatching(
        new RegExp(
          `^${new Date(at(10)).toISOString()}  ${decision(10)}  ${reporter}  allow by pay  payments.create POST`,
        ),
      ),
      expect.stringMatching(
        new RegExp(`^${new Date(at(9)).toISOString()}  ${decision(9)}  ${planner}  allow by pay  payments.create POST`),
      ),
      'name one by its decision id: remit why DECISION-ID; or narrow them with --argument, --since and --until',
    ]);
    const named = await whyIn(await ledgerOf(other, payment(10)), decision(9));
    expect(sections(named.out).get('who')).toContain(planner);
  });

  it('names the newest 50 of very many calls, and says that there are more', async () => {
    const many = Array.from({ length: 60 }, (_, n) => payment(10 + n, { decisionId: decision(n) }));
    const { out } = await whyIn(await whyLedger(folder(), [...before, ...many]), 'p-77', '--json');
    const { matches, isMore, found } = JSON.parse(out);
    expect([matches.length, matches[0].at, isMore, found]).toEqual([50, at(69), true, null]);
  });

  it('says of an observed call that it passed, and what enforcing would have answered', async () => {
    const would = { decision: 'deny', reason: 'policy.forbidden', detail: null, policyIds: ['other'] } as const;
    const observed = payment(10, { mode: 'observe', entry: 'legacy', would });
    const { out } = await whyIn(await ledgerOf(observed), 'p-77');
    expect(sections(out).get('call')).toContain('allow, only observed: would be deny policy.forbidden by other');
    expect(sections(out).get('policy')).toContain('other, a.cedar line 1:');
  });

  it('says of an allow that was taken back that nothing was answered', async () => {
    const denial = payment(11, {
      decision: 'deny',
      reason: 'task.completed',
      detail: 'ended',
      withdraws: decision(10),
    });
    const withdrawn = await whyLedger(folder(), [...before, payment(10), denial]);
    const { out } = await whyIn(withdrawn, decision(10));
    expect(sections(out).get('call')).toContain('allow by pay; taken back before anything was answered');
    // By the value alone the denial is the answer.
    expect(JSON.parse((await whyIn(withdrawn, 'p-77', '--json')).out).found.call.decisionId).toBe(decision(11));
  });

  it('explains a call without a task by what its record has', async () => {
    const bare = {
      task: null,
      credential: 'workload-identity',
      jtiDigest: null,
      tokenUse: null,
      policyIds: [],
      policySet: null,
    };
    const { exit, out } = await whyIn(await whyLedger(folder(), [payment(10, bare)]), 'p-77');
    const parts = sections(out);
    expect([exit, parts.get('intent'), parts.get('policy'), parts.get('elsewhere')]).toEqual([
      0,
      'none: the call was in no task',
      'no policy was asked',
      'unknown: the call showed no task token',
    ]);
  });

  it('shows texts of agents without their control characters', async () => {
    const hostile = payment(10, { args: { reference: 'p-77', note: '\u001B[2J\u202Ehidden' } });
    const { out } = await whyIn(await ledgerOf(hostile), 'p-77');
    // oxlint-disable-next-line no-control-regex -- what must not be there
    expect(out).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u202E]/);
  });

  it('says of a token with more uses than are read that nobody knows where else it was used', () => {
    // The second use is that of the thief.
    expect(elsewhere(1)).toMatch(/^where else is not known: only the first uses of the token were read; /);
    expect(elsewhere(2)).toContain(thief);
    expect(elsewhere(2)).not.toContain('not known');
  });

  it('finds the uses of the token in other tasks, and in none', async () => {
    const denied = { decision: 'deny', reason: 'token.binding', detail: null, agent: thief } as const;
    const others = [payment(30, { ...denied, task: null }), payment(31, { ...denied, task: taskId(1) })];
    const { out } = await whyIn(await whyLedger(folder(), [...before, payment(10), ...others]), decision(10));
    expect(sections(out).get('elsewhere')).toMatch(new RegExp(`^by ${thief} at \`.*\`: 0 allowed, 2 denied, `));
  });

  it('writes proofs that the key of the ledger checks, each into a new file', async () => {
    const proofs = join(folder(), 'proofs');
    const { exit } = await whyIn(ledger, 'p-77', '--proofs', proofs, '--key', ledger.key);
    expect(exit).toBe(0);
    expect(readdirSync(proofs).toSorted()).toEqual(
      ['call', 'delegation-1', 'intent-above-1', 'intent', 'policy-set', 'token'].map((name) => `${name}.tlog-proof`),
    );
    const checked = await ran(ledgerCheckProof, join(proofs, 'call.tlog-proof'), '--key', ledger.key, '--json');
    expect([checked.exit, JSON.parse(checked.out).leaf.record.decisionId]).toEqual([0, decision(10)]);
    const again = await whyIn(ledger, 'p-77', '--proofs', proofs);
    expect([again.exit, again.err]).toEqual([
      2,
      `remit why: the proofs cannot be written into \`${proofs}\`: EEXIST\n`,
    ]);
  });

  it.each([
    ['no value', [], 'a value is required, such as `p-77`'],
    ['an empty value', [''], 'a value is required, such as `p-77`'],
    ['a value of very many characters', ['x'.repeat(8_193)], 'a value has at most 8192 characters'],
    ['a time that is none', ['p-77', '--since', 'May'], '--since must be an instant such as'],
    ['a key that is none', ['p-77', '--key', 'x'], '--key must be a note key'],
  ])('exits with 2 for %s', async (_what, args, problem) => {
    const { exit, out, err } = await whyIn(ledger, ...args);
    expect([exit, out]).toEqual([2, '']);
    expect(err).toContain(`remit why: ${problem}`);
  });

  it('exits with 2 for a folder without a ledger', async () => {
    const empty = folder();
    expect(await whyIn({ folder: empty }, 'p-77')).toEqual({
      exit: 2,
      out: '',
      err: `remit why: no ledger in \`${empty}\`\n`,
    });
  });
});

/** A ledger with the payment, of which a text in the records was changed. */
const changed = async (from: string, to: string): Promise<DiskLedger> => {
  const copy = await ledgerOf(payment(10));
  const [segment = ''] = segmentsOf(copy.folder);
  expect(
    tamper(
      segment,
      `UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), ?, ?) AS BLOB) WHERE instr(bytes, ?) > 0`,
      from,
      to,
      Buffer.from(from),
    ),
  ).toBeGreaterThan(0);
  return copy;
};

describe('remit why in a ledger that is not as it was written', () => {
  it('exits with 2 and shows what it has if the record of the call does not agree with its checkpoint', async () => {
    const { exit, out, err } = await whyIn(await changed('"amount":480', '"amount":999'), 'p-77');
    expect([exit, sections(out).get('call')]).toEqual([2, expect.stringContaining('amount=999')]);
    expect(out).toContain('call: record 7 IS NOT PROVED');
    expect(err).toMatch(
      /^remit why: record 7 of `.*` is under no checkpoint that it agrees with: run `remit ledger verify`$/m,
    );
  });

  it('exits with 2 if a record of the task cannot be read', async () => {
    const { exit, err } = await whyIn(await changed('"kind":"end"', '"kind":"end" '), 'p-77');
    expect([exit, err]).toEqual([2, expect.stringContaining('run `remit ledger verify`')]);
  });

  it('exits with 2 if the text of the policies was changed', async () => {
    const copy = await ledgerOf(payment(10));
    const file = keptPoliciesFile(copy.folder, policySet);
    writeFileSync(file, readFileSync(file, 'utf8').replace('500', '900'));
    const { exit, out, err } = await whyIn(copy, 'p-77');
    expect([exit, sections(out).get('policy')]).toEqual([
      2,
      expect.stringContaining('pay: its text is not kept beside these ledgers'),
    ]);
    expect(err).toContain('does not have the hash it is kept under');
  });

  it('exits with 2 if another key signed it', async () => {
    const other = await ledgerOf(payment(10));
    const { exit, err } = await whyIn(ledger, 'p-77', '--key', other.key);
    expect([exit, err]).toEqual([2, expect.stringContaining('call, record 7 of')]);
    expect(err).toContain('is NOT proved by the key');
  });
});

/** An authority that received the payment from a sidecar. @param more further records of its own ledger */
async function receivedPayment(...more: readonly LedgerRecord[]) {
  const own = await authority(folder());
  const pod = folder();
  const log = sidecarLog(pod, 0);
  const append = (to: typeof log, records: readonly LedgerRecord[]): void =>
    void must(
      to.append(
        records.map((record) => ({ bytes: encoded(record).bytes, outbox: null })),
        'none',
      ),
    );
  append(own.log, [...before, ...more]);
  append(log, [payment(10), ...after.slice(0, 2)]);
  must(log.checkpoint());
  const { stream } = await connected(own.receiver, nameOf(log), log.size);
  await stream.receive(partFrom(pod, 0));
  await own.timers.pass(300);
  await stream.end(true);
  log.close();
  await own.close();
  return {
    ledger: { folder: join(own.folder, 'ledger') },
    records: own.records,
    key: own.log.verifierKey,
    origin: log.origin,
  };
}

describe('remit why at an authority', () => {
  it('finds calls in the received records of sidecars, and proves them by the key of the authority', async () => {
    const { ledger: authorityLedger, records, key, origin } = await receivedPayment();
    const proofs = join(folder(), 'proofs');
    const args = ['p-77', '--received', records, '--key', key, '--proofs', proofs];
    const { exit, out, err } = await whyIn(authorityLedger, ...args);
    expect([exit, err]).toEqual([0, '']);
    const parts = sections(out);
    expect(parts.get('intent')).toContain('settle the invoices of May');
    expect(parts.get('elsewhere')).toContain(thief);
    expect(parts.get('proof')).toContain(`call: record 1 of \`${origin}\`, under the signed checkpoint of`);
    expect(parts.get('policy')).toContain('pay: its text is not kept beside these ledgers');
    const checked = await ran(ledgerCheckProof, join(proofs, 'call.tlog-proof'), '--key', key);
    expect([checked.exit, checked.out]).toEqual([0, expect.stringContaining('"reference": "p-77"')]);
  });

  it('prints the policy of a sidecar by the text that its authority keeps of its own set, which sidecars have of it', async () => {
    const { ledger: authorityLedger, records } = await receivedPayment();
    must(await keepPolicies(authorityLedger.folder, { hash: policySet, source: policies }));
    const { exit, out } = await whyIn(authorityLedger, 'p-77', '--received', records);
    expect([exit, sections(out).get('policy')]).toEqual([0, expect.stringContaining('pay, a.cedar line 3:\n')]);
  });

  it('prints the policy of a sidecar by the text of a folder that has the hash of its set, and of no other', async () => {
    const { ledger: authorityLedger, records } = await receivedPayment();
    const [own, other] = [folder(), folder()];
    for (const place of [own, other])
      for (const { name, text } of [...policies.catalogs, policies.schema, ...policies.policies])
        writeFileSync(join(place, name), place === own ? text : text.replace('500', '900'));
    const policyBy = async (...given: readonly string[]) => {
      const named = given.flatMap((place) => ['--policies', place]);
      const { exit, out, err } = await whyIn(authorityLedger, 'p-77', '--received', records, ...named);
      expect([exit, err]).toEqual([0, '']);
      return sections(out).get('policy');
    };
    expect(await policyBy(other)).toContain('pay: its text is not kept beside these ledgers: `--policies FOLDER`');
    expect(await policyBy(other, own)).toContain('  when { context.args.amount <= 500 };');
    expect(await whyIn(authorityLedger, 'p-77', '--policies', join(own, 'none'))).toMatchObject({
      exit: 2,
      err: expect.stringContaining('could not be read: ENOENT'),
    });
  });

  it.each<[string, readonly LedgerRecord[]]>([
    ['', []],
    [' in the ledger of the authority', [payment(10)]],
  ])(
    'exits with 2 if a file of received records is damaged, whether or not the call is found%s',
    async (_where, more) => {
      const { ledger: authorityLedger, records } = await receivedPayment(...more);
      const [file = ''] = recordFilesIn(records);
      writeFileSync(file, `${readFileSync(file, 'utf8')}{"no":"head"}\n`);
      for (const value of ['p-77', 'p-78']) {
        const { exit, err } = await whyIn(authorityLedger, value, '--received', records);
        expect([exit, err]).toEqual([
          2,
          expect.stringMatching(/^remit why: `.*` is damaged at byte \d+: .*: run `remit ledger verify`$/m),
        ]);
      }
    },
  );
});

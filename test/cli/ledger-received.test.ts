import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerCheckProof } from '../../src/cli/ledger/ledger-check-proof.ts';
import { ledgerEvidence } from '../../src/cli/ledger/ledger-evidence.ts';
import { ledgerProve } from '../../src/cli/ledger/ledger-prove.ts';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import { ledgerStats } from '../../src/cli/ledger/ledger-stats.ts';
import { ledgerVerify } from '../../src/cli/ledger/ledger-verify.ts';
import { task } from '../../src/cli/task/task.ts';
import type { EvidenceReport } from '../../src/tools/evidence/report.ts';
import { recordFilesIn } from '../../src/authority/records/record-files.ts';
import { readLog } from '../../src/core/ledger/log/log-reader.ts';
import { recordBytesIn } from '../../src/core/ledger/proof/leaf.ts';
import { must, mustFind } from '../builders/must.ts';
import { testFolders } from '../builders/test-folders.ts';
import { mustOpen } from '../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../builders/task.ts';
import { sidecarId } from '../authority/records/receivers.ts';
import { mustOpenLog, settingsIn } from '../core/ledger/log/logs.ts';
import { independentExit } from '../verifier/independent.ts';
import { ran } from './ledgers.ts';
import { receivedFleet } from './received-fleet.ts';

const folder = testFolders();

let whole: Awaited<ReturnType<typeof receivedFleet>>;
beforeAll(async () => {
  whole = await receivedFleet(folder);
});

/** A copy of the received records whose files are changed. */
function changed(change: (text: string) => string): string {
  const copy = folder();
  cpSync(whole.records, copy, { recursive: true });
  for (const file of recordFilesIn(copy)) writeFileSync(file, change(readFileSync(file, 'utf8')));
  return copy;
}

/** Received records in which the head of the first section has one member changed, in as many bytes. */
const changedHead = (change: (head: Record<string, unknown>) => void): string =>
  changed((text) => {
    const [first = '', ...rest] = text.split('\n');
    const head = JSON.parse(first) as Record<string, unknown>;
    change(head);
    return [JSON.stringify(head), ...rest].join('\n');
  });

/** Issue 37, point 3: a way to change each member of the head of a section, and whether that is found. */
const heads: Readonly<Record<string, readonly [value: unknown, isFound: boolean]>> = {
  origin: ['remit.acme.test/tools-8/00000000000000000000000000000000', true],
  id: ['spiffe://acme.test/ns/tools/sa/other', true],
  verifierKey: ['remit.acme.test/tools-8/00000000000000000000000000000000+00000000+x', true],
  // Only sections of another term are compared by it.
  term: [7, false],
  tree: [Buffer.from('0000000000000000').toString('base64'), true],
  last: [Buffer.alloc(32).toString('base64'), true],
  from: [1, true],
  leaves: [1, true],
  bytes: [10, true],
  // Without them the ledger of the authority still has its own.
  checkpoints: [['remit.acme.test/tools-8/x\n1\nAAAA\n\n— x AAAA\n'], true],
};

/** The lines without the sections of one log. */
function withoutSections(text: string, origin: string): string {
  const lines = text.trimEnd().split('\n');
  const kept: string[] = [];
  for (let at = 0; at < lines.length;) {
    const head = JSON.parse(lines[at] ?? '') as { readonly origin: string; readonly leaves: number };
    if (head.origin !== origin) kept.push(...lines.slice(at, at + 1 + head.leaves));
    at += 1 + head.leaves;
  }
  return kept.map((line) => `${line}\n`).join('');
}

/** Verifies the received records of a folder, and has the verifier in Go find the same. */
async function verify(received: string) {
  const { key, ledger } = whole;
  const found = await ran(ledgerVerify, '--key', key, '--ledger', ledger, '--received', received);
  expect(independentExit({ key, folder: ledger, received }, found.exit)).toBe(found.exit);
  return found;
}

/** The block of one log in the output. */
const blockOf = (out: string, name: string): string =>
  out.split('\n\n').find((block) => block.includes(`received   ${whole.origins[name]}`)) ?? '';

const query = (...args: readonly string[]) =>
  ran(ledgerQuery, '--ledger', whole.ledger, '--received', whole.records, ...args);

const usesIn = (out: string): readonly unknown[] =>
  (JSON.parse(out) as { readonly records: readonly { readonly decisionId: string }[] }).records.map(
    ({ decisionId }) => decisionId,
  );

const prove = async (id: string): Promise<string> => {
  const file = join(folder(), 'proof');
  const { exit, err } = await ran(
    ledgerProve,
    id,
    '--ledger',
    whole.ledger,
    '--received',
    whole.records,
    '--out',
    file,
  );
  expect([exit, err]).toEqual([0, '']);
  return file;
};

describe('remit ledger verify --received', () => {
  it('verifies each log with the key of the authority alone, and names a killed sidecar as lost', async () => {
    const { exit, out } = await verify(whole.records);
    expect(exit).toBe(0);
    expect(blockOf(out, 'left')).toContain('state      left with all of its records, recorded at');
    expect(blockOf(out, 'left')).toContain('counted    6 anchored, 6 received, 0 missing');
    const killed = blockOf(out, 'killed');
    expect(killed).toContain(`sidecar    ${sidecarId}`);
    expect(killed).toContain('state      LOST: it may have made records that were never received, recorded at');
    expect(killed).toContain('counted    7 anchored, 7 received, 0 missing\nrecords    7\nanchored   1 to 7\n');
    expect(blockOf(out, 'open')).toContain('state      open');
  });

  it.each([
    ['open', 6],
    ['left', 6],
    ['killed', 7],
  ])('finds that all records of the log `%s` are missing', async (name, size) => {
    const received = changed((text) => withoutSections(text, whole.origins[name] ?? ''));
    const { exit, out } = await verify(received);
    expect(exit).toBe(3);
    expect(blockOf(out, name)).toContain(`counted    ${size} anchored, 0 received, ${size} missing`);
    expect(blockOf(out, name)).toContain('verdict    BROKEN');
  });

  it('finds that the last record of a lost sidecar, which no checkpoint covers, is missing', async () => {
    const received = changed((text) => {
      const lines = text.split('\n');
      const at = lines.findIndex(
        (line) => line.startsWith(`{"origin":"${whole.origins['killed']}"`) && line.includes('"from":6'),
      );
      return lines.toSpliced(at, 2).join('\n');
    });
    const { exit, out } = await verify(received);
    expect(exit).toBe(3);
    expect(blockOf(out, 'killed')).toContain(
      'verdict    BROKEN: the log ends at 6, the ledger of the authority says that 7 records are kept',
    );
  });

  it('finds a change of any line of the files', async () => {
    const lines = recordFilesIn(whole.records).flatMap((file) => readFileSync(file, 'utf8').trimEnd().split('\n'));
    for (const line of lines) {
      const other = line.replace(/"(?:decision|from)":(?:"allow"|"deny"|\d+)/, (found) =>
        found.includes('from') ? '"from":3' : found.includes('allow') ? '"decision":"deny"' : '"decision":"allow"',
      );
      const received = changed((text) => text.replace(line, other === line ? line.replace(/\d/, 'x') : other));
      expect([line, (await verify(received)).exit]).toEqual([line, 3]);
    }
  });

  it('finds a log that the authority does not name', async () => {
    const other = await receivedFleet(folder);
    const received = changed((text) => text);
    for (const [index, file] of recordFilesIn(other.records).entries()) {
      cpSync(file, join(received, `records-000000000000900${index}-00000000.jsonl`));
    }
    const { exit, out } = await verify(received);
    expect(exit).toBe(3);
    expect(out).toContain('BROKEN: the ledger of the authority does not name this log');
  });

  it('finds that the whole folder is gone', async () => {
    const received = folder();
    rmSync(received, { recursive: true });
    expect((await verify(received)).exit).toBe(3);
  });
});

describe('remit ledger query --received', () => {
  it('finds records of the ledger and of all sidecars by time', async () => {
    const { out } = await query('--kind', 'use', '--json', '--oldest-first');
    const found = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly log?: string; readonly decisionId: string });
    const uses = [1, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 30, 31, 32, 33, 34, 99];
    expect(found.map(({ decisionId }) => decisionId)).toEqual(uses.map((n) => `use-${n}`));
    expect([found[0]?.log, found[1]?.log]).toEqual([undefined, whole.origins['left']]);
  });

  it('shows the log before the number, and tells if there are more', async () => {
    const { out, err } = await query('--kind', 'use', '--limit', '2');
    const epoch = whole.origins['killed']?.split('/')[2]?.slice(0, 8);
    expect(out).toMatch(new RegExp(`^RECORD .*\ntools-7/${epoch}:7 `));
    expect(out.trimEnd().split('\n')).toHaveLength(3);
    expect(err).toContain('the last 2 are shown');
  });

  it.each([
    ['--decision-id', 'use-23', 1],
    ['--decision', 'deny', 4],
    ['--reason', 'policy.forbidden', 4],
    ['--agent', 'spiffe://acme.test/nobody', 0],
  ])('filters by %s', async (option, value, count) => {
    const { out } = await query(option, value, '--json');
    expect(out.split('\n').filter((line) => line.startsWith('{'))).toHaveLength(count);
  });
});

/** What three commands exit with and say on standard error, of damaged records. */
const warned = async (received: string) => {
  const asked = ['--ledger', whole.ledger, '--received', received, '--kind', 'use'];
  const found = [await ran(ledgerQuery, ...asked), await ran(ledgerQuery, ...asked, '--count')];
  return [...found, await ran(ledgerStats, ...asked)].map(({ exit, err }) => [exit, err]);
};

describe('remit ledger query and stats of received records that are damaged', () => {
  it('say which file is damaged, and that records may be missing', async () => {
    const said =
      /^remit ledger (?:query|stats): `.*` is damaged at byte \d+: it .*: records may be missing: run `remit ledger verify`$/m;
    const expected = [0, expect.stringMatching(said)];
    const damaged = changed((text) => `${text}{"no":"head"}\n`);
    expect(await warned(damaged)).toEqual([expected, expected, expected]);
    expect(await warned(whole.records)).toEqual([
      [0, ''],
      [0, ''],
      [0, ''],
    ]);
  });

  it('say which record cannot be read', async () => {
    const said =
      /^remit ledger (?:query|stats): record 1 of `remit\.acme\.test\/tools-7\/\S+` in `.*` .*: records may be missing: run /;
    const expected = [0, expect.stringMatching(said)];
    expect(await warned(changed((text) => text.replace('"kind":"use"', '"kind":"use ')))).toEqual([
      expected,
      expected,
      expected,
    ]);
  });
});

describe('remit task show --received', () => {
  it('shows the uses of a task at all sidecars by time', async () => {
    const state = join(folder(), 'state.db');
    const store = mustOpen(state);
    must(store.insertTask(taskNumber(21), tokenNumber(21), []));
    const args = ['show', taskNumber(21).id, '--state', state, '--ledger', whole.ledger, '--json'];
    const alone = await ran(task, ...args);
    const both = await ran(task, ...args, '--received', whole.records);
    store.close();
    expect([usesIn(alone.out), usesIn(both.out)]).toEqual([[], ['use-21']]);
  });
});

const report = (received: string, ...more: readonly string[]) => {
  const of = ['--key', whole.key, '--ledger', whole.ledger, '--received', received];
  return ran(ledgerEvidence, '--framework', 'csf-2.0', '--from', '2020-01-01', ...of, ...more);
};
const reported = async (received: string, ...more: readonly string[]) => {
  const { exit, out } = await report(received, '--format', 'json', ...more);
  return { exit, report: JSON.parse(out) as EvidenceReport };
};
const usesOf = ({ classes }: EvidenceReport): number => classes.find(({ id }) => id === 'E1')?.count ?? 0;

describe('remit ledger evidence --received', () => {
  it('counts the uses of all sidecars with those of the ledger, and names the use that is lost', async () => {
    const { exit, report: found } = await reported(whole.records);
    expect([exit, usesOf(found)]).toEqual([0, 17]);
    expect(new Map(found.received?.map(({ origin, state, counted }) => [origin, [state, counted]]))).toEqual(
      new Map([
        [whole.origins['left'], ['left', [{ from: 1, to: 6 }]]],
        [whole.origins['killed'], ['lost', [{ from: 1, to: 7 }]]],
        [whole.origins['open'], ['open', [{ from: 1, to: 6 }]]],
      ]),
    );
    const { out } = await report(whole.records);
    expect(out).toContain(`| ${whole.origins['killed']} |`);
    expect(out).toContain('LOST: what it had not sent is gone | 1 to 7 | 0 | 0 | whole |');
  });

  it('draws records of sidecars too, each with a proof for the key of the authority alone', async () => {
    const { report: found } = await reported(whole.records, '--sample', '5', '--seed', 'auditor');
    const drawn = found.sample.filter(({ ref }) => typeof ref === 'string');
    expect(drawn.length).toBeGreaterThan(5);
    const proved = drawn.filter(({ proof }) => proof !== null);
    // Only the last record of the sidecar that was killed is under no checkpoint.
    expect(drawn.length - proved.length).toBeLessThanOrEqual(1);
    for (const { ref, proof } of proved) {
      const file = join(folder(), 'proof');
      writeFileSync(file, proof ?? '');
      const { exit, out } = await ran(ledgerCheckProof, file, '--key', whole.key, '--json');
      expect([exit, JSON.parse(out)]).toMatchObject([0, { leaf: { seq: Number(String(ref).split('#')[1]) } }]);
    }
    expect((await reported(whole.records, '--sample', '5', '--seed', 'auditor')).report.sample).toEqual(found.sample);
  });

  it('counts nothing of a log that only records after the last checkpoint of the ledger name', async () => {
    const other = await receivedFleet(folder);
    const received = changed((text) => text);
    for (const [index, file] of recordFilesIn(other.records).entries()) {
      cpSync(file, join(received, `records-000000000000900${index}-00000000.jsonl`));
    }
    const ledger = join(folder(), 'ledger');
    cpSync(whole.ledger, ledger, { recursive: true });
    // Without a checkpoint, this is what anybody can append who can write the files.
    const settings = { ...settingsIn(join(whole.ledger, '..')), folder: ledger, checkpointFile: null };
    const log = mustOpenLog(settings);
    const named = mustFind(
      readLog(other.ledger, (reader) => [...reader.found({ kind: 'emitter' }, { isNewestFirst: false })]),
    );
    must(
      log.append(
        named.map(({ bytes }) => ({ bytes: recordBytesIn(bytes), outbox: null })),
        'none',
      ),
    );
    const asked = ['--key', whole.key, '--ledger', ledger, '--received', received, '--format', 'json'];
    const { exit, out } = await ran(ledgerEvidence, '--framework', 'csf-2.0', '--from', '2020-01-01', ...asked);
    log.close();
    const found = JSON.parse(out) as EvidenceReport;
    expect([exit, usesOf(found)]).toEqual([0, 17]);
    const counted = found.received?.flatMap((each) => (each.counted.length === 0 ? [] : [each.origin]));
    expect(counted?.toSorted()).toEqual(Object.values(whole.origins).toSorted());
    expect(found.received).toHaveLength(6);
  });

  it('counts nothing of a log that was cut, says what is missing, and exits with 1', async () => {
    const cut = changed((text) => withoutSections(text, whole.origins['left'] ?? ''));
    const { exit, report: found } = await reported(cut);
    expect([exit, usesOf(found)]).toEqual([1, 12]);
    expect(found.received?.find(({ origin }) => origin === whole.origins['left'])).toMatchObject({
      missing: 6,
      counted: [],
      verdict: { kind: 'broken' },
    });
  });
});

describe('remit ledger prove --received', () => {
  it('proves a use of a sidecar to anybody who has the key of the authority', async () => {
    const proof = await prove('use-21');
    const { exit, out } = await ran(ledgerCheckProof, proof, '--key', whole.key);
    expect(exit).toBe(0);
    expect(out).toContain(`proved    record 2 of \`${whole.origins['killed']}\``);
    expect(out).toContain('received  by an authority, whose record');
    expect(out).toContain('"decisionId": "use-21"');
  });

  it.each([
    ['a record that is changed', (text: string): string => text.replace('extra ey', 'extra eA')],
    [
      'without the proof of the key',
      (text: string): string => text.slice(0, text.lastIndexOf('\nc2sp.org/tlog-proof@v1')),
    ],
    [
      'whose two proofs are exchanged',
      (text: string): string => {
        const at = text.lastIndexOf('\nc2sp.org/tlog-proof@v1');
        return `${text.slice(at + 1)}\n${text.slice(0, at)}`;
      },
    ],
  ])('is refused %s', async (_case, change) => {
    const proof = await prove('use-21');
    writeFileSync(proof, change(readFileSync(proof, 'utf8')));
    expect((await ran(ledgerCheckProof, proof, '--key', whole.key)).exit).toBe(1);
  });

  it('says that there is no such record', async () => {
    const args = ['use-77', '--ledger', whole.ledger, '--received', whole.records];
    expect(await ran(ledgerProve, ...args)).toMatchObject({
      exit: 1,
      err: expect.stringContaining('no record of this decision'),
    });
  });
});

const headIn = (text: string) => JSON.parse(text.slice(0, text.indexOf('\n'))) as Record<string, unknown>;

describe('the head of a section of received records', () => {
  it('has a row for each of its members', () => {
    const [file = ''] = recordFilesIn(whole.records);
    expect(Object.keys(heads).toSorted()).toEqual(Object.keys(headIn(readFileSync(file, 'utf8'))).toSorted());
  });

  it.each(Object.entries(heads))('%s changed: found if anything depends on it', async (name, [value, isFound]) => {
    const before = await verify(whole.records);
    const { exit, out } = await verify(changedHead((head) => Object.assign(head, { [name]: value })));
    expect([name, exit === 3, out.includes('BROKEN')]).toEqual([name, isFound, isFound]);
    expect(before.out).not.toContain('BROKEN');
  });
});

import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { packText, sectionsFrom } from '../../../src/authority/records/pack.ts';
import type { Section } from '../../../src/authority/records/pack.ts';
import { indexReceived } from '../../../src/authority/records/received-index.ts';
import { ledgerStats } from '../../../src/cli/ledger/ledger-stats.ts';
import { signedCheckpoint } from '../../../src/core/ledger/proof/checkpoint.ts';
import { appended, emptyRange } from '../../../src/core/ledger/proof/compact-range.ts';
import { leafHash, rootOf } from '../../../src/core/ledger/proof/merkle.ts';
import { RecordStats } from '../../../src/core/ledger/search/record-stats.ts';
import { commandRun } from '../../builders/command-run.ts';
import { mustFind } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { privateKeyOf } from '../../core/ledger/keys.ts';
import { receivedFleet } from '../received-fleet.ts';

/** Statistics over the records of sidecars, which are kept up to the last checkpoint of each log. */

const folder = testFolders();

let fleet: Awaited<ReturnType<typeof receivedFleet>>;
let cache = '';
beforeEach(async () => {
  fleet = await receivedFleet(folder);
  cache = join(folder(), 'cache');
});

const stats = (...args: readonly string[]) =>
  commandRun(ledgerStats, ['--ledger', fleet.ledger, '--received', fleet.records, '--json', ...args], {
    environment: { XDG_CACHE_HOME: cache },
  });

interface Kept {
  readonly heads: { origin: string; before: number; size: number; root: string; tree: string }[];
  readonly state: { readonly all: number; readonly groups: { count: number }[] };
}

/** The kept file of received records, which has `heads`. */
function keptFile(): { readonly path: string; readonly kept: Kept } {
  const paths = readdirSync(join(cache, 'remit')).map((name) => join(cache, 'remit', name));
  const path = mustFind(paths.find((each) => readFileSync(each, 'utf8').startsWith('{"heads"')));
  return { path, kept: JSON.parse(readFileSync(path, 'utf8')) as Kept };
}

/** Makes the kept count of the first group recognisable, so that it shows whether it was used. */
function falsify(change: (kept: Kept) => void = () => undefined): void {
  const { path, kept } = keptFile();
  for (const group of kept.state.groups.slice(0, 1)) group.count = 1_000;
  change(kept);
  writeFileSync(path, JSON.stringify(kept));
}

const BY = ['--by', 'kind,decision'];
const isUsed = async (): Promise<boolean> => (await stats(...BY)).out.some((line) => /"count":100\d/.test(line));

const fileOf = (name: string): string =>
  mustFind(
    readdirSync(fleet.records)
      .filter((each) => each.endsWith('.jsonl'))
      .map((each) => join(fleet.records, each))
      .find((path) => readFileSync(path, 'utf8').includes(fleet.origins[name] ?? 'none')),
  );

/** The sections of a file. */
const sectionsOf = (path: string): readonly Section[] => sectionsFrom(readFileSync(path)).sections;

describe('remit ledger stats --received', () => {
  it('counts the same with what is kept as without, and keeps each log up to its last checkpoint', async () => {
    for (const asked of [BY, ['--by', 'agent', '--kind', 'use'], ['--by', 'action', '--every', '1h']]) {
      const honest = await stats(...asked, '--no-cache');
      expect([await stats(...asked), await stats(...asked)]).toEqual([honest, honest]);
      expect(honest).toMatchObject({ code: 0, err: [] });
    }
    const { kept } = keptFile();
    // Each log has five uses and a checkpoint; the sidecar that was killed has a record after it.
    expect(new Set(kept.heads.map(({ origin, size }) => [origin, size].join(' ')))).toEqual(
      new Set(Object.values(fleet.origins).map((origin) => `${origin} 6`)),
    );
  });

  it('reads only what follows what is kept', async () => {
    await stats(...BY);
    expect(await isUsed()).toBe(false);
    falsify();
    expect(await isUsed()).toBe(true);
    expect((await stats(...BY, '--no-cache')).out.join()).not.toContain('"count":100');
  });

  it.each<readonly [string, (head: Kept['heads'][number]) => void]>([
    ['another root', (head) => void (head.root = `${'A'.repeat(43)}=`)],
    ['another tree', (head) => void (head.tree = head.tree.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')))],
    ['other oldest records', (head) => void (head.before = 1)],
    ['a size without a checkpoint', (head) => void (head.size = 5)],
    ['another log', (head) => void (head.origin = 'remit.acme.test/none')],
  ])('counts anew if what is kept is of %s', async (_what, change) => {
    await stats(...BY);
    falsify(({ heads }) => heads.slice(0, 1).forEach(change));
    expect(await isUsed()).toBe(false);
  });

  it('keeps nothing of a log whose records are not those of its checkpoint, and all of the others', async () => {
    const honest = await stats('--by', 'decision', '--kind', 'use', '--no-cache');
    const path = fileOf('open');
    const text = readFileSync(path, 'utf8');
    const at = text.indexOf(fleet.origins['open'] ?? 'none');
    const changed = text.slice(0, at) + text.slice(at).replace('"method":"GET"', '"method":"PUT"');
    expect(changed).not.toBe(text);
    writeFileSync(path, changed);
    await stats('--by', 'method');
    const { left = '', killed = '' } = fleet.origins;
    expect(new Set(keptFile().kept.heads.map(({ origin }) => origin))).toEqual(new Set([left, killed]));
    expect((await stats('--by', 'method')).out.join()).toContain('"method":"PUT"');
    // Of the changed copy nothing is left.
    writeFileSync(path, text);
    expect(await stats('--by', 'method')).toEqual(await stats('--by', 'method', '--no-cache'));
    expect(await stats('--by', 'decision', '--kind', 'use')).toEqual(honest);
  });

  it('warns of a record that cannot be read, and keeps nothing of its log', async () => {
    const path = fileOf('open');
    const text = readFileSync(path, 'utf8');
    const at = text.indexOf(fleet.origins['open'] ?? 'none');
    const line = text.indexOf('{"boot"', at);
    writeFileSync(path, `${text.slice(0, line)}!${text.slice(line + 1)}`);
    const { err } = await stats(...BY);
    expect(err.join('\n')).toContain(`of \`${fleet.origins['open']}\` `);
    expect(keptFile().kept.heads).toHaveLength(2);
    expect((await stats(...BY)).err).toEqual(err);
  });

  it('warns each time of a record that its checkpoint covers and nobody can read', async () => {
    const [section] = sectionsOf(fileOf('open'));
    const leaf = Buffer.from('{}');
    const origin = 'remit.acme.test/tools/0000000000000000000000000000000d';
    const root = rootOf(appended(emptyRange, leafHash(leaf)).nodes);
    const note = signedCheckpoint({ origin, size: 1, root }, privateKeyOf(Buffer.alloc(32, 9)));
    const odd = { ...mustFind(section), origin, from: 0, leaves: [leaf], checkpoints: [note] };
    appendFileSync(fileOf('open'), packText([odd]));
    const { err } = await stats(...BY);
    expect(err).toEqual([expect.stringContaining(`record 1 of \`${origin}\` `)]);
    expect(keptFile().kept.heads).toHaveLength(3);
    expect((await stats(...BY)).err).toEqual(err);
  });

  it('warns each time of a damaged file, also if an index has its records', async () => {
    indexReceived(fleet.records, { suffix: 'a', packRecords: 6 });
    const path = fileOf('open');
    writeFileSync(path, `!${readFileSync(path, 'utf8').slice(1)}`);
    const { err } = await stats(...BY);
    expect(err).toEqual([expect.stringContaining(`\`${path}\` is damaged at byte 0: it is not JSON`)]);
    expect((await stats(...BY)).err).toEqual(err);
  });

  it.each<readonly [string, (section: Section) => readonly Section[], string]>([
    [
      'between two sections',
      (section) => [
        { ...section, leaves: section.leaves.slice(0, 1), checkpoints: [] },
        { ...section, from: 3, leaves: section.leaves.slice(3) },
      ],
      'records 2 to 3',
    ],
    // The head goes on saying six, as changed below.
    ['at the end', (section) => [{ ...section, leaves: section.leaves.slice(0, 5) }], 'records 6 to 6'],
  ])('warns each time of records that are missing %s', async (_where, change, which) => {
    const path = fileOf('left');
    const origin = fleet.origins['left'] ?? 'none';
    const isIt = (section: Section): boolean => section.origin === origin && section.from === 0;
    const sections = sectionsOf(path).flatMap((section) => (isIt(section) ? change(section) : [section]));
    writeFileSync(path, packText(sections).toString('utf8').replace('"leaves":5', '"leaves":6'));
    const { err } = await stats(...BY);
    expect(err).toEqual([expect.stringContaining(`${which} of \`${origin}\` are missing`)]);
    expect((await stats(...BY)).err).toEqual(err);
  });

  it('goes by an index if the question can, and keeps nothing then', async () => {
    indexReceived(fleet.records, { suffix: 'a', packRecords: 6 });
    const asked = ['--by', 'kind', '--action', 'payments.read'];
    const found = await stats(...asked);
    expect(found).toEqual(await stats(...asked, '--no-cache'));
    expect(() => keptFile()).toThrow('expected a result');
  });

  it('counts anew what an unreadable file keeps', async () => {
    const honest = await stats(...BY);
    const { path } = keptFile();
    for (const text of ['', '{}', '{"heads":[],"state":1}', 'null']) {
      writeFileSync(path, text);
      expect(await stats(...BY)).toEqual(honest);
    }
    rmSync(path);
    expect(await stats(...BY)).toEqual(honest);
  });
});

const amounting = (n: number, kind: string) => ({ kind, at: n, args: { amount: `${n}.5` } });

describe('RecordStats', () => {
  it('adds up what was counted apart', () => {
    const of = { by: ['kind'], everyMs: null, sums: ['amount'] } as const;
    const [one, other, both] = [new RecordStats(of), new RecordStats(of), new RecordStats(of)];
    for (const [n, kind] of [
      [3, 'use'],
      [1, 'use'],
      [2, 'end'],
    ] as const) {
      (n === 1 ? one : other).add(amounting(n, kind));
      both.add(amounting(n, kind));
    }
    one.merge(other.state());
    expect(one.state()).toEqual(both.state());
  });
});

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { cosignaturesOn } from '../../../../src/core/ledger/proof/cosignature.ts';
import { visitWitness } from '../../../../src/serve/ledger/witness/witness-visit.ts';
import type { WitnessState } from '../../../../src/serve/ledger/witness/witness-visit.ts';
import { pauseMs } from '../../../../src/serve/ledger/witness/witness-pause.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { addUse, diskLedger } from '../../../cli/ledgers.ts';
import { mustOpenLog, portsAt } from '../../../core/ledger/log/logs.ts';
import { cosignatureLine, witnessNumber } from '../../../core/ledger/proof/witnesses.ts';
import { WitnessServer, type Answer } from './witness-server.ts';

const folder = testFolders();
const servers: WitnessServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

const started = async (key: string): Promise<WitnessServer> => {
  const server = await WitnessServer.start(key);
  servers.push(server);
  return server;
};

/** A visit, with the notes that it kept. */
async function visit(
  { witness }: WitnessServer,
  at: string,
  { known = null, signal = AbortSignal.timeout(30_000) }: { known?: number | null; signal?: AbortSignal } = {},
): Promise<{ readonly state: WitnessState; readonly kept: readonly string[] }> {
  const kept: string[] = [];
  const state = await visitWitness(witness, known, { folder: at, keep: (note) => void kept.push(note), signal });
  return { state, kept };
}

const foreign = ({ note }: { readonly note: string }): Answer => ({
  status: 200,
  body: cosignatureLine(witnessNumber(2), note.slice(0, note.indexOf('\n\n') + 1), 1),
});
const impostor = ({ note }: { readonly note: string }): Answer => ({
  status: 200,
  body: cosignatureLine(
    { key: witnessNumber(1).key, privateKey: witnessNumber(2).privateKey },
    note.slice(0, note.indexOf('\n\n') + 1),
    1,
  ),
});

const full = (): never => {
  throw Object.assign(new Error('full'), { code: 'ENOSPC' });
};

const pauseAfter = (failures: number, random: number) => pauseMs('behind', { failures, everyMs: 60_000, random });

describe('visitWitness', () => {
  it('has the last checkpoint cosigned, and keeps it with the cosignature', async () => {
    const ledger = diskLedger(folder(), 9);
    const server = await started(ledger.key);
    const { state, kept } = await visit(server, ledger.folder);
    expect(state).toEqual({ kind: 'cosigned', size: 12 });
    expect(kept.map((note) => cosignaturesOn(note, [server.witness.key]))).toEqual([
      [{ witness: server.witness.key, atSeconds: 1_800_000_000 }],
    ]);
    expect(server.asked).toEqual([0]);
    // Nothing is new, so nothing is asked.
    expect(await visit(server, ledger.folder, { known: 12 })).toEqual({ state, kept: [] });
    expect(server.asked).toEqual([0]);
  });

  it('goes on from where the witness stands, also if that was not known', async () => {
    const ledger = diskLedger(folder(), 9, { isClosed: false });
    const server = await started(ledger.key);
    await visit(server, ledger.folder);
    for (let n = 10; n <= 14; n++) addUse(ledger.log, n);
    ledger.log.close();
    expect((await visit(server, ledger.folder)).state).toEqual({ kind: 'cosigned', size: 18 });
    expect(server.asked).toEqual([0, 0, 12]);
  });

  it('is told of a ledger that was put back from a copy, and of that which goes on beyond it', async () => {
    const ledger = diskLedger(folder(), 9, { isClosed: false });
    const copy = join(folder(), 'ledger');
    cpSync(ledger.folder, copy, { recursive: true });
    for (let n = 10; n <= 14; n++) addUse(ledger.log, n);
    ledger.log.close();
    const server = await started(ledger.key);
    await visit(server, ledger.folder);

    const { state, kept } = await visit(server, copy);
    expect(state).toEqual({
      kind: 'contradicts',
      size: 18,
      problem:
        'it has cosigned 18 records, and the last checkpoint here has 12: the ledger was put back from a copy, or is continued elsewhere',
    });
    expect(kept).toEqual([]);
    // The copy grows beyond: another history.
    const log = mustOpenLog({ ...ledger.settings, folder: copy, checkpointFile: null }, portsAt(1_800_000_000_000));
    for (let n = 30; n <= 50; n++) addUse(log, n);
    log.close();
    expect((await visit(server, copy)).state).toEqual({
      kind: 'contradicts',
      size: 18,
      problem:
        'it has cosigned other records than the first 18 of this ledger: they were rewritten, or there are two of it',
    });
    expect(server.size).toBe(18);
  });

  it('is told of another root of the same size', async () => {
    const ledger = diskLedger(folder(), 9);
    const server = await started(ledger.key);
    await visit(server, ledger.folder);
    server.root = Buffer.alloc(32);
    expect((await visit(server, ledger.folder)).state).toMatchObject({
      kind: 'contradicts',
      problem: expect.stringContaining('the first 12 of this ledger'),
    });
  });

  const ledger = diskLedger(folder(), 9);
  it.each<[string, WitnessServer['instead'], RegExp]>([
    ['a cosignature of another key', foreign, /answers without a cosignature of `witness\.test\/w1\+[0-9a-f]{8}`/],
    ['a wrong cosignature', impostor, /has a wrong cosignature of `witness\.test\/w1/],
    ['an error', () => ({ status: 500, body: '' }), /^it answers with status 500$/],
    ['a redirect', () => ({ status: 307, headers: { location: 'http://127.0.0.1:1/' }, body: '' }), /status 307/],
    ['an unknown ledger', () => ({ status: 404, body: '' }), /^it does not know this ledger or its key: give it/],
    ['too much', () => ({ status: 200, body: 'x'.repeat(65_537) }), /^it answers with too much/],
    ['a compressed answer', () => ({ status: 200, headers: { 'content-encoding': 'gzip' }, body: '' }), /compressed/],
    [
      'where it was asked from, again and again',
      ({ old }) => ({ status: 409, headers: { 'content-type': 'text/x.tlog.size' }, body: `${old}\n` }),
      /^it answers that it stands at 0, from where it was asked$/,
    ],
  ])('keeps nothing of %s', async (_name, instead, says) => {
    const server = await started(ledger.key);
    server.instead = instead;
    expect(await visit(server, ledger.folder)).toEqual({
      state: { kind: 'behind', size: 0, problem: expect.stringMatching(says) },
      kept: [],
    });
    expect(server.asked).toEqual([0]);
  });

  it('gives up a witness that stands now here, now there', async () => {
    const server = await started(ledger.key);
    let at = 0;
    server.instead = () => {
      at = at === 4 ? 8 : 4;
      return { status: 409, headers: { 'content-type': 'text/x.tlog.size' }, body: `${at}\n` };
    };
    expect((await visit(server, ledger.folder)).state).toMatchObject({ kind: 'behind' });
    expect(server.asked.length).toBe(100);
  });

  it('is behind while the witness is away, hangs, or its cosignature cannot be kept', async () => {
    const server = await started(ledger.key);
    server.instead = () => {
      throw new Error('never called');
    };
    const away = { ...server.witness, url: 'http://127.0.0.1:1' };
    expect(
      await visitWitness(away, null, {
        folder: ledger.folder,
        keep: () => undefined,
        signal: AbortSignal.timeout(30_000),
      }),
    ).toEqual({ kind: 'behind', size: 0, problem: 'it cannot be asked: ECONNREFUSED' });
    expect((await visit(server, ledger.folder, { signal: AbortSignal.abort() })).state).toMatchObject({
      kind: 'behind',
      problem: expect.stringMatching(/^it cannot be asked: /),
    });
    server.instead = null;
    expect(
      await visitWitness(server.witness, null, {
        folder: ledger.folder,
        keep: full,
        signal: AbortSignal.timeout(30_000),
      }),
    ).toEqual({ kind: 'behind', size: 12, problem: 'its cosignature could not be kept: ENOSPC' });
  });
});

describe('pauseMs', () => {
  it('doubles from a second to five minutes after failures, less up to a half', () => {
    expect([1, 2, 3, 9, 10, 1_000].map((failures) => pauseAfter(failures, 0))).toEqual([
      1_000, 2_000, 4_000, 256_000, 300_000, 300_000,
    ]);
    expect([1, 2, 1_000].map((failures) => pauseAfter(failures, 255))).toEqual([500, 1_000, 150_000]);
  });

  it('is that of the configuration once cosigned, and long after a contradiction', () => {
    expect(pauseMs('cosigned', { failures: 0, everyMs: 5_000, random: 9 })).toBe(5_000);
    expect(pauseMs('contradicts', { failures: 0, everyMs: 5_000, random: 0 })).toBe(300_000);
  });
});

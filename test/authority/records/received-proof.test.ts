import { beforeAll, describe, expect, it } from '@jest/globals';
import { receivedLogsIn } from '../../../src/authority/records/received-logs.ts';
import type { ReceivedLog } from '../../../src/authority/records/received-logs.ts';
import { receivedProof } from '../../../src/authority/records/received-proof.ts';
import { provedRecord } from '../../../src/core/ledger/proof/proof-bundle.ts';
import { noteKeyFrom } from '../../../src/core/ledger/proof/note-key.ts';
import { must, mustFind } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { addRecords, authority, connected, nameOf, partFrom, sidecarLog } from './receivers.ts';

const folder = testFolders();

const PARTS = 5;
const OF_PART = 3;
/** The sizes of the log at the ends of its sections. */
const ends: number[] = [];

let log: ReceivedLog;
let key: string;
beforeAll(async () => {
  const own = await authority(folder());
  const pod = folder();
  const sidecar = sidecarLog(pod, OF_PART);
  const { stream } = await connected(own.receiver, nameOf(sidecar), sidecar.size);
  for (let part = 1, sent = 0; part <= PARTS; part++) {
    const sending = partFrom(pod, sent);
    await stream.receive(sending);
    await own.timers.pass(300);
    sent += sending.leaves.length;
    ends.push(sent);
    if (part === PARTS) break;
    addRecords(sidecar, { from: part * OF_PART + 1, to: (part + 1) * OF_PART });
    must(sidecar.checkpoint());
  }
  await stream.end(true);
  key = sidecar.verifierKey;
  sidecar.close();
  await own.close();
  log = mustFind(receivedLogsIn(own.records).logs.values().next().value);
});

/** The numbers of all records. */
const numbers = (): readonly number[] => Array.from({ length: ends.at(-1) ?? 0 }, (_, index) => index + 1);

/** The sizes after which records were read for a proof. */
function readsOf(of: ReceivedLog, seq: number): { readonly kind: string; readonly sizes: readonly number[] } {
  const sizes: number[] = [];
  const watched = { ...of, entriesAfter: (size: number) => (sizes.push(size), of.entriesAfter(size)) };
  return { kind: receivedProof(watched, seq, null).kind, sizes };
}

describe('receivedProof', () => {
  it('proves each record as if the log was read from its start', () => {
    for (const seq of numbers()) {
      const proof = receivedProof(log, seq, null);
      expect(proof).toEqual(receivedProof({ ...log, claims: [] }, seq, null));
      expect(provedRecord(proof.kind === 'proof' ? proof.text : '', must(noteKeyFrom(key)))).toMatchObject({
        leaf: { seq },
      });
    }
  });

  it('reads the section of a record, and none before', () => {
    expect(log.claims.map(({ size }) => size)).toEqual(ends);
    const [first = 0, second = 0] = ends;
    expect(readsOf(log, first)).toEqual({ kind: 'proof', sizes: [0] });
    expect(readsOf(log, first + 1)).toEqual({ kind: 'proof', sizes: [first] });
    expect(readsOf(log, second)).toEqual({ kind: 'proof', sizes: [first] });
    expect(readsOf(log, ends.at(-1) ?? 0)).toEqual({ kind: 'proof', sizes: [ends.at(-2)] });
  });

  it.each([
    ['another tree of the size', wrongTree],
    ['a tree of another size', () => wrongTree(1)],
    ['no tree', () => ''],
  ])('reads the log from its start if the head of a section claims %s', (_what, change) => {
    const claims = log.claims.map((claim) => ({ ...claim, tree: change(claim.size) }));
    for (const seq of numbers())
      expect(receivedProof({ ...log, claims }, seq, null)).toEqual(receivedProof(log, seq, null));
  });

  it('proves no record that the log does not have, or that no checkpoint covers', () => {
    expect(receivedProof(log, numbers().length + 1, null)).toEqual({ kind: 'unsigned' });
  });
});

/** A tree whose nodes are all zero. */
function wrongTree(size: number): string {
  const head = Buffer.alloc(8);
  head.writeBigUInt64BE(BigInt(size));
  const nodes = size.toString(2).replaceAll('0', '').length;
  return Buffer.concat([head, Buffer.alloc(32 * nodes)]).toString('base64');
}

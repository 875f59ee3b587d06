import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { appended, emptyRange } from '../../../../src/core/ledger/proof/compact-range.ts';
import { inclusionProof } from '../../../../src/core/ledger/proof/inclusion-proof.ts';
import { leafHash } from '../../../../src/core/ledger/proof/merkle.ts';
import { noteKeyOf } from '../../../../src/core/ledger/proof/note-key.ts';
import { proofText, provedRecord } from '../../../../src/core/ledger/proof/proof-bundle.ts';
import { privateKeyOf, publicKeyOf } from '../keys.ts';
import { headOf, logOf, origin, pinned } from '../logs.ts';

const { entries } = logOf(20);
const bytesOf = (index: number): Uint8Array => entries[index]?.bytes ?? Buffer.alloc(0);

/** The proof of one record, from the log without its first records. */
function proofOf(index: number, size: number, gone = 0): string {
  const carried = entries.slice(0, gone).reduce((range, { bytes }) => appended(range, leafHash(bytes)), emptyRange);
  const hashes = inclusionProof({ carried, leaf: (at) => leafHash(bytesOf(at)) }, index, size);
  if (hashes === null) throw new Error('no proof');
  return proofText(bytesOf(index), { index, hashes, checkpoint: headOf(entries, size) });
}

describe('provedRecord', () => {
  it('returns the record of a proof from proofText, from a whole log and a pruned log', () => {
    const cases = fc
      .integer({ min: 1, max: 20 })
      .chain((size) =>
        fc
          .integer({ min: 0, max: size - 1 })
          .chain((index) => fc.tuple(fc.constant(size), fc.constant(index), fc.integer({ min: 0, max: index }))),
      );
    fc.assert(
      fc.property(cases, ([size, index, gone]) => {
        expect(provedRecord(proofOf(index, size, gone), pinned)).toMatchObject({
          leaf: { seq: index + 1, record: { task: `task-${index + 1}` } },
          bytes: bytesOf(index),
          checkpoint: { origin, size },
        });
      }),
    );
  });

  it('refuses a proof with any character changed or removed, except if the text stays valid', () => {
    const proof = proofOf(12, 20);
    for (let at = 0; at < proof.length; at++) {
      const changed = proof.slice(0, at) + (proof[at] === 'B' ? 'C' : 'B') + proof.slice(at + 1);
      expect(provedRecord(changed, pinned)).toHaveProperty('problem');
      expect(provedRecord(proof.slice(0, at) + proof.slice(at + 1), pinned)).toHaveProperty('problem');
      expect(provedRecord(proof.slice(0, at), pinned)).toHaveProperty('problem');
    }
  });

  const proof = proofOf(12, 20);
  const lines = proof.split('\n');
  const withLine = (index: number, line: string): string => lines.with(index, line).join('\n');
  const version = 'must begin with `c2sp.org/tlog-proof@v1` and have a checkpoint';
  it.each<[string, string, string]>([
    ['nothing', '', version],
    ['another version', withLine(0, 'c2sp.org/tlog-proof@v2'), version],
    ['no checkpoint', lines.slice(0, 3).join('\n'), version],
    ['262,145 characters', proof + ' '.repeat(262_145 - proof.length), 'is longer than 262144 characters'],
    ['no bytes', withLine(1, 'extra '), 'must have the bytes of the record as its `extra`'],
    ['missing bytes', lines.toSpliced(1, 1).join('\n'), 'must have the bytes of the record as its `extra`'],
    ['a leading zero', withLine(2, 'index 012'), 'must have an `index` in decimal, without leading zeros'],
    [
      'an index beyond the checkpoint',
      withLine(2, 'index 20'),
      'does not prove the record: the index is not in the tree',
    ],
    [
      'an index that is not safe',
      withLine(2, 'index 9999999999999999'),
      'does not prove the record: the index is not in the tree',
    ],
    [
      'another record',
      withLine(1, `extra ${Buffer.from(bytesOf(3)).toString('base64')}`),
      'does not prove the record: the proof leads to another root',
    ],
    ['a hash too few', lines.toSpliced(3, 1).join('\n'), 'does not prove the record: the proof is too short'],
    ['a truncated hash', withLine(3, 'AAAA'), 'has a hash that is not 32 bytes in base64'],
    [
      '65 hashes',
      lines.toSpliced(3, 0, ...Array.from({ length: 65 }, () => lines[3] ?? '')).join('\n'),
      'has more than 64 hashes',
    ],
    ['a truncated checkpoint', proof.slice(0, -1), 'has an invalid checkpoint: it is not a signed note'],
    [
      'a record that is not a leaf',
      proofText(Buffer.from('{}'), {
        index: 0,
        hashes: [],
        checkpoint: headOf([{ seq: 1, bytes: Buffer.from('{}') }], 1),
      }),
      'has a wrong record: member `boot` is required',
    ],
  ])('refuses %s', (_name, text, problem) => {
    expect(provedRecord(text, pinned)).toEqual({ problem });
  });

  it('refuses a record at the index of another', () => {
    const tree = [...entries.slice(0, 4), ...entries.slice(3, 4)];
    const hashes = inclusionProof(
      { carried: emptyRange, leaf: (at) => leafHash(tree[at]?.bytes ?? Buffer.alloc(0)) },
      4,
      5,
    );
    const text = proofText(bytesOf(3), { index: 4, hashes: hashes ?? [], checkpoint: headOf(tree, 5) });
    expect(provedRecord(text, pinned)).toEqual({ problem: 'has record 4 at the index of record 5' });
  });

  it('refuses the proof of another log, and a proof of another key under the pinned name', () => {
    const other = noteKeyOf('remit.other.example/a/b', pinned.publicKey);
    expect(provedRecord(proof, other)).toEqual({
      problem: 'has an invalid checkpoint: it is not signed by a known key',
    });
    const forged = noteKeyOf(origin, publicKeyOf(privateKeyOf(Buffer.alloc(32, 8))));
    expect(provedRecord(proof, forged)).toEqual({
      problem: 'has an invalid checkpoint: it is not signed by a known key',
    });
  });
});

import { describe, expect, it } from '@jest/globals';
import { openedCheckpoint } from '../../../../src/core/ledger/proof/checkpoint.ts';
import { cosignaturesOn } from '../../../../src/core/ledger/proof/cosignature.ts';
import {
  noteKeyFrom,
  noteKeyText,
  witnessKeyFrom,
  witnessKeyText,
} from '../../../../src/core/ledger/proof/note-key.ts';
import { witnessedFrom } from '../../../../src/core/ledger/proof/witnessed.ts';
import { chained, headOf, origin, pinned } from '../logs.ts';
import { cosignatureLine, cosignedNote, witnessNumber } from './witnesses.ts';

const entries = chained(Array.from({ length: 9 }, (_, index) => ({ at: index, kind: 'x' })));
const note = (size: number): string => headOf(entries, size);
const [one, two, three] = [witnessNumber(1), witnessNumber(2), witnessNumber(3)] as const;
const AT = 1_800_000_000;

describe('witnessKeyFrom', () => {
  it('reads what witnessKeyText writes, and refuses each character changed', () => {
    const text = witnessKeyText(one.key);
    expect(witnessKeyFrom(text)).toMatchObject({ name: 'witness.test/w1', id: one.key.id, role: 'witness' });
    for (let index = 0; index < text.length; index++) {
      const changed = String.fromCharCode(text.charCodeAt(index) + 1);
      expect(witnessKeyFrom(text.slice(0, index) + changed + text.slice(index + 1))).toHaveProperty('problem');
    }
  });

  it('tells keys of witnesses and of logs apart', () => {
    expect(witnessKeyFrom(noteKeyText(pinned))).toEqual({
      problem: 'must be a key for cosignatures (type 4), and is the key of a log',
    });
    expect(noteKeyFrom(witnessKeyText(one.key))).toEqual({
      problem: 'must be a note key of type Ed25519, and is the key of a witness',
    });
  });
});

describe('cosignaturesOn', () => {
  it('finds those of the named witnesses alone, with their times', () => {
    const both = cosignedNote(cosignedNote(note(3), one, AT), two, AT + 1);
    expect(cosignaturesOn(both, [one.key, two.key, three.key])).toEqual([
      { witness: one.key, atSeconds: AT },
      { witness: two.key, atSeconds: AT + 1 },
    ]);
    expect(cosignaturesOn(both, [two.key])).toEqual([{ witness: two.key, atSeconds: AT + 1 }]);
    expect(cosignaturesOn(note(3), [one.key])).toEqual([]);
    // The signature of the log is read as before.
    expect(openedCheckpoint(both, pinned)).toMatchObject({ size: 3 });
  });

  it('refuses a cosignature of another time, of another checkpoint, of another key, and cut', () => {
    const line = cosignatureLine(one, note(3).slice(0, note(3).indexOf('\n\n') + 1), AT);
    const bytes = Buffer.from(line.trimEnd().split(' ')[2] ?? '', 'base64');
    const withBytes = (changed: Buffer) => `${note(3)}— ${one.key.name} ${changed.toString('base64')}\n`;
    const later = Buffer.from(bytes);
    later.writeBigUInt64BE(BigInt(AT + 1), 4);
    const farther = Buffer.from(bytes);
    farther.writeBigUInt64BE(2n ** 63n, 4);
    const impostor = { key: one.key, privateKey: two.privateKey };
    for (const wrong of [
      withBytes(later),
      withBytes(farther),
      withBytes(bytes.subarray(0, -1)),
      withBytes(Buffer.concat([bytes, Buffer.of(0)])),
      note(4) + line,
      cosignedNote(note(3), impostor, AT),
    ]) {
      expect(cosignaturesOn(wrong, [one.key])).toEqual({
        problem: `has a wrong cosignature of \`${one.key.name}+${one.key.id}\``,
      });
      expect(cosignaturesOn(wrong, [three.key])).toEqual([]);
    }
  });

  it('does not take the signature of a log for a cosignature, nor the reverse', () => {
    const asLog = note(3).replace(`— ${origin}`, `— ${one.key.name}`);
    expect(cosignaturesOn(asLog, [one.key])).toEqual([]);
  });
});

const notes = (...all: readonly string[]) => all.map((each) => ({ origin, note: each, atMs: null }));

describe('witnessedFrom', () => {
  const witnesses = [one.key, two.key, three.key];
  const reached = (quorum: number, ...all: readonly string[]) => witnessedFrom(notes(...all), { witnesses, quorum });

  it('is as far as the quorum reaches, each witness by its largest checkpoint', () => {
    const all = [
      cosignedNote(note(2), one, AT),
      cosignedNote(note(7), one, AT + 9),
      cosignedNote(note(5), two, AT + 5),
      note(9),
    ];
    for (const [quorum, size] of [
      [1, 7],
      [2, 5],
      [3, 0],
    ] as const) {
      const found = reached(quorum, ...all);
      expect(found).toMatchObject({
        size,
        reach: [
          { name: 'witness.test/w1', size: 7, atSeconds: AT + 9 },
          { name: 'witness.test/w2', size: 5, atSeconds: AT + 5 },
          { name: 'witness.test/w3', size: 0, atSeconds: null },
        ],
      });
      // What one alone has cosigned is compared too; what nobody has is not.
      expect(found).toHaveProperty('anchors.length', 3);
      expect('anchors' in found ? found.anchors.map(({ isAlone, atMs }) => [isAlone, atMs]) : []).toEqual([
        [size < 2, AT * 1_000],
        [size < 7, (AT + 9) * 1_000],
        [size < 5, (AT + 5) * 1_000],
      ]);
    }
  });

  it('is a problem if a cosignature is wrong', () => {
    const impostor = { key: two.key, privateKey: one.privateKey };
    expect(reached(1, cosignedNote(note(2), one, AT), cosignedNote(note(3), impostor, AT))).toEqual({
      problem: `a cosigned checkpoint has a wrong cosignature of \`witness.test/w2+${two.key.id}\``,
    });
  });
});

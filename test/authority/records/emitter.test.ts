import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  emitterNameFrom,
  newEmitter,
  received,
  receivedRoot,
  streamProblem,
} from '../../../src/authority/records/emitter.ts';
import type { Emitter, LogPart } from '../../../src/authority/records/emitter.ts';
import { noteKeyOf, noteKeyText } from '../../../src/core/ledger/proof/note-key.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { must } from '../../builders/must.ts';
import { privateKeyOf, publicKeyOf } from '../../core/ledger/keys.ts';
import { headOf, logKey, logOf, origin, pinned } from '../../core/ledger/logs.ts';

const id = 'spiffe://prod.example/ns/tools/sa/tools-7';
const peer = { id, trustDomain: 'prod.example' };
const name = must(emitterNameFrom({ origin, verifierKey: noteKeyText(pinned) }, peer));
const SIZE = 31;
const { entries } = logOf(SIZE);
const leaves = entries.map(({ bytes }) => bytes);
const part = (from: number, to: number, change: Partial<LogPart> = {}): LogPart => ({
  from,
  leaves: leaves.slice(from, to),
  checkpoint: '',
  ...change,
});
const after = (size: number): Emitter => must(received(newEmitter(name), part(0, size)));
const problemOf = (result: Emitter | { readonly problem: string }): string =>
  isProblem(result) ? result.problem : 'none';
const otherKey = privateKeyOf(Buffer.alloc(32, 9));

describe('emitterNameFrom', () => {
  const said = { origin, verifierKey: noteKeyText(pinned) };
  it.each([
    [
      'another trust domain',
      said,
      'other.example',
      `the log \`${origin}\` is not of the trust domain \`other.example\``,
    ],
    [
      'an origin of another form',
      { ...said, origin: 'remit.prod.example/x' },
      'prod.example',
      'the origin of a log must be `remit.<trust domain>/<name>/<epoch>`',
    ],
    [
      'a malformed key',
      { ...said, verifierKey: 'x' },
      'prod.example',
      `the verifier key of \`${origin}\` must be a note key: \`name+id+base64\` of an Ed25519 key`,
    ],
    [
      'a key of another log',
      { ...said, verifierKey: noteKeyText(noteKeyOf('other', publicKeyOf(logKey))) },
      'prod.example',
      `the verifier key of \`${origin}\` is named \`other\``,
    ],
  ])('refuses %s', (_case, what, trustDomain, problem) => {
    expect(emitterNameFrom(what, { id, trustDomain })).toEqual({ problem });
  });
});

describe('streamProblem', () => {
  it.each([
    [
      'another identity',
      { ...name, id: 'spiffe://prod.example/thief' },
      20,
      `the log \`${origin}\` belongs to \`${id}\``,
    ],
    [
      'another key',
      { ...name, key: noteKeyOf(origin, publicKeyOf(otherKey)) },
      20,
      `the log \`${origin}\` has another verifier key`,
    ],
    ['a log that shrank', name, 19, `the log \`${origin}\` shrank: it has 19 records, but 20 were received`],
  ])('names %s', (_case, who, size, problem) => {
    expect(streamProblem(after(20), who, size)).toBe(problem);
  });

  it('accepts a log that continues', () => {
    expect(streamProblem(after(20), name, 20)).toBeNull();
  });
});

describe('received', () => {
  it('accepts a log in any parts, with a checkpoint at the end of each, and knows its root', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: SIZE - 1 })), (cuts) => {
        let emitter = newEmitter(name);
        for (const to of [...cuts.toSorted((a, b) => a - b), SIZE]) {
          const from = emitter.range.size;
          emitter = must(received(emitter, part(from, to, { checkpoint: headOf(entries, to) })));
          expect([emitter.range.size, emitter.signed]).toEqual([to, to]);
        }
        expect(headOf(entries, SIZE)).toContain(`\n${receivedRoot(emitter)}\n`);
      }),
    );
  });

  it('accepts no change of a byte, whichever it is', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: SIZE - 1 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (at, place, flip) => {
          const changed = leaves.map((bytes, index) => (index === at ? Buffer.from(bytes) : bytes));
          const bytes = changed[at] ?? Buffer.alloc(0);
          bytes[place % bytes.length] = (bytes[place % bytes.length] ?? 0) ^ flip;
          const whole = { from: 0, leaves: changed, checkpoint: headOf(entries, SIZE) };
          expect(problemOf(received(newEmitter(name), whole))).not.toBe('none');
        },
      ),
    );
  });

  it.each([
    ['a gap', part(11, 20), `\`${origin}\` sent records from 12 on, expected record 11`],
    ['a repetition', part(9, 20), `\`${origin}\` sent records from 10 on, expected record 11`],
    [
      'a missing record',
      part(10, 20, { leaves: [...leaves.slice(10, 12), ...leaves.slice(13)] }),
      `record 13 of \`${origin}\` has the number 14`,
    ],
    [
      'bytes that are not a record',
      part(10, 11, { leaves: [Buffer.from('{}')] }),
      `record 11 of \`${origin}\` member \`boot\` is required`,
    ],
    ['a malformed checkpoint', part(10, 20, { checkpoint: 'x' }), `a checkpoint of \`${origin}\` is not a signed note`],
    [
      'a checkpoint of another size',
      part(10, 20, { checkpoint: headOf(entries, 19) }),
      `a checkpoint of \`${origin}\` covers 19 records, expected 20`,
    ],
    [
      'a checkpoint of another key',
      part(10, 20, { checkpoint: headOf(entries, 20, otherKey) }),
      `a checkpoint of \`${origin}\` is not signed by a known key`,
    ],
    [
      'a checkpoint over other records',
      part(10, 20, { checkpoint: headOf(entries.toReversed(), 20) }),
      `\`${origin}\` forked: its checkpoint of 20 records is not over those received`,
    ],
  ])('refuses %s', (_case, sent, problem) => {
    expect(problemOf(received(after(10), sent))).toBe(problem);
  });

  it('refuses a fork of what was received before', () => {
    const fork = { ...after(10), prev: Buffer.alloc(32, 1) };
    expect(problemOf(received(fork, part(10, 11)))).toBe(
      `\`${origin}\` forked: record 11 does not follow from the record before it`,
    );
  });
});

import { describe, expect, it } from '@jest/globals';
import { emitterHistories } from '../../../src/authority/records/emitter-history.ts';
import { noteKeyText } from '../../../src/core/ledger/proof/note-key.ts';
import { origin, pinned } from '../../core/ledger/logs.ts';

const root = Buffer.alloc(32).toString('base64');
const record = (at: number, event: string, size: number) => ({
  kind: 'emitter',
  at,
  event,
  origin,
  by: 'spiffe://prod.example/tools',
  size,
  root,
  verifierKey: event === 'joined' ? noteKeyText(pinned) : null,
  note: event === 'checkpoint' ? 'a note' : null,
});

describe('emitterHistories', () => {
  it.each([
    ['a log that joined', [record(1, 'joined', 0)], 'open', 1],
    ['a log that left', [record(1, 'joined', 0), record(2, 'checkpoint', 5), record(3, 'left', 5)], 'left', 3],
    ['a log that was lost', [record(1, 'joined', 0), record(2, 'lost', 5)], 'lost', 2],
    ['a log that returned', [record(1, 'joined', 0), record(2, 'lost', 5), record(3, 'joined', 5)], 'open', 3],
    [
      'a log that is lost for the authority that it left for another',
      [record(1, 'joined', 0), record(2, 'joined', 0), record(3, 'checkpoint', 9), record(4, 'lost', 5)],
      'open',
      2,
    ],
    [
      'a log that left at another authority than that which lost it',
      [record(1, 'joined', 0), record(2, 'joined', 0), record(3, 'left', 9), record(4, 'lost', 9)],
      'left',
      3,
    ],
    [
      'a log that goes on elsewhere, with as many records as the authority that lost it',
      [record(1, 'joined', 0), record(2, 'lost', 5), record(3, 'checkpoint', 6)],
      'open',
      3,
    ],
  ])('knows the state of %s', (_case, records, state, atMs) => {
    expect(emitterHistories(records).get(origin)).toMatchObject({ state, atMs });
  });

  it('keeps the largest size, and each checkpoint as an anchor', () => {
    const records = [record(1, 'joined', 0), record(2, 'checkpoint', 9), record(3, 'checkpoint', 5)];
    expect(emitterHistories(records).get(origin)).toMatchObject({
      kept: { size: 9 },
      anchors: [{ atMs: 2 }, { atMs: 3 }],
    });
  });

  it('skips what is malformed, of another kind, or of a log that never joined', () => {
    const records = [
      record(1, 'checkpoint', 1),
      { ...record(2, 'joined', 0), kind: 'use' },
      { ...record(3, 'joined', 0), root: 'x' },
    ];
    expect(emitterHistories([...records, { ...record(4, 'joined', 0), verifierKey: 'x' }]).size).toBe(0);
  });
});

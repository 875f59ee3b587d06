import { describe, expect, it } from '@jest/globals';
import { encodedRecord, MAX_RECORD_BYTES } from '../../../src/core/ledger/encoded-record.ts';
import { recordText } from '../../../src/core/ledger/record.ts';
import type { EndRecord } from '../../../src/core/ledger/record.ts';
import { timelineFrom } from '../../../src/core/ledger/timeline.ts';
import { allowedUse } from '../../builders/ledger-record.ts';
import { taskNumber } from '../../builders/task.ts';
import { must } from '../../builders/must.ts';

const end: EndRecord = {
  kind: 'end',
  at: 7,
  task: 't1',
  state: 'completed',
  cause: 'operator.completed',
  note: 'dönе',
  by: 'operator',
};

describe('encodedRecord', () => {
  it('returns canonical JSON with what the store needs', () => {
    const encoded = must(encodedRecord(end));
    expect(encoded).toMatchObject({ kind: 'end', at: 7, task: 't1' });
    expect(Buffer.from(encoded.bytes).toString('utf8')).toBe(
      '{"at":7,"by":"operator","cause":"operator.completed","kind":"end","note":"dönе","state":"completed","task":"t1"}',
    );
    expect(timelineFrom([{ seq: 3, bytes: encoded.bytes }])).toEqual([{ ...end, seq: 3 }]);
  });

  it.each<[string, Partial<EndRecord>, RegExp]>([
    ['a lone surrogate', { note: '\ud800' }, /^a string contains a lone surrogate$/],
    ['an instant that is not a number', { at: Number.NaN }, /^a number is not finite$/],
    [
      'more than 65,279 bytes',
      { note: 'x'.repeat(MAX_RECORD_BYTES) },
      /^the record has 65\d\d\d bytes, more than 65279$/,
    ],
  ])('refuses %s', (_name, change, problem) => {
    const encoded = encodedRecord({ ...end, ...change });
    expect('problem' in encoded && encoded.problem).toMatch(problem);
  });
});

describe('encodedRecord of a use', () => {
  it.each([
    ['allow', true],
    ['deny', false],
  ] as const)('says of an %s whether its task was used: %s', (decision, isAllowedUse) => {
    expect(allowedUse(1, 5, decision)).toMatchObject({ kind: 'use', task: taskNumber(1).id, isAllowedUse });
  });
});

describe('recordText', () => {
  it.each([
    ['keeps a short text', 'abc', 'abc'],
    ['replaces a lone surrogate', 'a\ud800', 'a\ufffd'],
  ])('%s', (_name, text, expected) => {
    expect(recordText(text)).toBe(expected);
  });

  it('truncates a long text, even within a surrogate pair, and appends the digest of the whole', () => {
    const long = `${'a'.repeat(2_047)}😀${'b'.repeat(60_000)}`;
    const cut = recordText(long);
    expect(cut.length).toBeLessThan(2_110);
    expect(cut.isWellFormed()).toBe(true);
    expect(cut).toMatch(/a\ufffd… sha-256:[A-Za-z0-9_-]{43}$/);
    expect(recordText(`${long}c`).slice(-43)).not.toBe(cut.slice(-43));
  });
});

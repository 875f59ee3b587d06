import { describe, expect, it } from '@jest/globals';
import { canonicalJson } from '../../../../src/core/ledger/canonical-json.ts';
import type { JsonValue } from '../../../../src/core/ledger/canonical-json.ts';
import { leafBytes } from '../../../../src/core/ledger/proof/leaf.ts';
import { executedIn, TooManyUnindexed } from '../../../../src/core/ledger/search/executed-calls.ts';
import { must } from '../../../builders/must.ts';

const leaf = (record: JsonValue) => ({
  bytes: must(
    leafBytes(Buffer.from(must(canonicalJson(record))), { boot: '0a'.repeat(16), mono: 1, prev: null, seq: 1 }),
  ),
});
const outcome = (decisionId: string, details = 'via_upstream') =>
  leaf({ kind: 'outcome', decision: 'allow', decisionId, details, attempts: 1 });

describe('executedIn', () => {
  it('gives the decisions of executed calls alone', () => {
    const leaves = [
      outcome('d-1'),
      outcome('d-2', 'upstream_reset'),
      leaf({ kind: 'use', decision: 'allow', decisionId: 'd-3' }),
      { bytes: Buffer.from('damaged') },
      outcome('d-1'),
    ];
    expect(executedIn(leaves)).toEqual(new Set(['d-1']));
  });

  it('keeps so many decisions at most, and names the command that makes an index', () => {
    const leaves = ['d-1', 'd-1', 'd-2'].map((id) => outcome(id));
    expect(executedIn(leaves, 2).size).toBe(2);
    expect(() => executedIn(leaves, 1)).toThrow(TooManyUnindexed);
    expect(() => executedIn(leaves, 1)).toThrow(/among at most 1 decisions without an index: run `remit ledger index`/);
  });
});

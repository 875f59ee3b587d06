import { describe, expect, it } from '@jest/globals';
import { addCheckpointText, witnessAnswerFrom } from '../../../../src/core/ledger/proof/add-checkpoint.ts';
import { chained, headOf } from '../logs.ts';
import { cosignatureLine, witnessNumber } from './witnesses.ts';

const entries = chained([{ at: 1 }, { at: 2 }, { at: 3 }]);
const note = headOf(entries, 3);
const text = note.slice(0, note.indexOf('\n\n') + 1);
const [witness, other] = [witnessNumber(1), witnessNumber(2)] as const;
const line = cosignatureLine(witness, text, 1_800_000_000);
const foreign = cosignatureLine(other, text, 1_800_000_000);

const answered = (status: number, body: string, contentType = 'text/plain; charset=utf-8') =>
  witnessAnswerFrom({ status, contentType, body }, { note, witness: witness.key });

it('addCheckpointText is the old size, the proof, an empty line and the note', () => {
  const proof = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  expect(addCheckpointText({ old: 2, proof, note })).toBe(
    `old 2\n${proof[0]?.toString('base64')}\n${proof[1]?.toString('base64')}\n\n${note}`,
  );
  expect(addCheckpointText({ old: 0, proof: [], note })).toBe(`old 0\n\n${note}`);
});

describe('witnessAnswerFrom', () => {
  it.each([
    ['its cosignature', 200, line],
    ['its cosignature after those of keys that nobody knows', 200, `${foreign}${line}`],
    [
      'a post-quantum cosignature beside it',
      200,
      `— witness.test/w1 ${Buffer.alloc(2432, 7).toString('base64')}\n${line}`,
    ],
  ])('takes %s', (_name, status, body) => {
    expect(answered(status, body)).toEqual({ kind: 'cosigned', line, atSeconds: 1_800_000_000 });
  });

  it.each<[string, readonly [number, string, string?], string]>([
    [
      'no cosignature of its key',
      [200, foreign],
      `answers without a cosignature of \`witness.test/w1+${witness.key.id}\``,
    ],
    [
      'a cosignature on another checkpoint',
      [200, cosignatureLine(witness, text.replace('\n3\n', '\n2\n'), 1_800_000_000)],
      `answers with a note that has a wrong cosignature of \`witness.test/w1+${witness.key.id}\``,
    ],
    ['nothing', [200, ''], 'answers with lines that are not signatures'],
    ['a page', [200, '<html>\n'], 'answers with lines that are not signatures'],
    ['a note of its own', [200, `x\n\n${line}`], 'answers with a note that has a line that is not a signature'],
    ['more than 16 signatures', [200, foreign.repeat(16) + line], 'answers with lines that are not signatures'],
    ['a redirect', [302, ''], 'answers with status 302'],
    ['too many requests', [429, ''], 'answers with status 429'],
    [
      'an impossible size',
      [409, '9999999999999999\n', 'text/x.tlog.size'],
      'answers with an impossible size, 9999999999999999',
    ],
  ])('refuses %s', (_name, args, problem) => {
    expect(answered(...args)).toEqual({ kind: 'failed', problem });
  });

  it.each<[string, readonly [number, string, string?], object]>([
    ['the size that it has', [409, '17\n', 'text/x.tlog.size'], { kind: 'stands-at', size: 17 }],
    ['that it has none', [409, '0\n', 'text/x.tlog.size'], { kind: 'stands-at', size: 0 }],
    ['the same size with another root', [409, 'no\n'], { kind: 'contradicts' }],
    ['a size with a leading zero', [409, '017\n', 'text/x.tlog.size'], { kind: 'contradicts' }],
    ['a proof that does not hold', [422, ''], { kind: 'contradicts' }],
    ['an unknown log', [404, ''], { kind: 'unknown-log' }],
    ['an unknown key', [403, ''], { kind: 'unknown-log' }],
  ])('understands %s', (_name, args, expected) => {
    expect(answered(...args)).toEqual(expected);
  });
});

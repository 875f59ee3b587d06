import type { TracedCheck } from '../../sidecar/check/trace/traced-check.ts';
import { STAGE_NAMES } from '../../sidecar/check/trace/stages.ts';
import { listOf, made, members, oneOf, orNull, text } from '../../core/runtime/fields.ts';
import type { Reader } from '../../core/runtime/fields.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';

/** Longest value: 2,048 characters and a digest, or an error of the same length. */
const MAX_CHARACTERS = 4_096;
const MAX_DETAILS = 64;

const words = text({ min: 0, max: MAX_CHARACTERS });
const duration: Reader<number> = (value) =>
  typeof value === 'number' && Number.isFinite(value) ? value : { problem: 'must be a number' };
const pair: Reader<readonly [string, string]> = made(listOf(words, { min: 2, max: 2 }), ([name = '', value = '']) => [
  name,
  value,
]);

const tracedCheck: Reader<TracedCheck> = members(
  {
    decisionId: words,
    traceId: orNull(words),
    atMs: duration,
    decision: oneOf(['allow', 'deny']),
    reason: orNull(words),
    totalMs: duration,
    stages: listOf(
      members(
        {
          name: oneOf(STAGE_NAMES),
          result: oneOf(['passed', 'denied', 'unused']),
          ms: orNull(duration),
          details: listOf(pair, { min: 0, max: MAX_DETAILS }),
        },
        { others: 'ignored' },
      ),
      { min: 0, max: STAGE_NAMES.length },
    ),
  },
  { others: 'ignored' },
);

/** Parses one line of `remit trace --json`. Members that a later version adds are ignored. */
export function tracedCheckLine(line: string): TracedCheck | Problem {
  try {
    const read = tracedCheck(JSON.parse(line));
    return isProblem(read) ? { problem: `not a trace: ${read.problem}` } : read;
  } catch {
    return { problem: 'not a trace: invalid JSON' };
  }
}

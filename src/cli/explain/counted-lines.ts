/** The counters of limits over all tasks that a recorded use took from, as text. */
import { leftText } from '../../core/limit/counted-limit.ts';
import type { UseRecord } from '../../core/ledger/record.ts';

/** One line for each counter, not yet passed through `printable`: ``limit `payments-a-day`, calls: 12 left``. */
export const countedLines = (limits: UseRecord['limits'] = []): readonly string[] =>
  limits.map((limit) => {
    const { id, counts } = limit;
    const left = leftText(limit);
    // Records of earlier versions do not say what was counted.
    return `limit \`${id}\`${counts === undefined ? '' : `, ${counts}`}${left === null ? '' : `: ${left}`}`;
  });

/** Compares the heads of received logs with the ledger of the authority and its folder. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { emitterHeadsIn } from '../../authority/records/emitter-file.ts';
import { headProblem } from '../../authority/records/head-verdict.ts';
import type { EmitterHistory } from '../../authority/records/emitter-history.ts';
import type { ReceivedLog } from '../../authority/records/received-logs.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';

/** What the heads are compared with: read again after each reading of the heads. */
export interface BesideHeads {
  readonly histories: ReadonlyMap<string, EmitterHistory>;
  readonly logs: ReadonlyMap<string, ReceivedLog>;
}

/** Retries: a read between two writes of a serving process sees the first write without the second. */
const LOOKS = 3;

/**
 * Problems of the files in which an authority keeps its position in each log: beside the received records, or beside its ledger. A missing
 * file is not a problem: every sidecar would send its log again.
 */
export function headProblems(
  received: string,
  ledgers: readonly string[],
  beside: () => BesideHeads | CommandRefusal,
): readonly string[] | CommandRefusal {
  const files = [received, ...ledgers.map((ledger) => dirname(ledger))].map((folder) => join(folder, 'emitters.db'));
  const problems: string[] = [];
  for (const file of new Set(files.filter((each) => existsSync(each)))) {
    const found = lookedAt(file, beside);
    if (isCommandRefusal(found)) return found;
    problems.push(...found.map((problem) => `\`${file}\` ${problem}`));
  }
  return problems;
}

function lookedAt(file: string, beside: () => BesideHeads | CommandRefusal): readonly string[] | CommandRefusal {
  let found: readonly string[] = [];
  for (let looks = 0; looks < LOOKS; looks += 1) {
    const heads = emitterHeadsIn(file);
    if (isStoreFailure(heads))
      return heads.code === 'busy' ? taskRefusal(heads.detail) : [`is damaged: ${heads.detail}`];
    const now = beside();
    if (isCommandRefusal(now)) return now;
    found = heads.flatMap((head) => {
      if (typeof head === 'string') return [head];
      const { origin } = head.emitter;
      return headProblem(head, now.histories.get(origin) ?? null, now.logs.get(origin) ?? null) ?? [];
    });
    if (found.length === 0) break;
  }
  return found;
}

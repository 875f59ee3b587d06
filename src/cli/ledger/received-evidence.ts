import type { LedgerPlace } from '../../tools/evidence/counted.ts';
import type { EvidenceMembers } from '../../tools/evidence/record-members.ts';
import type { ReceivedSeen } from '../../tools/evidence/report.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import { emitterVerdict } from '../../authority/records/emitter-verdict.ts';
import type { ReceivedLog } from '../../authority/records/received-logs.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { allHistories, namedAfter, readReceived, receivedVerdicts } from './received-source.ts';
import { isCommandRefusal, type CommandRefusal } from '../task/task-source.ts';

/** The verified logs of sidecars. */
export interface ReceivedEvidence {
  readonly seen: readonly ReceivedSeen[];
  /** Those that are sound, by origin. */
  readonly logs: ReadonlyMap<string, ReceivedLog>;
}

/**
 * Verifies the records of sidecars in a folder by ledgers of their authorities. The caller must verify those ledgers.
 *
 * @param ledger the ledger of the authority that kept the counted records
 * @param covered the ledgers that vouch, each with the last record that one of its heads covers: later records are ignored, since
 * anybody who can write the files can have appended them
 */
export function receivedEvidence(
  folder: string,
  ledger: string,
  covered: ReadonlyMap<string, number>,
): ReceivedEvidence | CommandRefusal {
  const ledgers = [...covered.keys()];
  const verdicts = receivedVerdicts(folder, ledgers);
  if (isCommandRefusal(verdicts)) return verdicts;
  const histories = allHistories(
    ledgers.filter((each) => each === ledger),
    covered,
  );
  if (isCommandRefusal(histories)) return histories;
  const read = readReceived(folder);
  if (isCommandRefusal(read)) return read;
  const isVouchedFor = vouchedIn(read.logs, covered);
  if (isCommandRefusal(isVouchedFor)) return isVouchedFor;
  const sound = new Set(
    verdicts.flatMap(({ origin, verdict }) => (verdict.kind === 'sound' && isVouchedFor(origin) ? [origin] : [])),
  );
  return {
    seen: verdicts.map((verdict) =>
      Object.assign(verdict, {
        counted: sound.has(verdict.origin)
          ? (histories.get(verdict.origin)?.received ?? []).filter(({ from, to }) => to >= from)
          : [],
      }),
    ),
    logs: new Map([...read.logs].filter(([origin]) => sound.has(origin))),
  };
}

/** Whether a log is sound by the covered part of each ledger alone. Only logs that later records name are verified again. */
function vouchedIn(
  logs: ReadonlyMap<string, ReceivedLog>,
  covered: ReadonlyMap<string, number>,
): ((origin: string) => boolean) | CommandRefusal {
  const later = namedAfter(covered);
  if (isCommandRefusal(later)) return later;
  const histories = allHistories([...covered.keys()], covered);
  if (isCommandRefusal(histories)) return histories;
  return (origin) => {
    const history = histories.get(origin);
    if (history === undefined || !later.has(origin)) return history !== undefined;
    return emitterVerdict(history, logs.get(origin) ?? null).verdict.kind === 'sound';
  };
}

/** The records of sidecars that are counted, log by log. Records that the ledger calls deleted are unverified and skipped. */
export function* countedIn({
  seen,
  logs,
}: ReceivedEvidence): Generator<{ readonly place: LedgerPlace; readonly record: EvidenceMembers }> {
  for (const { origin, counted, pruned } of seen) {
    if (counted.length === 0) continue;
    for (const entry of logs.get(origin)?.stored.entries() ?? []) {
      if (!('seq' in entry) || entry.seq <= pruned) continue;
      if (!counted.some(({ from, to }) => from <= entry.seq && entry.seq <= to)) continue;
      const leaf = leafFrom(entry.bytes);
      if (isProblem(leaf)) continue;
      const { at } = leaf.record;
      if (typeof at === 'number') yield { place: { log: origin, seq: entry.seq, at }, record: leaf.record };
    }
  }
}

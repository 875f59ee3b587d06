import type { LedgerPlace } from '../../tools/evidence/counted.ts';
import type { EvidenceMembers } from '../../tools/evidence/record-members.ts';
import type { ReceivedSeen } from '../../tools/evidence/report.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import type { ReceivedLog } from '../../authority/records/received-logs.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { allHistories, readReceived, receivedVerdicts } from './received-source.ts';
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
 */
export function receivedEvidence(
  folder: string,
  ledger: string,
  ledgers: readonly string[],
): ReceivedEvidence | CommandRefusal {
  const verdicts = receivedVerdicts(folder, ledgers);
  if (isCommandRefusal(verdicts)) return verdicts;
  const histories = allHistories(ledgers.filter((each) => each === ledger));
  if (isCommandRefusal(histories)) return histories;
  const read = readReceived(folder);
  if (isCommandRefusal(read)) return read;
  const sound = new Set(verdicts.flatMap(({ origin, verdict }) => (verdict.kind === 'sound' ? [origin] : [])));
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

/** The records of sidecars that are counted, one log after the other. */
export function* countedIn({
  seen,
  logs,
}: ReceivedEvidence): Generator<{ readonly place: LedgerPlace; readonly record: EvidenceMembers }> {
  for (const { origin, counted } of seen) {
    if (counted.length === 0) continue;
    for (const entry of logs.get(origin)?.stored.entries() ?? []) {
      if (!('seq' in entry) || !counted.some(({ from, to }) => from <= entry.seq && entry.seq <= to)) continue;
      const leaf = leafFrom(entry.bytes);
      if (isProblem(leaf)) continue;
      const { at } = leaf.record;
      if (typeof at === 'number') yield { place: { log: origin, seq: entry.seq, at }, record: leaf.record };
    }
  }
}

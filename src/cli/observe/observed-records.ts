/** Reads the policy folder and the records of `remit observe`. */
import { isProblem } from '../../core/runtime/problem.ts';
import { ledgerSource, receivedSource, usesIn } from '../../tools/learn/record-window.ts';
import type { ReadCounts, ReadRecord, RecordSource, Span } from '../../tools/learn/record-window.ts';
import { observedFolderAt } from '../../tools/observe/observed-folder.ts';
import type { ObservedFolder } from '../../tools/observe/observed-folder.ts';
import type { CommandIo } from '../command.ts';
import { ledgerFolderOf, withLedger } from '../ledger/ledger-source.ts';
import { receivedOf } from '../ledger/received-source.ts';
import { configuredFolder } from '../policy/policy-operand.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

/** What `remit observe` and its subcommands may use. */
export type ObserveIo = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

/** Options that say where policies and records are. */
export type PlaceValues = {
  readonly [name in 'config' | 'state' | 'ledger' | 'received' | 'policies']?: string | undefined;
};

const PROGRESS_EVERY = 10_000;

/** Which records are read, for whom. */
interface Reading {
  readonly span: Span;
  readonly io: ObserveIo;
  /** The command, for messages. */
  readonly name: string;
}

/**
 * Reads the uses of a span, of the ledger and of the logs of its sidecars, and passes each to `onUse`, which says if it is malformed. Gaps and
 * what could not be parsed are reported.
 */
export async function readingUses(
  values: PlaceValues,
  { span, io, name }: Reading,
  onUse: (record: ReadRecord) => 'foreign' | null,
): Promise<ReadCounts | CommandRefusal> {
  const folder = await ledgerFolderOf(values, io);
  if (isCommandRefusal(folder)) return folder;
  const received = await receivedOf(values, io);
  if (isCommandRefusal(received)) return received;
  return withLedger<ReadCounts>(folder, async (log) => {
    const sources: readonly RecordSource[] = [ledgerSource(log), ...[...received.values()].map(receivedSource)];
    const counts: ReadCounts = { records: 0, uses: 0, foreign: 0, missing: 0 };
    const onRecord = (read: number): void => {
      if (read % PROGRESS_EVERY === 0) io.progress?.(`read record ${read}`);
    };
    for (const record of usesIn(sources, span, { counts, onRecord }))
      if (onUse(record) === 'foreign') counts.foreign += 1;
    io.progress?.('');
    if (counts.missing > 0) io.err(`${name}: ${counts.missing} records are missing between others`);
    if (counts.foreign > 0) io.err(`${name}: ${counts.foreign} records could not be parsed`);
    return counts;
  });
}

/** What the policy folder of the options or the configuration says of observing; `null` if they name no folder. */
export async function observedFolderOf(
  values: PlaceValues,
  { io, nowMs }: { readonly io: Pick<ObserveIo, 'environment'>; readonly nowMs: number },
): Promise<ObservedFolder | null | CommandRefusal> {
  const { policies, config, ledger } = values;
  // A ledger without a configuration may be a copy from another host.
  const isElsewhere = ledger !== undefined && config === undefined;
  const folder = policies ?? (isElsewhere ? null : await configuredFolder(values, io));
  if (folder === null) return null;
  const read = await observedFolderAt(folder, nowMs);
  return isProblem(read) ? taskRefusal(read.problem) : read;
}

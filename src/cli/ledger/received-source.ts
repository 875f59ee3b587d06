import { emitterHistories } from '../../authority/records/emitter-history.ts';
import type { EmitterHistory } from '../../authority/records/emitter-history.ts';
import { emitterVerdict, linkedVerdict, unknownEmitter } from '../../authority/records/emitter-verdict.ts';
import type { EmitterVerdict } from '../../authority/records/emitter-verdict.ts';
import { linkFateOf, linksIn } from '../../authority/records/linked-uses.ts';
import type { LinkFate } from '../../authority/records/linked-uses.ts';
import { emittersIn } from '../../authority/records/named-log.ts';
import { damageText } from '../../authority/records/placed-sections.ts';
import { receivedIndexProblem } from '../../authority/records/received-index.ts';
import { SearchedReceived } from '../../authority/records/received-records.ts';
import { receivedLogsIn } from '../../authority/records/received-logs.ts';
import type { ReceivedLog } from '../../authority/records/received-logs.ts';
import type { LedgerLeaf } from '../../core/ledger/proof/leaf.ts';
import { readLog } from '../../core/ledger/log/log-reader.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { broken } from '../../core/ledger/proof/verdict.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { CommandIo } from '../command.ts';
import { headProblems } from './received-heads.ts';
import type { BesideHeads } from './received-heads.ts';
import { isCommandRefusal, taskRefusal, sourceOf } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/** The option of commands that also read the records of sidecars. */
export const receivedOptions = { received: { type: 'string' } } as const;

/** The help for `receivedOptions`. */
export const RECEIVED_HELP = `  --received DIR      the folder in which an authority keeps the records of its sidecars, or a copy of it; default that
                      of the configuration`;

/**
 * The folder of received records in the options, else that in the configuration. `undefined` for none. With a
 * ledger or a state file of its own a command reads no configuration. Reports if the records are elsewhere.
 */
export async function receivedFolderOf(
  values: Parameters<typeof sourceOf>[0] & { readonly received?: string | undefined },
  io: Pick<CommandIo, 'environment' | 'err'>,
): Promise<string | undefined | CommandRefusal> {
  const { received, ledger, state } = values;
  if (received !== undefined || ledger !== undefined || state !== undefined) return received;
  const source = await sourceOf(values, io);
  if (isCommandRefusal(source)) return source;
  if (source.received?.kind === 'file') return source.received.folder;
  if (source.received !== null) {
    const where = source.received.kind === 's3' ? `the bucket \`${source.received.place.bucket}\`` : 'the database';
    io.err(
      `the records of sidecars are not read: they are in ${where}. Copy them by \`remit ledger fetch\`, and use --received`,
    );
  }
  return undefined;
}

/** The received logs that the options name, else those of the configuration, by origin. */
export async function receivedOf(
  values: Parameters<typeof receivedFolderOf>[0],
  io: Pick<CommandIo, 'environment' | 'err'>,
): Promise<ReadonlyMap<string, ReceivedLog> | CommandRefusal> {
  const folder = await receivedFolderOf(values, io);
  if (isCommandRefusal(folder)) return folder;
  const read = folder === undefined ? null : readReceived(folder);
  return isCommandRefusal(read) ? read : (read?.logs ?? new Map<string, ReceivedLog>());
}

/** Opens the received records that the options name, else those of the configuration, to find some of them. The caller closes them. */
export async function receivedRecordsOf(
  values: Parameters<typeof receivedFolderOf>[0],
  io: Pick<CommandIo, 'environment' | 'err'>,
): Promise<SearchedReceived | CommandRefusal> {
  const folder = await receivedFolderOf(values, io);
  if (isCommandRefusal(folder)) return folder;
  return folder === undefined ? SearchedReceived.none : openedReceived(folder);
}

/** Opens the received records of a folder. The caller closes them. */
export function openedReceived(folder: string): SearchedReceived | CommandRefusal {
  try {
    return SearchedReceived.open(folder);
  } catch (error) {
    return unreadable(folder, error);
  }
}

/** Warnings about received records that could not be read, for standard error: the results lack these records. */
export const receivedWarnings = ({ faults }: Pick<SearchedReceived, 'faults'>): readonly string[] =>
  faults.map((fault) => printable(`${fault}: records may be missing: run \`remit ledger verify\``));

const unreadable = (folder: string, error: unknown): CommandRefusal =>
  taskRefusal(`the received records in \`${folder}\` cannot be read: ${errorCode(error) ?? String(error)}`);

/**
 * Verifies the received logs of a folder by ledgers of authorities, which must be verified themselves. Each log that a ledger names is
 * expected here, and each log here must be named by a ledger.
 */
export function receivedVerdicts(
  folder: string,
  ledgers: readonly string[],
): readonly EmitterVerdict[] | CommandRefusal {
  // INVARIANT: the ledgers are read before the records, which may grow meanwhile, so that no ledger says more than is read.
  const before = allHistories(ledgers);
  if (isCommandRefusal(before)) return before;
  const read = readReceived(folder);
  if (isCommandRefusal(read)) return read;
  // A log may have joined meanwhile: a ledger names it before any of its records is kept, so a second reading finds it.
  const after = [...read.logs.keys()].every((origin) => before.has(origin)) ? before : allHistories(ledgers);
  if (isCommandRefusal(after)) return after;
  const index = indexProblems(folder);
  if (isCommandRefusal(index)) return index;
  const heads = headProblems(folder, ledgers, () => besideHeads(folder, ledgers));
  if (isCommandRefusal(heads)) return heads;
  const verdicts: EmitterVerdict[] = [];
  for (const history of before.values()) {
    const log = read.logs.get(history.origin) ?? null;
    const linked = withLinks(emitterVerdict(history, log), log, ledgers);
    if (isCommandRefusal(linked)) return linked;
    verdicts.push(linked);
  }
  return [
    ...verdicts,
    ...[...read.logs.values()].filter(({ origin }) => !after.has(origin)).map(unknownEmitter),
    ...read.damaged.map((file) => wrongFile(damageText(file))),
    ...[...index, ...heads].map(wrongFile),
  ];
}

function indexProblems(folder: string): readonly string[] | CommandRefusal {
  try {
    return [receivedIndexProblem(folder)].filter((problem) => problem !== null);
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? [] : unreadable(folder, error);
  }
}

/** Compares the uses that a sound log links to with the records of the ledgers. */
function withLinks(
  verdict: EmitterVerdict,
  log: ReceivedLog | null,
  ledgers: readonly string[],
): EmitterVerdict | CommandRefusal {
  const links = log === null || verdict.verdict.kind === 'broken' ? [] : [...linksIn(log.stored.entries())];
  const fates: LinkFate[] = links.map(() => 'missing');
  for (const ledger of links.length === 0 ? [] : ledgers) {
    const failure = readLog(ledger, (reader) => {
      for (const [at, link] of links.entries()) {
        const fate = linkFateOf(link, reader);
        if (fate === 'other' || (fate === 'same' && fates[at] === 'missing')) fates[at] = fate;
      }
      return null;
    });
    if (isStoreFailure(failure)) return taskRefusal(failure.detail);
  }
  return linkedVerdict(
    verdict,
    links.map((link, at) => ({ link, fate: fates[at] ?? 'missing' })),
  );
}

function besideHeads(folder: string, ledgers: readonly string[]): BesideHeads | CommandRefusal {
  const histories = allHistories(ledgers);
  if (isCommandRefusal(histories)) return histories;
  const read = readReceived(folder);
  return isCommandRefusal(read) ? read : { histories, logs: read.logs };
}

const wrongFile = (problem: string): EmitterVerdict => ({
  origin: '',
  id: '',
  state: 'unknown',
  atMs: null,
  anchored: 0,
  received: 0,
  pruned: 0,
  missing: 0,
  links: 0,
  unlinked: 0,
  verdict: broken('log', null, problem),
});

/**
 * What ledgers of authorities say of the logs that these received.
 *
 * @param covered the last record of each ledger that counts; default all count
 */
export function allHistories(
  ledgers: readonly string[],
  covered: ReadonlyMap<string, number> | null = null,
): ReadonlyMap<string, EmitterHistory> | CommandRefusal {
  const records: LedgerLeaf['record'][] = [];
  for (const ledger of ledgers) {
    const to = covered === null ? Number.MAX_SAFE_INTEGER : (covered.get(ledger) ?? 0);
    const found = readLog(ledger, (log) => emittersIn(log, { to }));
    if (isStoreFailure(found)) return taskRefusal(found.detail);
    records.push(...(found ?? []));
  }
  return emitterHistories(records.toSorted((a, b) => Number(a['at']) - Number(b['at'])));
}

/** The origins of the logs that later records of the ledgers name: those after the last record that counts. */
export function namedAfter(covered: ReadonlyMap<string, number>): ReadonlySet<unknown> | CommandRefusal {
  const origins = new Set<unknown>();
  for (const [ledger, to] of covered) {
    const found = readLog(ledger, (log) => emittersIn(log, { from: to + 1 }));
    if (isStoreFailure(found)) return taskRefusal(found.detail);
    for (const { origin } of found ?? []) origins.add(origin);
  }
  return origins;
}

/** Reads the received logs of a folder; a refusal if it cannot be read. */
export function readReceived(folder: string): ReturnType<typeof receivedLogsIn> | CommandRefusal {
  try {
    return receivedLogsIn(folder);
  } catch (error) {
    return unreadable(folder, error);
  }
}

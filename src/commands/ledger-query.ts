import { recordLine, recordTable } from '../ledger/record-table.ts';
import { systemPorts } from '../ports.ts';
import { failureOfSqlite } from '../store/store-failure.ts';
import { EXIT } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import {
  FILTER_HELP,
  filterFrom,
  filterOptions,
  filterWords,
  LEDGER_HELP,
  ledgerFolderOf,
  ledgerOptions,
  openLedgerIn,
} from './ledger-source.ts';
import { optionsFrom } from './options.ts';
import { isRefusal, type Refusal, refusal, refused } from './task-source.ts';

const DEFAULT_LIMIT = '100';
const MAX_LIMIT = 100_000;

const help = `remit ledger query: which records there are

usage: remit ledger query [OPTION ...]

${LEDGER_HELP}
${FILTER_HELP}
  --limit N           at most N records, 1 to ${MAX_LIMIT}; default ${DEFAULT_LIMIT}
  --oldest-first      the first N of them in the order of the log; default the last N, the newest first
  --json              a line of JSON each: the members of the record, and its number as \`seq\`

Prints the records that have all that is named. It reads beside a running \`remit serve\` and believes what it reads: whether
the log is what it was, \`remit ledger verify\` says. A record whose clock was more than a day off may be missed by --since
and --until. With more records than the limit it says so on standard error.

  remit ledger query --decision deny --since -2h
  remit ledger query --task 019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55 --oldest-first
  remit ledger query --ledger /mnt/copy/ledger --reason token.binding --json

exit: 0 good, also where there is no such record, 2 bad use or a ledger that cannot be read`;

/** `remit ledger query`. */
export const ledgerQueryCommand: Command = { name: 'ledger query', help, run: ledgerQuery };

type Io = Pick<CommandIo, 'out' | 'err' | 'environment'>;

/** Runs `remit ledger query`; the exit code is the answer. */
export async function ledgerQuery(args: readonly string[], io: Io): Promise<number> {
  const problem = await query(args, io);
  if (problem === null) return EXIT.good;
  return refused(io, 'remit ledger query', problem);
}

async function query(args: readonly string[], io: Io): Promise<Refusal | null> {
  const own = { limit: { type: 'string' }, 'oldest-first': { type: 'boolean' }, json: { type: 'boolean' } } as const;
  const options = optionsFrom(filterWords(args), { ...ledgerOptions, ...filterOptions, ...own }, 0);
  if (typeof options === 'string') return refusal(options);
  const { limit: size = DEFAULT_LIMIT, json, 'oldest-first': isOldestFirst = false } = options.values;
  const limit = /^\d{1,6}$/.test(size) ? Number(size) : 0;
  if (limit < 1 || limit > MAX_LIMIT) return refusal(`--limit must be a whole number from 1 to ${MAX_LIMIT}`);
  const filter = filterFrom(options.values, systemPorts.nowMs());
  if (isRefusal(filter)) return filter;
  const folder = await ledgerFolderOf(options.values, io);
  if (isRefusal(folder)) return folder;
  try {
    const log = openLedgerIn(folder);
    if (isRefusal(log)) return log;
    try {
      const found = [...log.found(filter, { isNewestFirst: !isOldestFirst }).take(limit + 1)];
      const shown = found.slice(0, limit);
      if (json === true) for (const leaf of shown) io.out(recordLine(leaf));
      else if (shown.length === 0) io.out('no records');
      else for (const line of recordTable(shown)) io.out(line);
      const which = isOldestFirst ? 'first' : 'last';
      if (found.length > limit) io.err(`remit ledger query: the ${which} ${limit} are shown: --limit shows more`);
      return null;
    } finally {
      log.close();
    }
  } catch (error) {
    const failure = failureOfSqlite(error);
    if (failure === null) throw error;
    return refusal(`the ledger \`${folder}\` cannot be read: ${failure.detail}`);
  }
}

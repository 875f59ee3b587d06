import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { configFrom, configProblemText } from '../config/config.ts';
import type { Config } from '../config/config.ts';
import { printable } from '../ledger/timeline-text.ts';
import { systemPorts } from '../runtime/ports.ts';
import { openStoreForReading } from '../state/sqlite/sqlite-store.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { StoreReader } from '../state/store.ts';
import type { Task } from '../task/task.ts';
import { EXIT } from './command.ts';
import type { CommandIo } from './command.ts';

/** A line for the operator, and the exit code it means. */
export interface CommandRefusal {
  readonly exit: number;
  readonly message: string;
}

/** A refusal; bad use or bad input unless `exit` says otherwise. */
export const refusal = (message: string, exit: number = EXIT.bad): CommandRefusal => ({ exit, message });

/** Says a refusal of a command, each of its lines under the command's name; its exit code. */
export function refused(io: Pick<CommandIo, 'err'>, command: string, { message, exit }: CommandRefusal): number {
  for (const line of message.split('\n')) io.err(`${command}: ${line}`);
  return exit;
}

/** Whether a step refused. */
export const isCommandRefusal = (value: unknown): value is CommandRefusal =>
  typeof value === 'object' && value !== null && 'exit' in value;

/** Options of every `remit task` command: where the tasks are, and in which form to print. */
export const sourceOptions = {
  config: { type: 'string', short: 'c' },
  state: { type: 'string' },
  ledger: { type: 'string' },
  json: { type: 'boolean' },
} as const;

const DEFAULT_CONFIG = '/etc/remit/remit.yaml';

/** Where the tasks and their records are. */
export interface Source {
  readonly state: string;
  /** The folder of the ledger. */
  readonly ledger: string;
  /** The folders of the other ledgers, where several processes write to the state file and the configuration names them. */
  readonly others: readonly string[];
}

/** The state file and the ledger: `--state` with `--ledger` or the folder `ledger` beside it, else those of the configuration. */
export async function sourceOf(
  values: {
    readonly config?: string | undefined;
    readonly state?: string | undefined;
    readonly ledger?: string | undefined;
  },
  io: Pick<CommandIo, 'environment'>,
): Promise<Source | CommandRefusal> {
  const { state, ledger } = values;
  if (state !== undefined) return { state, ledger: ledger ?? join(dirname(state), 'ledger'), others: [] };
  const file = resolve(values.config ?? DEFAULT_CONFIG);
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null) return refusal(`cannot read the configuration \`${file}\`: name one by --config, or --state FILE`);
  const read = configFrom(text, { file, folder: dirname(file), environment: io.environment });
  return 'problems' in read ? refusal(read.problems.map(configProblemText).join('\n')) : sourceIn(read.value, ledger);
}

/** Those of a configuration; a ledger that is named stands for itself. */
const sourceIn = ({ state, ledger: { folder, others } }: Config, named: string | undefined): Source =>
  named === undefined ? { state, ledger: folder, others } : { state, ledger: named, others: [] };

/** The state file alone. */
export async function stateFileOf(
  values: Parameters<typeof sourceOf>[0],
  io: Pick<CommandIo, 'environment'>,
): Promise<string | CommandRefusal> {
  const source = await sourceOf(values, io);
  return isCommandRefusal(source) ? source : source.state;
}

/** Opens the state file for reading, hands it on and closes it. */
export function reading<T>(stateFile: string, use: (store: StoreReader) => T | CommandRefusal): T | CommandRefusal {
  const store = openStoreForReading(stateFile, systemPorts);
  if (isStoreFailure(store)) return refusal(store.detail);
  try {
    return use(store);
  } finally {
    store.close();
  }
}

/** The task with this id, of whichever issuer. */
export function taskWith(store: StoreReader, id: string): Task | CommandRefusal {
  const found = store.tasks({ id, limit: 1 });
  if (isStoreFailure(found)) return refusal(found.detail);
  return found[0] ?? noTask(id);
}

/** That there is no task with this id. */
export const noTask = (id: string): CommandRefusal => refusal(`there is no task \`${printable(id)}\``, EXIT.no);

import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { configFrom, configProblemText } from '../../core/config/config.ts';
import type { Config } from '../../core/config/config.ts';
import type { CommandIo } from '../command.ts';
import { type CommandRefusal, isCommandRefusal, ONE_STATE, taskRefusal, stateIn } from '../task/task-source.ts';

/** The places of what backup and restore copy: state file, ledgers and keys, but not the records received from sidecars. */
export interface KeptPlaces {
  readonly state: string;
  readonly ledger: string;
  /** Earlier ledgers, and restored ledgers. */
  readonly others: readonly string[];
  /** Key files and folders, by their configuration key; empty without a configuration. */
  readonly keys: readonly { readonly of: string; readonly path: string }[];
}

const DEFAULT_CONFIG = '/etc/remit/remit.yaml';

/** The options for these places. */
export const placeOptions = {
  config: { type: 'string', short: 'c' },
  state: { type: 'string' },
  ledger: { type: 'string' },
} as const;

/** Their values. */
export interface KeptPlaceValues {
  readonly config?: string | undefined;
  readonly state?: string | undefined;
  readonly ledger?: string | undefined;
}

/** `--state` with `--ledger` or the folder `ledger` beside it, else the places in the configuration; both, and a PostgreSQL, are refused. */
export async function keptPlacesOf(
  values: KeptPlaceValues,
  io: Pick<CommandIo, 'environment'>,
): Promise<KeptPlaces | CommandRefusal> {
  const { config, state, ledger } = values;
  if (config !== undefined && state !== undefined) return taskRefusal(ONE_STATE);
  if (state !== undefined)
    return { state: resolve(state), ledger: resolve(ledger ?? join(dirname(state), 'ledger')), others: [], keys: [] };
  if (ledger !== undefined) return taskRefusal('--ledger needs --state: a configuration names its own ledger');
  const file = resolve(config ?? DEFAULT_CONFIG);
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null)
    return taskRefusal(`cannot read the configuration \`${file}\`: name one with --config, or use --state FILE`);
  const read = configFrom(text, { file, folder: dirname(file), environment: io.environment });
  return 'problems' in read ? taskRefusal(read.problems.map(configProblemText).join('\n')) : placesIn(read.value);
}

function placesIn(config: Config): KeptPlaces | CommandRefusal {
  const state = stateIn(config);
  if (isCommandRefusal(state)) return state;
  if (state.kind === 'postgres')
    return taskRefusal(
      `\`${config.file}\` has its state in a PostgreSQL: back it up and restore it with the tools of PostgreSQL, then run \`remit restore --config ${config.file}\`, see deploy/guide/operate/postgresql.md`,
    );
  const {
    ledger: { folder, others, keyFile },
    issuer,
  } = config;
  const keys = [
    { of: 'ledger.key', path: keyFile },
    ...(issuer === null ? [] : [{ of: 'issuer.signingKey', path: issuer.signingKey }]),
    ...(issuer === null || issuer.transactionKey === null
      ? []
      : [{ of: 'issuer.transactionKey', path: issuer.transactionKey }]),
  ];
  return { state: state.path, ledger: folder, others, keys };
}

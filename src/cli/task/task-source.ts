import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { configFrom, configProblemText } from '../../core/config/config.ts';
import type { Config } from '../../core/config/config.ts';
import { receiverNames } from '../../core/config/issuer.ts';
import { recordsPlaceOf } from '../../core/config/records.ts';
import type { RecordsPlace } from '../../core/config/records.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { EXIT } from '../command.ts';
import type { CommandIo } from '../command.ts';
import type { StateSource } from '../state/state-source.ts';

/** A message for the operator with its exit code. */
export interface CommandRefusal {
  readonly exit: number;
  readonly message: string;
  /** What was done all the same, such as a committed change without a receipt; printed on standard output. */
  readonly done?: string;
}

/** A refusal; invalid usage or input unless `exit` says otherwise. */
export const taskRefusal = (message: string, exit: number = EXIT.bad): CommandRefusal => ({ exit, message });

/** Whether a step refused. */
export const isCommandRefusal = (value: unknown): value is CommandRefusal =>
  typeof value === 'object' && value !== null && 'exit' in value;

/** Options of all `remit task` commands: the location of the tasks, and the output format. */
export const sourceOptions = {
  config: { type: 'string', short: 'c' },
  state: { type: 'string' },
  ledger: { type: 'string' },
  json: { type: 'boolean' },
} as const;

/** The configuration of a host. */
export const DEFAULT_CONFIG = '/etc/remit/remit.yaml';

/** The location of the tasks and their records. */
export interface Source {
  readonly state: StateSource;
  /** The folder of the ledger. */
  readonly ledger: string;
  /** Folders of earlier ledgers that the configuration names. */
  readonly others: readonly string[];
  /** The place of the sidecars' records; `null` if there are none. */
  readonly received: RecordsPlace | null;
  /** The authority to ask whether a change reached the sidecars; `null` if the configuration serves no sidecars, or is not given. */
  readonly sidecars: AskedAuthority | null;
  /** The policy folder; `null` if the policies are a bundle, or no configuration is given. */
  readonly policyFolder: string | null;
}

/** The authority of a configuration. */
export interface AskedAuthority {
  /** URL of its admin address. */
  readonly admin: string;
  readonly leaseMs: number;
}

/** Otherwise the configuration is ignored, and with it the sidecars that must learn of a change. */
export const ONE_STATE = '--config and --state each name a state: use one of them';

/** `--state` with `--ledger` or the folder `ledger` beside it, else those of the configuration; both are refused. */
export async function sourceOf(
  values: {
    readonly config?: string | undefined;
    readonly state?: string | undefined;
    readonly ledger?: string | undefined;
  },
  io: Pick<CommandIo, 'environment'>,
): Promise<Source | CommandRefusal> {
  const { config, state, ledger } = values;
  if (config !== undefined && state !== undefined) return taskRefusal(ONE_STATE);
  if (state !== undefined) {
    if (/^(?:postgres|postgresql|authority):/.test(state))
      return taskRefusal('--state is the path of a state file: name another state by the configuration, with --config');
    const path = state.replace(/^sqlite:/, '');
    return {
      state: { kind: 'sqlite', path },
      ledger: ledger ?? join(dirname(path), 'ledger'),
      others: [],
      received: null,
      sidecars: null,
      policyFolder: null,
    };
  }
  const file = resolve(config ?? DEFAULT_CONFIG);
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null)
    return taskRefusal(`cannot read the configuration \`${file}\`: name one with --config, or use --state FILE`);
  const read = configFrom(text, { file, folder: dirname(file), environment: io.environment });
  return 'problems' in read
    ? taskRefusal(read.problems.map(configProblemText).join('\n'))
    : sourceIn(read.value, ledger);
}

/** The locations of a configuration. With `--ledger` that folder alone is read: no earlier ledgers and no received records. */
function sourceIn(config: Config, named: string | undefined): Source | CommandRefusal {
  const state = stateIn(config);
  if (isCommandRefusal(state)) return state;
  const { folder, others } = config.ledger;
  const sidecars = authorityIn(config);
  const policyFolder = config.policies.bundle === null ? config.policies.folder : null;
  return named === undefined
    ? { state, ledger: folder, others, received: receivedIn(config), sidecars, policyFolder }
    : { state, ledger: named, others: [], received: null, sidecars, policyFolder };
}

/** The authority of a configuration that serves sidecars. An authority that listens on all addresses is asked on this host. */
function authorityIn({ admin: { listen }, authority }: Config): AskedAuthority | null {
  if (authority.listen.length === 0 || listen.kind !== 'tcp') return null;
  const host = listen.host === '0.0.0.0' ? '127.0.0.1' : listen.host === '::' ? '::1' : listen.host;
  const admin = `http://${host.includes(':') ? `[${host}]` : host}:${listen.port}`;
  return { admin, leaseMs: authority.leaseSeconds * 1_000 };
}

/** The place of an authority's records of its sidecars: the configured place, or the default place if it exists. */
function receivedIn(config: Config): RecordsPlace | null {
  const place = recordsPlaceOf(config);
  return config.records.place !== null || place.kind !== 'file' || existsSync(place.folder) ? place : null;
}

/** The state of a configuration. A sidecar has none. */
export function stateIn({
  file,
  state,
  durability,
  authority,
  issuer,
}: Pick<Config, 'file' | 'state' | 'durability' | 'authority' | 'issuer'>): StateSource | CommandRefusal {
  if (state.kind === 'sqlite') return state;
  return state.kind === 'postgres'
    ? {
        ...state,
        durability,
        leaseMs: authority.leaseSeconds * 1_000,
        stateKey: authority.stateKey,
        receivers: receiverNames(issuer),
      }
    : taskRefusal(
        `\`${file}\` is the configuration of a sidecar, which has no state of its own: run this on the host of its authority`,
      );
}

/** The state that the options or the configuration name, as `sourceOf` finds it. */
export async function stateOf(
  values: Parameters<typeof sourceOf>[0],
  io: Pick<CommandIo, 'environment'>,
): Promise<StateSource | CommandRefusal> {
  const source = await sourceOf(values, io);
  return isCommandRefusal(source) ? source : source.state;
}

/** The refusal for an unknown task id. */
export const noSuchTask = (id: string): CommandRefusal => taskRefusal(`there is no task \`${printable(id)}\``, EXIT.no);

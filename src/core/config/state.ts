/** The section `state`: the file or database of the state of tasks. */
import { resolve } from 'node:path';
import { textOf } from '../runtime/fields.ts';
import { isProblem } from '../runtime/problem.ts';
import { postgresTargetFrom } from './postgres-url.ts';
import type { PostgresTarget } from './postgres-url.ts';
import { address } from './values.ts';
import type { Address } from './values.ts';

/**
 * The place of the state of tasks: a SQLite file of this process, a PostgreSQL that this process serves as one of several authorities, or
 * authorities of which this process is a sidecar.
 */
export type StatePlace =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'postgres'; readonly target: PostgresTarget }
  | { readonly kind: 'authority'; readonly addresses: readonly Address[] };

/** The state file if none is named. In its folder are also the files of a process without a state file. */
const DEFAULT_PATH = '/var/lib/remit/state.db';
const SQLITE = 'sqlite:';
const AUTHORITY = 'authority:';
/** Most authorities of one sidecar. */
const MAX_AUTHORITIES = 8;

/** The state if none is named. */
export const defaultState: StatePlace = { kind: 'sqlite', path: DEFAULT_PATH };

/** Reads the key `state`. */
export const statePlace = (folder: string) =>
  textOf<StatePlace>(
    '`sqlite:/path`, `postgres://user@host/database`, `authority://host:port` or `authority:unix:/path`',
    (value) => {
      if (value.startsWith(SQLITE)) return { kind: 'sqlite', path: resolve(folder, value.slice(SQLITE.length)) };
      if (/^postgres(?:ql)?:/.test(value)) {
        const target = postgresTargetFrom(value);
        return isProblem(target) ? target : { kind: 'postgres', target };
      }
      if (!value.startsWith(AUTHORITY)) return { problem: 'unknown kind of state' };
      const places = value.slice(AUTHORITY.length).replace(/^\/\//, '').split(',');
      if (places.length > MAX_AUTHORITIES) return { problem: `at most ${MAX_AUTHORITIES} authorities` };
      const addresses: Address[] = [];
      for (const text of places) {
        const at = address(text);
        if (isProblem(at)) return { problem: `\`${text}\`: ${at.problem}` };
        addresses.push(at);
      }
      return { kind: 'authority', addresses };
    },
  );

/** The path beside which files are, unless they are named: the state file, if any. */
export const statePathOf = (state: StatePlace): string => (state.kind === 'sqlite' ? state.path : DEFAULT_PATH);

import type { Config } from '../../core/config/config.ts';
import type { PostgresTarget } from '../../core/config/postgres-url.ts';

/** The place of a command's state: a state file, or a PostgreSQL database. */
export type StateSource =
  | { readonly kind: 'sqlite'; readonly path: string }
  | {
      readonly kind: 'postgres';
      readonly target: PostgresTarget;
      readonly durability: Config['durability'];
      /** Lease of the sidecars. */
      readonly leaseMs: number;
      /** The file of the key that seals its rows; `null` if they are not sealed. */
      readonly stateKey: string | null;
      /** The names of the receivers of signals. */
      readonly receivers: readonly string[];
    };

import type { Config } from '../../core/config/config.ts';
import type { PostgresTarget } from '../../core/config/postgres-url.ts';

/** Where the state of a command is: in a state file, or in a PostgreSQL. */
export type StateSource =
  | { readonly kind: 'sqlite'; readonly path: string }
  | {
      readonly kind: 'postgres';
      readonly target: PostgresTarget;
      readonly durability: Config['durability'];
      /** Lease of the sidecars. */
      readonly leaseMs: number;
    };

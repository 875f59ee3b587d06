import { matchesSpiffeId } from '../../core/identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../../core/identity/spiffe-id.ts';

/** Which sidecars may connect, and for which audiences they may open tasks. */
export interface SidecarGrant {
  /** A SPIFFE ID in which `*` matches any characters of a path segment: `spiffe://acme.test/ns/payments/sa/tools-*`. */
  readonly id: string;
  readonly audiences: readonly string[];
}

/** What a client may do. */
export interface SidecarRights {
  /** Names the client: its SPIFFE ID, or `unix` if the permissions of a Unix socket admit it. */
  readonly peer: string;
  /** The audiences of the tokens it may use. Everything else does not exist for it. */
  readonly audiences: ReadonlySet<string>;
}

/** The rights of a client: the audiences of all rules that match. `null` if no rule matches: it may do nothing. */
export function rightsOf(rules: readonly SidecarGrant[], id: SpiffeId): SidecarRights | null {
  const matching = rules.filter((rule) => matchesSpiffeId(rule.id, id));
  return matching.length === 0 ? null : { peer: id, audiences: new Set(matching.flatMap((rule) => rule.audiences)) };
}

/** The rights of the clients of a Unix socket: every audience of the rules. */
export const localRights = (rules: readonly SidecarGrant[]): SidecarRights => ({
  peer: 'unix',
  audiences: new Set(rules.flatMap((rule) => rule.audiences)),
});

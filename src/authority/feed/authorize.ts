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
  const matching = rules.filter((rule) => matches(rule.id, id));
  return matching.length === 0 ? null : { peer: id, audiences: new Set(matching.flatMap((rule) => rule.audiences)) };
}

/** The rights of the clients of a Unix socket: every audience of the rules. */
export const localRights = (rules: readonly SidecarGrant[]): SidecarRights => ({
  peer: 'unix',
  audiences: new Set(rules.flatMap((rule) => rule.audiences)),
});

/** Whether an ID matches a pattern, segment by segment. */
function matches(pattern: string, id: SpiffeId): boolean {
  const wanted = pattern.split('/');
  const found = id.split('/');
  // The scheme and the trust domain are compared as they are: `*` never reaches another trust domain.
  return (
    wanted.length === found.length &&
    wanted.every((segment, at) => (at < 3 ? segment === found[at] : segmentMatches(segment, found[at] ?? '')))
  );
}

/** Compares the texts between the stars from left to right, in linear time. */
function segmentMatches(pattern: string, segment: string): boolean {
  const [head = '', ...rest] = pattern.split('*');
  const tail = rest.pop();
  if (tail === undefined) return pattern === segment;
  if (!segment.startsWith(head)) return false;
  let at = head.length;
  for (const part of rest) {
    const found = segment.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return segment.length - tail.length >= at && segment.endsWith(tail);
}

/** What is left of an entry of `enforcement.yaml` when an agent or a server is taken out of it. */
import { EVERY_AGENT } from '../../core/policy/enforcement.ts';
import type { ObserveEntry } from '../../core/policy/enforcement.ts';
import type { SpiffeId } from '../../core/identity/spiffe-id.ts';
import { coversSpiffeId } from '../../core/identity/spiffe-id-pattern.ts';

/** The names that are left; the entry is removed if there are none. */
export interface NarrowedEntry {
  readonly id: string;
  readonly key: 'agents' | 'servers';
  readonly names: readonly string[];
  /** Patterns that were replaced by the names that were seen, since a pattern cannot leave a name out. */
  readonly replaced: readonly string[];
}

/** Whether an entry's pattern is of an agent. */
const isOfAgent = (pattern: string, agent: SpiffeId): boolean =>
  pattern === EVERY_AGENT || coversSpiffeId(pattern, agent);

/** Whether an entry covers calls of an agent; `null` is a call without an identity. */
export const coversAgent = ({ agents }: Pick<ObserveEntry, 'agents'>, agent: SpiffeId | null): boolean =>
  agents === null || agent === null
    ? agents === null && agent === null
    : agents.some((pattern) => isOfAgent(pattern, agent));

/**
 * An entry without an agent; `null` if it does not cover that agent. A pattern that also covers others is replaced by the agents
 * that were seen: agents without a call are then no longer covered.
 */
export function withoutAgent(
  { id, agents }: Pick<ObserveEntry, 'id' | 'agents'>,
  agent: SpiffeId,
  seen: readonly SpiffeId[],
): NarrowedEntry | null {
  if (agents === null || !coversAgent({ agents }, agent)) return null;
  const covering = agents.filter((pattern) => isOfAgent(pattern, agent));
  const replaced = covering.filter((pattern) => pattern !== agent);
  const others = seen.filter((one) => one !== agent && replaced.some((pattern) => isOfAgent(pattern, one)));
  return { id, key: 'agents', replaced, names: narrowed(agents, covering, others) };
}

/** Whether an entry names a server, or is a pattern of its host. */
const isOfServer = (named: string, server: string): boolean =>
  named.startsWith('*.') ? server.endsWith(named.slice(1)) : named === server;

/** The same for a server of the catalog, or a host that it lacks. An entry that names no servers is of every server. */
export function withoutServer(
  { id, servers }: Pick<ObserveEntry, 'id' | 'servers'>,
  server: string,
  seen: readonly string[],
): NarrowedEntry | null {
  const named = servers ?? [];
  const covering = named.filter((one) => isOfServer(one, server));
  if (servers !== null && covering.length === 0) return null;
  const replaced = covering.filter((one) => one !== server);
  const others = seen.filter(
    (one) => one !== server && (servers === null || replaced.some((pattern) => isOfServer(pattern, one))),
  );
  return {
    id,
    key: 'servers',
    replaced: servers === null ? ['every server'] : replaced,
    names: narrowed(named, covering, others),
  };
}

const narrowed = (all: readonly string[], gone: readonly string[], added: readonly string[]): readonly string[] => [
  ...new Set([...all.filter((one) => !gone.includes(one)), ...added.toSorted()]),
];

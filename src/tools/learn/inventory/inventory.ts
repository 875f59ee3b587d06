import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { seenAgain } from '../sightings.ts';
import type { Sightings } from '../sightings.ts';
import type { ReadRecord } from '../record-window.ts';

/** What an inventory lists. A tool is an action of the catalog; a grant is a permit. */
export const INVENTORY_KINDS = ['agent', 'user', 'server', 'tool', 'grant'] as const;

/** Something that exists, or was used, and when it was used. */
export interface InventoryRow {
  readonly kind: (typeof INVENTORY_KINDS)[number];
  readonly id: string;
  /** `null` if no record of the time that was read shows a use. */
  readonly seen: Sightings | null;
  /** Whether the policy folder has it: an agent in its entities, a server or a tool in its catalog, a permit. */
  readonly isKnown: boolean;
}

/** Most names of each kind, and the longest in characters. A SPIFFE ID has at most 2,048 bytes, and is seldom above 100. */
const MAX_NAMES = 25_000;
const MAX_NAME = 512;

/** What records show as used, and which policies permitted it. Bounded: further names are counted in `left`. */
export class Inventory {
  /** How many times a name was left out, because there was no room or it was too long. */
  left = 0;
  readonly #used = new Map<InventoryRow['kind'], Map<string, Sightings>>(
    INVENTORY_KINDS.map((kind) => [kind, new Map()]),
  );
  readonly #byPolicy = new Map<string, Set<string>>();
  #permits: ReadonlySet<string> | null = null;

  /** Adds a record: a use or an intent that was allowed; others show nothing. */
  add(record: ReadRecord, set: PolicySet): void {
    const { kind, decision, at, agent, action, subject, host } = record;
    if (decision !== 'allow' || typeof at !== 'number' || (kind !== 'use' && kind !== 'intent')) return;
    const policies = Array.isArray(record['policyIds']) ? record['policyIds'] : [];
    this.#note('agent', agent, at);
    if (subject !== agent) this.#note('user', subject, at);
    const known = typeof action === 'string' ? set.catalog.actions.get(action) : undefined;
    const names = kind === 'intent' ? ['issue'] : known === undefined ? [] : [known.id, known.risk];
    for (const policy of policies) {
      // Only what the folder has: texts of records take no room.
      if (typeof policy !== 'string' || !this.#permitsOf(set).has(policy)) continue;
      this.#note('grant', policy, at);
      this.#noteBy(policy, names);
    }
    if (kind === 'intent') return;
    this.#note('server', known?.server.id ?? serverAt(set, record) ?? host, at);
    this.#note('tool', action, at);
  }

  /** Everything that the folder has or records show, by kind: first what was never used, then the least recently used. */
  rows(set: PolicySet): readonly InventoryRow[] {
    const agents = [...set.facts.entities.values()].flatMap(({ uid }) =>
      uid.type === `${NAMESPACE}::Agent` ? [uid.id] : [],
    );
    const permits = set.policies.filter(({ effect }) => effect === 'permit').map(({ id }) => id);
    const known = new Map<InventoryRow['kind'], ReadonlySet<string>>([
      ['agent', new Set(agents)],
      ['server', new Set(set.catalog.servers.keys())],
      ['tool', new Set(set.catalog.actions.keys())],
      ['grant', new Set(permits)],
    ]);
    return INVENTORY_KINDS.flatMap((kind) => {
      const used = this.#used.get(kind) ?? new Map<string, Sightings>();
      const names = known.get(kind) ?? new Set<string>();
      // A forbid that a record names decided, and grants nothing.
      const shown = kind === 'grant' ? names : new Set([...names, ...used.keys()]);
      return [...shown]
        .map((id): InventoryRow => ({ kind, id, seen: used.get(id) ?? null, isKnown: names.has(id) }))
        .toSorted((one, other) => (one.seen?.lastMs ?? 0) - (other.seen?.lastMs ?? 0) || (one.id < other.id ? -1 : 1));
    });
  }

  /**
   * The names in Cedar of the actions that a policy permitted: their ids, their risk groups, and `issue` for tokens. Empty if the catalog has
   * none of these actions any more; `null` if the policy permitted nothing.
   */
  usedBy(policy: string): ReadonlySet<string> | null {
    return this.#byPolicy.get(policy) ?? null;
  }

  #note(kind: InventoryRow['kind'], name: unknown, atMs: number): void {
    if (typeof name !== 'string' || name === '') return;
    const names = this.#used.get(kind);
    if (names === undefined || name.length > MAX_NAME || (!names.has(name) && names.size >= MAX_NAMES)) this.left += 1;
    else names.set(name, seenAgain(names.get(name), atMs));
  }

  #noteBy(policy: string, names: readonly string[]): void {
    const known = this.#byPolicy.get(policy) ?? new Set();
    for (const name of names) known.add(name);
    this.#byPolicy.set(policy, known);
  }

  #permitsOf(set: PolicySet): ReadonlySet<string> {
    this.#permits ??= new Set(set.policies.map(({ id }) => id));
    return this.#permits;
  }
}

/** The server of the catalog at the host and path of a call, even if it was added after the call; `null` if there is none. */
function serverAt({ catalog }: PolicySet, { host, path }: ReadRecord): string | null {
  if (typeof host !== 'string' || host === '' || typeof path !== 'string') return null;
  const found = catalog.serverAt(host, path.slice(1).split('/'));
  return found.kind === 'server' || found.kind === 'lookalike' ? found.server.id : null;
}

import type { Catalog } from '../../core/action/catalog/catalog.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../core/identity/spiffe-id.ts';
import type { SpiffeId } from '../../core/identity/spiffe-id.ts';
import type { ReadRecord } from '../learn/record-window.ts';

/** Most agents, and most servers. An entry can name 64. */
const MAX_NAMES = 5_000;

/** The agents and servers of observed calls, by name. Bounded: of further names nothing is known, and `isCut` is set. */
export class SeenNames {
  readonly agents = new Set<SpiffeId>();
  /** Ids of servers of the catalog, and hosts that it lacks. */
  readonly servers = new Set<string>();
  isCut = false;
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Adds a record of a use. What is malformed shows nothing. */
  add({ mode, agent, action, host, path }: ReadRecord): null {
    if (mode !== 'observe') return null;
    const caller = typeof agent === 'string' ? spiffeIdFrom(agent) : null;
    if (caller !== null && !isDeny(caller)) this.#note(this.agents, caller);
    for (const server of this.#serversOf(action, host, path)) this.#note(this.servers, server);
    return null;
  }

  #serversOf(action: unknown, host: unknown, path: unknown): readonly string[] {
    const known = typeof action === 'string' ? this.#catalog.actions.get(action) : undefined;
    if (known !== undefined) return [known.server.id];
    if (typeof host !== 'string' || host === '' || typeof path !== 'string') return [];
    const at = this.#catalog.serverAt(host, path.slice(1).split('/'));
    if (at.kind === 'server') return [at.server.id];
    return at.kind === 'lookalike' ? [at.server.id, at.of.id] : [host];
  }

  #note<Name extends string>(names: Set<Name>, name: Name): void {
    if (names.size < MAX_NAMES) names.add(name);
    else if (!names.has(name)) this.isCut = true;
  }
}

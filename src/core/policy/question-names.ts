import { trustDomainOf } from '../identity/spiffe-id.ts';
import { entityKey } from './entities.ts';
import type { EntityUid } from './entities.ts';
import { routeOf } from './evaluator.ts';
import type { SlicePart } from './answers/key.ts';
import { getOrAdd } from './answers/slice.ts';
import { NAMESPACE } from './namespace.ts';
import type { Question } from './question.ts';

/** Most memoised names; beyond it the memo is emptied. */
const MAX_NAMES = 16_384;
/** The entity names of a question and their ancestors by name alone. */
export interface QuestionNames {
  readonly route: string;
  readonly principal: EntityUid;
  readonly action: EntityUid;
  readonly resource: EntityUid;
  /** Ancestors that are not stored but follow from the name, by entity key. */
  readonly alsoIn: ReadonlyMap<string, readonly EntityUid[]>;
  /** Memoised `lineageText` by entity key, itself included. */
  readonly lineages: Map<string, string>;
  /** The key prefix of a question with these names: within one engine they always select the same slice. */
  readonly keyPrefixes: Record<SlicePart, string | null>;
}

/** INVARIANT: the ancestors of a name depend on name, catalog and entities only; cache keys therefore hold names only. */
export function namesIn(question: Question, actionGroups: readonly string[]): QuestionNames {
  const principal = uid('Agent', question.principal);
  const action = uid('Action', question.action);
  const server = uid('Server', question.server.id);
  const endpoint = question.endpoint === null ? null : uid('Endpoint', `${question.server.id}:${question.endpoint}`);
  const alsoIn = new Map([
    [entityKey(principal), [uid('TrustDomain', trustDomainOf(question.principal))]],
    [entityKey(action), actionGroups.map((group) => uid('Action', group))],
  ]);
  if (endpoint !== null) alsoIn.set(entityKey(endpoint), [server]);
  const resource = endpoint ?? server;
  return {
    route: routeOf(principal, action, resource),
    principal,
    action,
    resource,
    alsoIn,
    lineages: new Map(),
    keyPrefixes: { whole: null, steady: null },
  };
}

const uid = (type: string, id: string): EntityUid => ({ type: `${NAMESPACE}::${type}`, id });

/**
 * The entity names of questions, memoised by the four values they derive from. Nested maps: four look-ups by existing strings
 * cost less than a look-up by a concatenated key.
 */
export class NamesMemory {
  /** By principal, server, endpoint and action. */
  #principals = new Map<string, Map<string, Map<string | null, Map<string, QuestionNames>>>>();
  #size = 0;

  get({ principal, action, server, endpoint }: Question): QuestionNames | undefined {
    return this.#principals.get(principal)?.get(server.id)?.get(endpoint)?.get(action);
  }

  set({ principal, action, server, endpoint }: Question, names: QuestionNames): QuestionNames {
    if (this.#size >= MAX_NAMES) {
      this.#principals = new Map();
      this.#size = 0;
    }
    const servers = getOrAdd(
      this.#principals,
      principal,
      () => new Map<string, Map<string | null, Map<string, QuestionNames>>>(),
    );
    const endpoints = getOrAdd(servers, server.id, () => new Map<string | null, Map<string, QuestionNames>>());
    getOrAdd(endpoints, endpoint, () => new Map<string, QuestionNames>()).set(action, names);
    this.#size += 1;
    return names;
  }
}

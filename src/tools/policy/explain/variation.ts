import { isDeny } from '../../../core/decision/decision.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { spiffeIdFrom } from '../../../core/identity/spiffe-id.ts';
import { entityKey } from '../../../core/policy/entities.ts';
import type { Entity, EntityUid } from '../../../core/policy/entities.ts';
import type { CedarRecord, CedarValue, Question } from '../../../core/policy/question.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { shownValue } from './values-read.ts';

/** A changed question. */
export interface Variation {
  readonly question: Question;
  /** The changes: `context.args.amount` is `300`, `agent` a SPIFFE ID; `null` for a removed value. */
  readonly changes: ReadonlyMap<string, string | null>;
}

type Path = readonly string[];

/** The original question. */
export const unchanged = (question: Question): Variation => ({ question, changes: new Map() });

/** The context value at a path; `undefined` if there is none. */
export function valueAt({ question }: Variation, path: Path): CedarValue | undefined {
  return path.reduce<CedarValue | undefined>(
    (value, name) => (isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined),
    question.context,
  );
}

/** Sets a context value, creating records on its path; `undefined` removes it. */
export function withFactValue(variation: Variation, path: Path, value: CedarValue | undefined): Variation {
  if (path.length === 0 || JSON.stringify(valueAt(variation, path)) === JSON.stringify(value)) return variation;
  const { principal, action, server, endpoint, context } = variation.question;
  return {
    question: { principal, action, server, endpoint, context: replaced(context, path, value) },
    changes: new Map([
      ...variation.changes,
      [['context', ...path].join('.'), value === undefined ? null : shownValue(value)],
    ]),
  };
}

/** Changes the agent; task and token stay. */
export function withAgent(variation: Variation, principal: SpiffeId): Variation {
  if (principal === variation.question.principal) return variation;
  const { action, server, endpoint, context } = variation.question;
  return {
    question: { principal, action, server, endpoint, context },
    changes: new Map([...variation.changes, ['agent', principal]]),
  };
}

/** The changes in words: `context.args.amount 300, agent spiffe://acme.test/a`. */
export const changesText = ({ changes }: Variation): string =>
  Array.from(changes, ([what, value]) => (value === null ? `no ${what}` : `${what} ${value}`)).join(', ');

/** The agents among the entities, with their ancestors by key. */
export function agentsWithGroups(
  entities: ReadonlyMap<string, Entity>,
): readonly { readonly id: SpiffeId; readonly within: ReadonlySet<string> }[] {
  return [...entities.values()].flatMap(({ uid }) => {
    const id = uid.type === `${NAMESPACE}::Agent` ? spiffeIdFrom(uid.id) : null;
    return id === null || isDeny(id) ? [] : [{ id, within: lineage(uid, entities) }];
  });
}

function lineage(uid: EntityUid, entities: ReadonlyMap<string, Entity>): ReadonlySet<string> {
  const all = new Set([entityKey(uid)]);
  for (const key of all) for (const parent of entities.get(key)?.parents ?? []) all.add(entityKey(parent));
  return all;
}

function replaced(record: CedarRecord, [name = '', ...rest]: Path, value: CedarValue | undefined): CedarRecord {
  const { [name]: before, ...others } = record;
  const within = isRecord(before) ? before : {};
  const after = rest.length === 0 ? value : replaced(within, rest, value);
  return after === undefined ? others : { ...others, [name]: after };
}

const isRecord = (value: CedarValue | undefined): value is CedarRecord =>
  typeof value === 'object' && !Array.isArray(value) && !('__extn' in value);

/** Reduces limits to what records have recorded of what they count. */
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { coversSpiffeId } from '../../../core/identity/spiffe-id-pattern.ts';
import type { Limit, LimitMeasure } from '../../../core/limit/limit.ts';

/** Uses of an action that a limit could not count, and what their records lack. */
export interface Untried {
  readonly limit: string;
  readonly action: string;
  readonly lacks: string;
  readonly count: number;
}

/** What the record of a use has. */
interface InRecord {
  readonly hasUser: boolean;
  readonly args: ReadonlySet<string>;
}

/** The limits of a set without what records lack, and how often they lack it. */
export class RecordedLimits {
  readonly #limits: readonly Limit[];
  readonly #untried = new Map<string, Untried>();
  readonly #reduced = new Map<string, readonly Limit[]>();

  constructor(limits: readonly Limit[]) {
    this.#limits = limits;
  }

  /** The limits without what a record does not have; what they lack is noted for those that cover the agent. */
  limitsOf(id: string, { agent, ...known }: InRecord & { readonly agent: SpiffeId }): readonly Limit[] {
    for (const limit of this.#limits) {
      if (limit.actions?.includes(id) === false || !limit.agents.some((pattern) => isOf(pattern, agent))) continue;
      for (const lacks of lackingOf(limit, known)) {
        const key = JSON.stringify([limit.id, id, lacks]);
        const count = (this.#untried.get(key)?.count ?? 0) + 1;
        this.#untried.set(key, { limit: limit.id, action: id, lacks, count });
      }
    }
    const key = JSON.stringify([id, known.hasUser, [...known.args].toSorted()]);
    const reduced = this.#reduced.get(key) ?? this.#limits.flatMap((limit) => reducedTo(limit, known));
    this.#reduced.set(key, reduced);
    return reduced;
  }

  /** The most frequent first. */
  untried(): readonly Untried[] {
    return [...this.#untried.values()].toSorted((a, b) => b.count - a.count);
  }
}

const isOf = (pattern: string, agent: SpiffeId): boolean => pattern === '*' || coversSpiffeId(pattern, agent);

/** The arguments that a measure reads. */
function readBy(measure: LimitMeasure): readonly string[] {
  if (measure.of === 'distinct') return [measure.argument];
  if (measure.of !== 'amount') return [];
  return measure.currency === null ? [measure.argument] : [measure.argument, measure.currency.argument];
}

function lackingOf({ per, measures }: Limit, { hasUser, args }: InRecord): readonly string[] {
  const isOfUses = measures.some(({ of }) => of !== 'tasks' && of !== 'openTasks');
  if (!hasUser && per.includes('user')) return isOfUses ? ['the user'] : [];
  return [...new Set(measures.flatMap(readBy))].filter((name) => !args.has(name)).map((name) => `\`${name}\``);
}

function reducedTo(limit: Limit, { hasUser, args }: InRecord): readonly Limit[] {
  if (!hasUser && limit.per.includes('user')) return [];
  const measures = limit.measures.filter((measure) => readBy(measure).every((name) => args.has(name)));
  return measures.length === 0 ? [] : [{ ...limit, measures }];
}

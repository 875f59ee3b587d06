import type { Problem } from '../runtime/problem.ts';
import { namedValueLimits, type NamedValues } from './named-values.ts';

/** Who attests: a workload of `contextWriters` or of `operators`, or a transmitter of security events. */
export type AttesterKind = 'writer' | 'operator' | 'signal';

/**
 * A named value that somebody other than the task's agent vouches for. A task has one value per name and attester, so no
 * attester can overwrite another.
 */
export interface Attestation {
  readonly name: string;
  readonly value: string;
  /** SPIFFE ID of the attesting workload, or issuer of the transmitter. */
  readonly by: string;
  readonly kind: AttesterKind;
}

/**
 * A statement of an attester about a task. A workload sends all of its values, which replace its earlier values. A security event
 * sends changes, so the transmitter's other values stay.
 */
export type Attesting =
  | { readonly kind: 'writer'; readonly by: string; readonly values: NamedValues }
  | {
      readonly kind: 'operator';
      readonly by: string;
      readonly values: NamedValues;
      /** Attesters whose values the operator removes. */
      readonly withdraw: readonly string[];
    }
  | {
      readonly kind: 'signal';
      readonly by: string;
      /** `null` removes the value of that name. */
      readonly values: ChangedValues;
    };

/** Changed values by name; `null` for removed values. */
export type ChangedValues = Readonly<Record<string, string | null>>;

/** Most attested values of one task; each attester may have `namedValueLimits.maxNames` of them. */
export const MAX_ATTESTED = 64;

/**
 * Applies a statement and returns all attested values, ordered by attester and name. Values of other attesters stay, unless an
 * operator withdraws them. A problem above 16 values per attester or 64 in all.
 */
export function attestedAfter(attested: readonly Attestation[], saying: Attesting): readonly Attestation[] | Problem {
  const { kind, by } = saying;
  const own = Object.entries(saying.values).flatMap(([name, value]) =>
    value === null ? [] : { name, value, by, kind },
  );
  const kept = attested.filter((one) => stays(one, saying));
  const after = [...kept, ...own];
  if (after.filter((one) => one.by === by).length > namedValueLimits.maxNames) {
    return { problem: `would have more than ${namedValueLimits.maxNames} values attested by \`${by}\`` };
  }
  return after.length > MAX_ATTESTED
    ? { problem: `would have more than ${MAX_ATTESTED} attested values: an operator can withdraw those of an attester` }
    : after.toSorted((a, b) => order(a.by, b.by) || order(a.name, b.name));
}

/** Whether an earlier value survives the statement. */
function stays(one: Attestation, saying: Attesting): boolean {
  if (one.by === saying.by) return saying.kind === 'signal' && !Object.hasOwn(saying.values, one.name);
  return saying.kind !== 'operator' || !saying.withdraw.includes(one.by);
}

/** A changed attested value. */
export interface AttestedChange extends Pick<Attestation, 'name' | 'by'> {
  /** `null` if it was removed. */
  readonly value: string | null;
  /** Whether this attester had no value of that name before. */
  readonly isNew: boolean;
}

/** The added, changed and removed values, ordered by attester and name. */
export function changedAttestations(
  before: readonly Attestation[],
  after: readonly Attestation[],
): readonly AttestedChange[] {
  const from = byKey(before);
  const to = byKey(after);
  return [...new Map([...from, ...to])]
    .filter(([key]) => from.get(key)?.value !== to.get(key)?.value)
    .map(([key, { name, by }]) => ({ name, by, value: to.get(key)?.value ?? null, isNew: !from.has(key) }))
    .toSorted((a, b) => order(a.by, b.by) || order(a.name, b.name));
}

const byKey = (attested: readonly Attestation[]): ReadonlyMap<string, Attestation> =>
  new Map(attested.map((one) => [JSON.stringify([one.by, one.name]), one]));

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

import type { Problem } from '../token/members.ts';
import { namedValueLimits, type NamedValues } from './named-values.ts';

/** Who attests: a workload of `contextWriters`, one of `operators`, or a transmitter of security events. */
export type AttesterKind = 'writer' | 'operator' | 'signal';

/**
 * A named value that somebody other than the task's agent has vouched for. A task has at most one of a name by each
 * attester, so that no attester changes what another one said.
 */
export interface Attestation {
  readonly name: string;
  readonly value: string;
  /** SPIFFE ID of the workload that said so; of a transmitter its issuer. */
  readonly by: string;
  readonly kind: AttesterKind;
}

/**
 * What an attester says of a task. A workload gives all of its values, which take the place of those it gave before. A
 * security event tells what has changed, so its transmitter's other values stay.
 */
export type Attesting =
  | { readonly kind: 'writer'; readonly by: string; readonly values: NamedValues }
  | {
      readonly kind: 'operator';
      readonly by: string;
      readonly values: NamedValues;
      /** Attesters whose values the operator takes away. */
      readonly withdraw: readonly string[];
    }
  | {
      readonly kind: 'signal';
      readonly by: string;
      /** `null` takes the value of that name away. */
      readonly values: ChangedValues;
    };

/** Named values that are new, and `null` for those that are gone. */
export type ChangedValues = Readonly<Record<string, string | null>>;

/** Values of one task in all; each attester has at most `namedValueLimits.maxNames` of them. */
export const MAX_ATTESTED = 64;

/**
 * What is attested of a task after an attester spoke, in the order of attester and name. The values of other attesters stay,
 * unless an operator withdraws them. A problem where it is more than 16 of the attester, or more than 64 in all.
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

/** Whether a value that was attested before is still attested, beside what is said now. */
function stays(one: Attestation, saying: Attesting): boolean {
  if (one.by === saying.by) return saying.kind === 'signal' && !Object.hasOwn(saying.values, one.name);
  return saying.kind !== 'operator' || !saying.withdraw.includes(one.by);
}

/** An attested value that is not what it was. */
export interface AttestedChange extends Pick<Attestation, 'name' | 'by'> {
  /** `null` where it is gone. */
  readonly value: string | null;
  /** Whether this attester had said nothing under that name. */
  readonly isNew: boolean;
}

/** What is new, other or gone, in the order of attester and name. */
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

import type { Problem } from '../token/members.ts';
import type { NamedValues } from './named-values.ts';

/** Who attests: a workload of `contextWriters`, or one of `operators`. */
export type AttesterKind = 'writer' | 'operator';

/**
 * A named value that somebody other than the task's agent has vouched for. A task has at most one of a name by each
 * attester, so that no attester changes what another one said.
 */
export interface Attestation {
  readonly name: string;
  readonly value: string;
  /** SPIFFE ID of the workload that said so. */
  readonly by: string;
  readonly kind: AttesterKind;
}

/** What an attester says of a task: all of its own values, which take the place of those it gave before. */
export interface Attesting {
  readonly kind: AttesterKind;
  readonly by: string;
  readonly values: NamedValues;
  /** Attesters whose values an operator takes away; of nobody else is it read. */
  readonly withdraw: readonly string[];
}

/** Values of one task in all; each attester has at most `namedValueLimits.maxNames` of them. */
export const MAX_ATTESTED = 64;

/**
 * What is attested of a task after an attester spoke, in the order of attester and name. The values of other attesters stay,
 * unless an operator withdraws them. A problem where it is more than 64 in all.
 */
export function attestedAfter(
  attested: readonly Attestation[],
  { kind, by, values, withdraw }: Attesting,
): readonly Attestation[] | Problem {
  const gone = new Set([by, ...(kind === 'operator' ? withdraw : [])]);
  const own = Object.entries(values).map(([name, value]) => ({ name, value, by, kind }));
  const after = [...attested.filter((one) => !gone.has(one.by)), ...own];
  return after.length > MAX_ATTESTED
    ? { problem: `would have more than ${MAX_ATTESTED} attested values: an operator can withdraw those of an attester` }
    : after.toSorted((a, b) => order(a.by, b.by) || order(a.name, b.name));
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

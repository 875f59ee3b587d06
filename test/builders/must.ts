import type { Deny } from '../../src/core/decision/decision.ts';
import type { StoreFailure } from '../../src/core/runtime/store-failure.ts';

/** Every form in which the product returns a failure. */
type Failure =
  | Deny
  | StoreFailure
  | { readonly problem: string }
  | { readonly problems: readonly unknown[] }
  | { readonly findings: readonly unknown[] };

const FAILURES: ReadonlySet<unknown> = new Set(['deny', 'store-failure']);

/** A result that must be no failure; throws with the failure. */
export function must<T>(value: T): Exclude<T, Failure> {
  if (isFailure(value)) throw new Error(`expected a result, got ${JSON.stringify(value)}`);
  return value as Exclude<T, Failure>;
}

/** A result that must be there, and be no failure. */
export function mustFind<T>(value: T): Exclude<T, Failure | null | undefined> {
  const result = must(value);
  if (result === undefined || result === null) throw new Error('expected a result, got none');
  return result as Exclude<T, Failure | null | undefined>;
}

const isFailure = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (('kind' in value && FAILURES.has(value.kind)) ||
    ('problem' in value && typeof value.problem === 'string') ||
    ('problems' in value && Array.isArray(value.problems)) ||
    ('findings' in value && Array.isArray(value.findings)));

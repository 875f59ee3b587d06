/** Results of analyses and tests of policy sets, bound to the set by its hash. */
import {
  bool,
  integer,
  isObject,
  listOf,
  members,
  oneOf,
  optional,
  orNull,
  text,
  textLike,
} from '../../core/runtime/fields.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';

/** How an invariant was answered for one action. */
export interface InvariantSeen {
  /** Ids of the policies of the specification. */
  readonly invariants: readonly string[];
  /** Why it must hold; `null` if the specification does not say. */
  readonly reason: string | null;
  readonly action: string;
  readonly verdict: 'proved' | 'refuted' | 'undecided';
}

/** What every result says. */
interface ResultOf {
  /** The hash of the set that it is about. */
  readonly policySet: string;
  /** When it was made, ISO 8601, as it says itself. */
  readonly at: string;
  /** `null` if this report made it; otherwise the file that says it, with the SHA-256 of its bytes, base64url. */
  readonly from: { readonly file: string; readonly sha256: string } | null;
}

/** Invariants that were asked about a set. */
export interface AnalysisResult extends ResultOf {
  readonly kind: 'analysis';
  /** The versions of Cedar's symbolic analysis and of the solver, as they say themselves. */
  readonly prover: { readonly cedar: string; readonly cvc5: string };
  readonly spec: { readonly file: string; readonly sha256: string };
  readonly answers: readonly InvariantSeen[];
}

/** Test cases that were run against a set. */
export interface TestResult extends ResultOf {
  readonly kind: 'tests';
  /** The version of Remit that ran them. */
  readonly remit: string;
  /** Whether all cases were run, and unlisted calls tried. */
  readonly isWhole: boolean;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Unlisted calls that were allowed; `null` if none were tried. */
  readonly unlisted: number | null;
  readonly coverage: { readonly percent: number; readonly points: number; readonly covered: number };
  /** `null` if no policy was mutated. */
  readonly mutation: {
    readonly mutants: number;
    readonly noticed: number;
    readonly survived: number;
    readonly accepted: number;
  } | null;
}

/** A result about one set. */
export type SetResult = AnalysisResult | TestResult;

const MAX_COUNT = 1e9;
const count = integer(0, MAX_COUNT);
const word = text({ max: 256 });
const digest = textLike('a SHA-256 in base64url', (value) => /^[\w-]{43}$/.test(value));
const setHash = textLike('the hash of a policy set', (value) => /^sha-256:[\w-]{43}$/.test(value));
const instant = textLike(
  'an instant such as `2026-01-02T03:04:05.000Z`',
  (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value) && !Number.isNaN(Date.parse(value)),
);
const others = { others: 'ignored' } as const;

const answer = members(
  {
    direction: word,
    action: word,
    verdict: oneOf(['proved', 'refuted', 'undecided']),
    invariants: optional(listOf(word, { max: 10_000 }), []),
    reason: optional(orNull(text({ max: 256 }))),
  },
  others,
);
const analysis = members(
  {
    policySet: setHash,
    at: instant,
    prover: members({ cedar: word, cvc5: word }),
    spec: orNull(members({ file: word, sha256: digest })),
    findings: listOf(answer, { min: 0, max: 100_000 }),
  },
  others,
);
const unlisted = members({ allowed: (value: unknown) => lengthOf(value) }, others);
const mutation = members(
  {
    mutants: count,
    noticed: count,
    survivors: (value: unknown) => lengthOf(value),
    accepted: (value: unknown) => lengthOf(value),
  },
  others,
);
const tests = members(
  {
    policySet: setHash,
    at: instant,
    remit: word,
    isWhole: bool,
    passed: count,
    failed: count,
    skipped: count,
    unlisted: orNull(unlisted),
    coverage: members({ percent: integer(0, 100), points: count, covered: count }, others),
    mutation: optional(mutation),
  },
  others,
);

const lengthOf = (value: unknown): number | Problem =>
  Array.isArray(value) ? value.length : { problem: 'must be a list' };

const HOW =
  'it must be what `remit policy analyze SET --spec FILE --json` or `remit policy test --json` of this version prints';

/** Reads a result from the output of `remit policy analyze --json` or `remit policy test --json`. */
export function setResultFrom(written: unknown, from: SetResult['from']): SetResult | Problem {
  if (!isObject(written)) return { problem: HOW };
  return 'coverage' in written ? testResult(written, from) : analysisResult(written, from);
}

function analysisResult(written: object, from: SetResult['from']): AnalysisResult | Problem {
  const read = analysis(written);
  if (isProblem(read)) return { problem: `${read.problem}: ${HOW}` };
  const { policySet, at, prover, spec, findings } = read;
  const answers = findings.flatMap(({ direction, action, verdict, invariants, reason }) =>
    direction === 'invariant' ? [{ invariants, reason, action, verdict }] : [],
  );
  if (spec === null || answers.length === 0)
    return { problem: 'it has no invariants: a comparison of sets says nothing of what one of them allows' };
  return { kind: 'analysis', policySet, at, from, prover, spec, answers };
}

function testResult(written: object, from: SetResult['from']): TestResult | Problem {
  const read = tests(written);
  if (isProblem(read)) return { problem: `${read.problem}: ${HOW}` };
  const { policySet, at, remit, isWhole, passed, failed, skipped, coverage } = read;
  const { survivors: survived = 0, accepted = 0, mutants = 0, noticed = 0 } = read.mutation ?? {};
  return {
    kind: 'tests',
    policySet,
    at,
    from,
    remit,
    isWhole,
    passed,
    failed,
    skipped,
    coverage,
    unlisted: read.unlisted?.allowed ?? null,
    mutation: read.mutation === null ? null : { mutants, noticed, survived, accepted },
  };
}

/** What contradicts a set by a result: an invariant that does not hold, or cases that failed; `null` if nothing does. */
export function contradictionIn(result: SetResult): string | null {
  if (result.kind === 'tests') {
    const { failed, unlisted: allowed } = result;
    if (failed > 0) return `${failed} test cases failed`;
    return allowed === null || allowed === 0 ? null : `${allowed} calls were allowed that no test case lists`;
  }
  const refuted = result.answers.filter(({ verdict }) => verdict === 'refuted');
  const ids = [...new Set(refuted.flatMap(({ invariants }) => invariants))];
  return ids.length === 0
    ? null
    : `refuted: ${ids
        .slice(0, 5)
        .map((id) => `\`${id}\``)
        .join(', ')}`;
}

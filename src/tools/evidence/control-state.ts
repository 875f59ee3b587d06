/** Whether the records of a period evidence a control, and what keeps them from it. */
import type { ClassId } from './evidence-class.ts';
import type { Control } from './framework.ts';
import type { JudgedSet } from './judged-set.ts';
import type { AllowedBySet, ClassTally } from './class-count.ts';
import { contradictionIn, type SetResult } from './set-results.ts';
import type { Tally } from './tally.ts';
import type { Verdict } from '../../core/ledger/proof/verdict.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';

/** Whether records of the period show anything of a control. Only a control without a gap is `evidenced`. */
export type ControlState =
  | 'evidenced'
  | 'evidenced in part'
  | 'recorded, not evidenced'
  | 'no record in this period'
  | 'not evidenced by this ledger';

/** Why a control is not evidenced, or in part only. */
export interface ControlGap {
  readonly code:
    | 'ledger-broken'
    | 'records-missing'
    | 'open-permit'
    | 'open-set'
    | 'text-unknown'
    | 'contradicted'
    | 'only-observed'
    | 'unchecked'
    | 'no-outcomes';
  /** Whether nothing is left that evidences the control. */
  readonly isWhole: boolean;
  readonly text: string;
}

/** What the state of each control depends on, besides its own records. */
export interface StateFacts {
  readonly verdicts: readonly Verdict[];
  /** Which records of the period may be missing, in words. */
  readonly missing: readonly string[];
  /** The sets that decided in the period, or were in force in it, by hash. */
  readonly sets: ReadonlyMap<string, JudgedSet | Problem>;
  /** Results of analyses and tests of these sets. */
  readonly results: readonly SetResult[];
  readonly tally: Pick<Tally, 'classes' | 'observed' | 'uses'>;
}

/** What of a control was allowed, and how much of that policies are known to have restricted. */
export interface AllowedOf {
  readonly allowed: number;
  /** Allowed by a permit of everything, or by a set that lets unknown agents do everything. */
  readonly unrestricted: number;
  /** Allowed by policies whose text is not here, or that the record does not name. */
  readonly unknown: number;
}

/** Classes whose records policies decide: what they show is true only if the policies restrict. */
const BY_POLICY: ReadonlySet<ClassId> = new Set(['E2', 'E3', 'E4', 'E6']);
/** Classes of which each allowed record is one call, or one intent. */
const ALLOWING: ReadonlySet<ClassId> = new Set(['E2', 'E3']);

/** Whether policies decide records that count for a control. */
export const isByPolicy = ({ classes }: Pick<Control, 'classes'>): boolean => classes.some((id) => BY_POLICY.has(id));

/** The state of a control, with its gaps. */
export function controlStateOf(
  { coverage, classes }: Pick<Control, 'coverage' | 'classes'>,
  tallies: readonly ClassTally[],
  facts: StateFacts,
): { readonly state: ControlState; readonly gaps: readonly ControlGap[] } {
  if (coverage === 'none') return { state: 'not evidenced by this ledger', gaps: [] };
  if (tallies.every(({ count }) => count === 0)) return { state: 'no record in this period', gaps: [] };
  const isDecided = isByPolicy({ classes });
  const gaps = [
    ...brokenGaps(facts),
    ...facts.missing.map((text) => ({ code: 'records-missing', isWhole: false, text }) as const),
    ...(isDecided ? decidedGaps(tallies, facts) : []),
    ...(isDecided || classes.includes('E1') ? uncheckedGaps(facts) : []),
    ...(classes.includes('E11') ? outcomeGaps(facts) : []),
  ];
  if (gaps.length === 0) return { state: 'evidenced', gaps };
  return { state: gaps.some(({ isWhole }) => isWhole) ? 'recorded, not evidenced' : 'evidenced in part', gaps };
}

/** The gaps of a control whose records policies decide. */
const decidedGaps = (tallies: readonly ClassTally[], facts: StateFacts): readonly ControlGap[] => [
  ...allowedGaps(allowedOf(tallies, facts)),
  ...foreignGaps(tallies, facts),
  ...setGaps(facts),
  ...contradictedGaps(facts),
  ...observedGaps(facts),
];

/** What was allowed of the calls and intents of a control. */
export function allowedOf(tallies: readonly ClassTally[], { sets }: Pick<StateFacts, 'sets'>): AllowedOf {
  const all = tallies.filter(({ id }) => ALLOWING.has(id)).flatMap(({ bySet }) => bySet);
  return all.reduce(
    (sum, of) => {
      const { unrestricted, unknown } = restrictionOf(of, sets);
      return {
        allowed: sum.allowed + of.allowed,
        unrestricted: sum.unrestricted + unrestricted,
        unknown: sum.unknown + unknown,
      };
    },
    { allowed: 0, unrestricted: 0, unknown: 0 },
  );
}

/** INVARIANT: a set that is not known restricts nothing that can be claimed. */
function restrictionOf({ set, allowed, unrestricted }: AllowedBySet, sets: StateFacts['sets']) {
  const judged = set === null ? undefined : sets.get(set);
  if (judged === undefined || isProblem(judged)) return { unrestricted, unknown: allowed - unrestricted };
  return { unrestricted: judged.openTo === null ? unrestricted : allowed, unknown: 0 };
}

const brokenGaps = ({ verdicts }: StateFacts): readonly ControlGap[] =>
  verdicts.some(({ kind }) => kind === 'broken')
    ? [
        {
          code: 'ledger-broken',
          isWhole: true,
          text: 'the ledger, or the log of a sidecar, is broken: see the verdicts',
        },
      ]
    : [];

function allowedGaps({ allowed, unrestricted, unknown }: AllowedOf): readonly ControlGap[] {
  const isWhole = allowed > 0 && unrestricted + unknown === allowed;
  return [
    ...(unrestricted === 0
      ? []
      : [
          {
            code: 'open-permit',
            isWhole,
            text: `policies that permit everything allowed ${unrestricted} of ${allowed} calls and intents`,
          } as const,
        ]),
    ...(unknown === 0
      ? []
      : [
          {
            code: 'text-unknown',
            isWhole,
            text: `whether policies restricted ${unknown} of ${allowed} allowed calls and intents is not known: their texts are not here, or the records name none`,
          } as const,
        ]),
  ];
}

/** A record may name a policy that the text of its set lacks: then nothing is known of what allowed the call. */
function foreignGaps(tallies: readonly ClassTally[], { sets }: StateFacts): readonly ControlGap[] {
  const foreign = tallies
    .flatMap(({ policies }) => policies)
    .filter(({ set, id, allowed }) => {
      const judged = sets.get(set);
      return allowed > 0 && judged !== undefined && !isProblem(judged) && !judged.policies.some((of) => of.id === id);
    });
  const count = new Set(foreign.map(({ set, id }) => JSON.stringify([set, id]))).size;
  const text = `records of allowed calls name ${count} policies that the texts of their sets lack`;
  return count === 0 ? [] : [{ code: 'text-unknown', isWhole: false, text }];
}

/** Sets in force may be open, or not known, although they decided nothing. */
function setGaps({ sets }: StateFacts): readonly ControlGap[] {
  const known = [...sets.values()].flatMap((set) => (isProblem(set) ? [] : [set]));
  const open = known.filter(({ openPermits, openTo }) => openPermits.length > 0 || openTo !== null);
  const unknown = sets.size - known.length;
  const isWhole = sets.size > 0 && open.length + unknown === sets.size;
  return [
    ...open.map(({ hash, openPermits, openTo }) => ({
      code: 'open-set' as const,
      isWhole,
      text: `the set \`${shortHash(hash)}\` has ${openPermits.length > 0 ? `a permit of everything: ${openPermits.map((id) => `\`${id}\``).join(', ')}` : `permits that together let an agent of \`${openTo}\` that nobody knows do everything`}`,
    })),
    ...(unknown === 0
      ? []
      : [
          {
            code: 'text-unknown',
            isWhole,
            text: `what ${unknown} of ${sets.size} policy sets in force permit is not known`,
          } as const,
        ]),
  ];
}

const contradictedGaps = ({ results }: StateFacts): readonly ControlGap[] =>
  results.flatMap((result) => {
    const what = contradictionIn(result);
    return what === null
      ? []
      : [{ code: 'contradicted', isWhole: false, text: `of the set \`${shortHash(result.policySet)}\`, ${what}` }];
  });

function observedGaps({ tally: { classes, observed } }: StateFacts): readonly ControlGap[] {
  if (observed.count === 0) return [];
  const enforced = (['E3', 'E4'] as const).reduce((sum, id) => sum + (classes.get(id)?.count ?? 0), 0);
  const text = `${observed.count} calls were only observed: no policy decided them`;
  return [{ code: 'only-observed', isWhole: enforced === 0, text }];
}

/** Findings that contradict enforcement, in words. */
const UNCHECKED: Readonly<Record<string, string>> = {
  bypass: 'reached an upstream without a check',
  'failure-mode-allowed': 'passed since Envoy could not ask',
  'denied-but-served': 'were denied and served all the same',
  'access-log-lost': 'may have passed unseen, since access logs were lost',
};

const uncheckedGaps = ({ tally: { classes } }: StateFacts): readonly ControlGap[] =>
  (classes.get('E11')?.exceptions ?? []).flatMap(({ code, count }) => {
    const what = UNCHECKED[code];
    return what === undefined
      ? []
      : [{ code: 'unchecked', isWhole: false, text: `calls ${what}: ${count} findings (\`${code}\`)` }];
  });

/** Without outcomes nothing was compared with what Envoy did, so that no call without a check could be found. */
function outcomeGaps({ tally: { uses } }: StateFacts): readonly ControlGap[] {
  const known = uses.executed + uses.unanswered + uses.notSent;
  if (uses.allowed === 0 || known > 0) return [];
  return [{ code: 'no-outcomes', isWhole: false, text: `of ${uses.allowed} allowed calls no outcome is recorded` }];
}

/** Enough of the hash of a set to find it in the report. */
export const shortHash = (hash: string): string => hash.slice(0, 16);

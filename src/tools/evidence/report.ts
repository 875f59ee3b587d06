/** The report of a ledger for the controls of a framework. */
import type { EmitterVerdict } from '../../authority/records/emitter-verdict.ts';
import type { RecordRange, Verdict } from '../../core/ledger/proof/verdict.ts';
import { type CountedRecords, type LedgerPlace, type RecordRef, refOf, totalOf } from './counted.ts';
import { type ClassId, evidenceClasses } from './evidence-class.ts';
import { byCount, type ClassTally, type DecidingPolicy } from './class-count.ts';
import {
  type AllowedOf,
  allowedOf,
  type ControlGap,
  type ControlState,
  isByPolicy,
  type StateFacts,
  controlStateOf,
} from './control-state.ts';
import type { ControlCoverage, Framework } from './framework.ts';
import type { HeldException } from './held-exceptions.ts';
import type { JudgedSet } from './judged-set.ts';
import { byPlace } from './sample.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import type { SetResult } from './set-results.ts';
import type { Tally } from './tally.ts';

/** An anchor used for the verdict. */
export interface AnchorSeen {
  /** Number of records it covers. */
  readonly size: number;
  /** When it was received, ISO 8601; `null` if not noted. */
  readonly receivedAt: string | null;
}

/** A sampled record with its proof of inclusion, or why there is none. */
export interface SampledRecord {
  /** Its number; in the log of a sidecar with the origin of that log before it. */
  readonly ref: RecordRef;
  readonly at: string;
  /** The evidence classes it was sampled for. */
  readonly classes: readonly ClassId[];
  /** Its content in one line. */
  readonly what: string;
  /** A C2SP tlog-proof; `null` if there is none. */
  readonly proof: string | null;
  readonly why: string | null;
}

/** A policy set that decided, or took effect, in the period. */
export interface PolicySetSeen {
  readonly hash: string;
  /** Number of decisions by it in the period. */
  readonly decisions: number;
  /** Whether it was the last to take effect before the end of the period, in one of the logs. */
  readonly isInForce: boolean;
  readonly loads: readonly {
    readonly ref: RecordRef;
    readonly at: string;
    /** Its source, and the key that signed it. */
    readonly origin: string;
    readonly by: string;
  }[];
  /** In words, whether its text is kept here and has its hash. */
  readonly text: string;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly text: string | null }[];
  /** What its policies restrict; a problem if that is not known. */
  readonly judged: Omit<JudgedSet, 'set' | 'hash' | 'observed'> | Problem;
  /** Its enforced policies that no record of the period names as deciding; `null` if that is not known. */
  readonly idle: readonly string[] | null;
  /** Results of analyses and tests of this very set. */
  readonly results: readonly SetResult[];
}

/** A control and the evidence for it. */
export interface ControlEvidence {
  readonly id: string;
  readonly title: string;
  readonly aliases: Framework['controls'][number]['aliases'];
  readonly coverage: ControlCoverage;
  readonly limit: string;
  readonly state: ControlState;
  /** Why it is not evidenced, or in part only. */
  readonly gaps: readonly ControlGap[];
  /** The policies that decided the counted records, most frequent first, those of two sets apart. */
  readonly policies: readonly DecidingPolicy[];
  /** The calls, and intents, that were allowed; `null` if it counts neither. */
  readonly allowed: AllowedOf | null;
  /** What was proved and tested of each set of the period, if policies decide the control; a set without results has none. */
  readonly assurance: readonly SetAssurance[];
  /** What became of the allowed calls; `null` if it counts no allowed calls. */
  readonly uses: Tally['uses'] | null;
  readonly enforced: readonly {
    readonly id: ClassId;
    readonly title: string;
    readonly shows: string;
    readonly count: number;
  }[];
  readonly exceptions: readonly { readonly code: string; readonly count: number }[];
  readonly first: Instant | null;
  readonly last: Instant | null;
  /** Sampled records. */
  readonly sample: readonly RecordRef[];
}

/** What was proved and tested of one set. */
export interface SetAssurance {
  readonly set: string;
  readonly isInForce: boolean;
  /** Invariants by answer, each with its action; `null` without an analysis of this set. */
  readonly invariants: { readonly proved: number; readonly refuted: number; readonly undecided: number } | null;
  /** The lowest clause coverage, in percent, of results of all cases; `null` without one. */
  readonly coverage: number | null;
  /** The most mutants that survived; `null` if nothing was mutated. */
  readonly survived: number | null;
}

/** The records of an evidence class in the period. */
export interface ClassSeen {
  readonly id: ClassId;
  readonly title: string;
  readonly shows: string;
  readonly count: number;
  readonly exceptions: ControlEvidence['exceptions'];
}

/** A record with its instant as ISO 8601. */
export interface Instant {
  readonly ref: RecordRef;
  readonly at: string;
}

/** The log of a sidecar, whose authority kept some of its records. */
export interface ReceivedSeen extends Omit<EmitterVerdict, 'verdict'> {
  readonly verdict: Verdict;
  /** The records that the authority of this ledger kept. They are counted if the log is sound. */
  readonly counted: readonly RecordRange[];
}

/** Evidence of a period for one framework. */
export interface EvidenceReport {
  readonly framework: Pick<Framework, 'id' | 'title' | 'version' | 'source' | 'date'>;
  readonly from: string;
  readonly to: string;
  readonly madeAt: string;
  readonly madeBy: string;
  readonly ledger: {
    readonly folder: string;
    readonly origin: string;
    readonly verdict: Verdict;
    /** Records of the period that no checkpoint and no anchor covers. Nothing here counts them. */
    readonly leftOut: number;
    readonly anchors: readonly AnchorSeen[];
    /** The last checkpoint; `null` if there is none. */
    readonly head: { readonly size: number; readonly root: string } | null;
    readonly keyId: string;
  };
  /** The logs of sidecars that the ledger names, with what was counted of each; `null` if they were not asked for. */
  readonly received: readonly ReceivedSeen[] | null;
  readonly records: CountedRecords;
  /** Calls of the period that were only observed: let through by no policy, and counted by no control. */
  readonly observed: CountedRecords;
  /** All classes, even those that no control of the framework names, so that no exception of the period is left out. */
  readonly classes: readonly ClassSeen[];
  readonly controls: readonly ControlEvidence[];
  readonly policySets: readonly PolicySetSeen[];
  /** Acts of operators, and signatures of policy sets. */
  readonly oversight: readonly (NamedCount & { readonly act: string })[];
  readonly heldExceptions: readonly HeldException[];
  readonly actors: readonly NamedCount[];
  readonly agents: readonly NamedCount[];
  readonly actions: readonly NamedCount[];
  readonly args: Tally['args'];
  /** The outcomes of the allowed calls of the period: allowed is not executed. */
  readonly uses: Tally['uses'];
  readonly seed: { readonly text: string; readonly isGiven: boolean };
  readonly sample: readonly SampledRecord[];
  readonly limits: readonly string[];
}

/** A named count, with first and last. */
export interface NamedCount {
  readonly name: string;
  readonly count: number;
  readonly first: string | null;
  readonly last: string | null;
}

/** The controls of a framework with their evidence from a tally. */
export const controlsOf = (
  framework: Framework,
  tally: Tally,
  { assurance, ...facts }: Omit<StateFacts, 'tally'> & { readonly assurance: readonly SetAssurance[] },
): readonly ControlEvidence[] =>
  framework.controls.map((control) => {
    const tallies = control.classes.flatMap((id) => tally.classes.get(id) ?? []);
    const all = totalOf(tallies);
    const allowed = allowedOf(tallies, facts);
    return {
      id: control.id,
      title: control.title,
      aliases: control.aliases,
      coverage: control.coverage,
      limit: control.limit,
      ...controlStateOf(control, tallies, { ...facts, tally }),
      policies: policiesOf(tallies),
      allowed: allowed.allowed === 0 ? null : allowed,
      assurance: isByPolicy(control) ? assurance : [],
      // The class E3 has every call that policies allowed.
      uses: control.classes.includes('E3') && tally.uses.allowed > 0 ? tally.uses : null,
      enforced: tallies.map(enforcedBy),
      exceptions: exceptionsOf(tallies),
      first: instantOf(all.first),
      last: instantOf(all.last),
      sample: [
        ...new Set(
          tallies
            .flatMap(({ sampled }) => sampled)
            .toSorted(byPlace)
            .map(refOf),
        ),
      ],
    };
  });

/** A record can be of several classes, so the largest count of a policy is taken. */
function policiesOf(tallies: readonly ClassTally[]): readonly DecidingPolicy[] {
  const byName = new Map<string, DecidingPolicy>();
  for (const policy of tallies.flatMap(({ policies }) => policies)) {
    const name = JSON.stringify([policy.set, policy.id]);
    if (policy.count > (byName.get(name)?.count ?? 0)) byName.set(name, policy);
  }
  return [...byName.values()].toSorted(byCount);
}

/** All classes of a tally. */
export const classesOf = ({ classes }: Tally): readonly ClassSeen[] =>
  [...classes.values()].map((of) => Object.assign(enforcedBy(of), { exceptions: of.exceptions }));

function enforcedBy({ id, count }: ClassTally): ControlEvidence['enforced'][number] {
  const entry = evidenceClasses.find((each) => each.id === id);
  // What no record shows is not claimed.
  const shows = count === 0 ? 'nothing in this period' : (entry?.shows ?? '');
  return { id, title: entry?.title ?? id, shows, count };
}

/** By code. Two classes of a control that count the same code count the same records, so the larger count is taken. */
function exceptionsOf(tallies: readonly ClassTally[]): ControlEvidence['exceptions'] {
  const counts = new Map<string, number>();
  for (const { code, count } of tallies.flatMap(({ exceptions }) => exceptions)) {
    counts.set(code, Math.max(counts.get(code) ?? 0, count));
  }
  return Array.from(counts, ([code, count]) => ({ code, count })).toSorted(
    (a, b) => b.count - a.count || (a.code < b.code ? -1 : 1),
  );
}

const instantOf = (place: LedgerPlace | null): Instant | null =>
  place === null ? null : { ref: refOf(place), at: isoOf(place.at) };

/** An instant as ISO 8601; beyond the range of `Date`, as a number. */
export const isoOf = (ms: number): string => (Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : String(ms));

/** Named counts; names beyond the limit in one row. */
export const namedOf = ({ named, others }: Tally['actors']): readonly NamedCount[] =>
  [...named, ...(others.count === 0 ? [] : [{ name: '(others)', ...others }])].map(({ name, count, first, last }) => ({
    name,
    count,
    first: first === null ? null : isoOf(first.at),
    last: last === null ? null : isoOf(last.at),
  }));

/** The acts of people, most frequent first. */
export const oversightOf = ({ acts }: Pick<Tally, 'acts'>): EvidenceReport['oversight'] =>
  acts.map(({ act, by, count, first, last }) => ({
    act,
    name: by,
    count,
    first: first === null ? null : isoOf(first.at),
    last: last === null ? null : isoOf(last.at),
  }));

/** What no report of a ledger can show, for every framework. */
export const REPORT_LIMITS: readonly string[] = [
  'This report provides evidence for controls. It states no conformity: that is for an assessor, who knows the organization and its scope.',
  'A ledger proves what was written, not that what was written was true; and calls that do not pass Envoy are not in it.',
  'Instants are those of the clock of the machine. Anchors that were received elsewhere bound them; the verdict names contradictions.',
  'Records without an anchor could have been rewritten by the holder of the signing key of the ledger.',
  'Counts are of one ledger and, with `--received`, of what its authority kept of the logs of sidecars. Run this for the ledger of each process or authority: together they count each record once.',
  'A permit of everything is recognised by its text, and by trying each set with agents that nobody knows. Conditions that hold for every request in another disguise are found by proof alone: `remit policy analyze SET --spec`.',
  'Results of analyses and tests are claimed for the very set, by its hash, that they name. Those from a file are what that file says. Proofs are by the named version of Cedar’s symbolic analysis; the engine that decides may be of another.',
  'A name given with `--by` is what the holder of that account stated; the machine vouches only for the account.',
  'A sample shows only the records drawn. Anybody who can choose the head of the ledger can choose among samples: give a seed of your own with `--seed`.',
];

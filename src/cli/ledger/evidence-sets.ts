/** The policy sets of a period, for `remit ledger evidence`. */
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import { heldExceptions } from '../../tools/evidence/held-exceptions.ts';
import { judgedSets, type JudgedSet } from '../../tools/evidence/judged-set.ts';
import { idlePolicies, type SetInPeriod } from '../../tools/evidence/policy-sets.ts';
import type { EvidenceReport } from '../../tools/evidence/report.ts';
import type { SetResult } from '../../tools/evidence/set-results.ts';
import type { SetTexts } from '../../tools/evidence/set-texts.ts';
import type { Tally } from '../../tools/evidence/tally.ts';
import { ownerFinder } from '../../tools/policy/owners/ownership.ts';
import { ownersIn } from '../../tools/policy/owners/owners-file.ts';
import type { CommandIo } from '../command.ts';
import { isCommandRefusal, type CommandRefusal } from '../task/task-source.ts';
import { analysedNow } from './evidence-results.ts';

/** What the policy sets of a period restrict, and the exceptions from enforcement. */
export interface JudgedPeriod {
  /** By hash. */
  readonly judged: ReadonlyMap<string, JudgedSet | Problem>;
  readonly policySets: EvidenceReport['policySets'];
  /** Results of analyses and tests of these sets, and of no other. */
  readonly results: readonly SetResult[];
  readonly exceptions: EvidenceReport['heldExceptions'];
}

/** What is asked about the sets of a period. */
export interface ResultOptions {
  /** The end of the period; milliseconds since the Unix epoch. */
  readonly toMs: number;
  /** Results from files. */
  readonly results: readonly SetResult[];
  /** The file of a specification against which each set is analysed now. */
  readonly spec: string | undefined;
  /** The folder of the programs of the analysis. */
  readonly engine: string | undefined;
}

type Io = Pick<CommandIo, 'err' | 'environment' | 'progress'>;

/** The sets of the period with what they restrict, and the exceptions that they and operators made. */
export async function judgedIn(
  sets: readonly SetInPeriod[],
  counts: Tally,
  { asked, texts, io }: { readonly asked: ResultOptions; readonly texts: SetTexts; readonly io: Io },
): Promise<JudgedPeriod | CommandRefusal> {
  const { toMs } = asked;
  const { first, last } = counts.records;
  const judged = await judgedSets(
    sets.toSorted((a, b) => b.decisions - a.decisions).map(({ hash }) => hash),
    {
      texts,
      trustDomains: trustDomainsOf(counts.agents.named.map(({ name }) => name)),
      instants: [...new Set([first?.at ?? toMs - 1, last?.at ?? toMs - 1])],
      onProgress: (done, all) => io.progress?.(`looked at ${done} of ${all} policy sets`),
    },
  );
  const { spec, engine } = asked;
  const made = spec === undefined ? [] : await analysedNow(judged, { spec, engine, io });
  if (isCommandRefusal(made)) return made;
  const results = [...asked.results, ...made].filter((result) => judged.has(result.policySet));
  for (const { from, policySet } of asked.results.filter((result) => !results.includes(result)))
    io.err(
      `remit ledger evidence: \`${from?.file ?? ''}\` is left out: the set \`${policySet}\` was not in force in the period`,
    );
  const teams = await teamFinders(judged, texts);
  return {
    judged,
    results,
    policySets: sets.map((set) => ({
      ...set,
      judged: summaryOf(judged.get(set.hash)),
      idle: idleIn(judged.get(set.hash), counts),
      results: results.filter(({ policySet }) => policySet === set.hash),
    })),
    exceptions: heldExceptions({
      sets: judged,
      tally: counts,
      toMs,
      ownerOf: ({ hash }, id) => teams.get(hash)?.(id) ?? null,
    }),
  };
}

const idleIn = (judged: JudgedSet | Problem | undefined, counts: Tally): readonly string[] | null =>
  judged === undefined || isProblem(judged) ? null : idlePolicies(judged, counts);

function summaryOf(judged: JudgedSet | Problem | undefined): EvidenceReport['policySets'][number]['judged'] {
  if (judged === undefined) return { problem: 'it was not looked at' };
  if (isProblem(judged)) return judged;
  const { policies, openPermits, openTo } = judged;
  return { policies, openPermits, openTo };
}

const trustDomainsOf = (agents: readonly string[]): readonly string[] => [
  ...new Set(agents.flatMap((agent) => /^spiffe:\/\/([^/]{1,255})\//.exec(agent)?.[1] ?? [])),
];

/** By the hash of each set of a folder with `owners.yaml`: the team of a policy. */
async function teamFinders(
  sets: ReadonlyMap<string, JudgedSet | Problem>,
  texts: SetTexts,
): Promise<ReadonlyMap<string, (policyId: string) => string | null>> {
  const finders = new Map<string, (policyId: string) => string | null>();
  for (const [hash, judged] of sets) {
    const folder = texts.folderOf(hash);
    const owned = folder === null || isProblem(judged) ? null : await ownersIn(folder);
    if (owned === null || isProblem(judged)) continue;
    const teamOf = ownerFinder(owned.owners, judged.set.source);
    const byId = new Map(judged.set.policies.map((policy) => [policy.id, teamOf(policy)?.team ?? null]));
    finders.set(hash, (policyId) => byId.get(policyId) ?? null);
  }
  return finders;
}

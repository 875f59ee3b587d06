import type { PolicySetSeen, SetAssurance } from './report.ts';
import type { AnalysisResult, SetResult, TestResult } from './set-results.ts';

/** What was proved and tested of each set. Of several results the worst counts, so that another result never improves it. */
export const assuranceOf = (sets: readonly PolicySetSeen[]): readonly SetAssurance[] =>
  sets.map(({ hash, isInForce, results }) => {
    // A part of the cases says nothing of the set.
    const tests = results.filter(isTest).filter(({ isWhole }) => isWhole);
    const survivors = tests.flatMap(({ mutation }) => (mutation === null ? [] : [mutation.survived]));
    return {
      set: hash,
      isInForce,
      invariants: invariantsIn(results.filter(isAnalysis)),
      coverage: tests.length === 0 ? null : Math.min(...tests.map(({ coverage }) => coverage.percent)),
      survived: survivors.length === 0 ? null : Math.max(...survivors),
    };
  });

const isTest = (result: SetResult): result is TestResult => result.kind === 'tests';
const isAnalysis = (result: SetResult): result is AnalysisResult => result.kind === 'analysis';

function invariantsIn(analyses: readonly AnalysisResult[]): SetAssurance['invariants'] {
  if (analyses.length === 0) return null;
  const worst = new Map<string, AnalysisResult['answers'][number]['verdict']>();
  for (const { answers, spec } of analyses) {
    for (const { invariants, action, verdict } of answers) {
      const key = JSON.stringify([spec.sha256, invariants, action]);
      const known = worst.get(key) ?? 'proved';
      worst.set(key, RANKS[verdict] > RANKS[known] ? verdict : known);
    }
  }
  const of = (verdict: keyof typeof RANKS): number => [...worst.values()].filter((one) => one === verdict).length;
  return { proved: of('proved'), refuted: of('refuted'), undecided: of('undecided') };
}

const RANKS = { proved: 0, undecided: 1, refuted: 2 } as const;

/** What was examined and found. */
import { guideLink } from '../../core/config/guide.ts';
import type { Check } from './check.ts';
import { levelOf, pageOf } from './codes.ts';
import type { Category, Level } from './codes.ts';
import type { Collected, Facts } from './facts.ts';
import { NO_FACTS } from './facts.ts';
import type { Finding } from './finding.ts';
import type { Suppression } from './suppression.ts';
import { isSuppressedBy } from './suppression.ts';

/** A finding as reported. */
export interface ReportedFinding extends Finding {
  readonly level: Level;
  /** The explanation of its code: a URL, or a command that prints it. */
  readonly see: string;
}

/** The result of one check. */
export interface CheckResult {
  readonly category: Category;
  readonly title: string;
  /** Without those that were suppressed, the worst first. */
  readonly findings: readonly ReportedFinding[];
}

/** What was examined and found. */
export interface DoctorReport {
  readonly examined: readonly string[];
  /** What was asked for and could not be examined. */
  readonly unread: readonly string[];
  /** The checks that had something to examine, in the order of `checks`. */
  readonly results: readonly CheckResult[];
  readonly suppressed: number;
  /** Suppressions that matched no finding, as written. */
  readonly unmatched: readonly string[];
}

/** What a report leaves out. */
export interface ReportRules {
  /** Categories to examine; `null` for all. */
  readonly only: ReadonlySet<Category> | null;
  readonly suppressions: readonly Suppression[];
  /** URL of a copy of the guide, for links; `undefined`: they name `remit help`. */
  readonly guide?: string | undefined;
}

/** Reported if something was read, but nothing that a check examines. */
const NOTHING = 'no check had anything to examine in what was read';

const severity: Readonly<Record<Level, number>> = { error: 0, warning: 1, info: 2 };

/** Runs `checks` over what the collectors read. */
export function reportOf(
  checks: readonly Check[],
  collected: readonly Collected[],
  { only, suppressions, guide }: ReportRules,
): DoctorReport {
  const facts = joined(collected);
  const matched = new Set<Suppression>();
  let suppressed = 0;
  const isShown = (finding: Finding): boolean => {
    const by = suppressions.filter((one) => isSuppressedBy(finding, one));
    for (const one of by) matched.add(one);
    if (by.length > 0) suppressed += 1;
    return by.length === 0;
  };
  const examined = collected.flatMap((one) => one.examined);
  const unread = collected.flatMap((one) => one.unread);
  const results = checks.flatMap(({ category, title, run }): readonly CheckResult[] => {
    const findings = only === null || only.has(category) ? run(facts) : null;
    if (findings === null) return [];
    const shown = findings.filter(isShown).map((finding) => reported(finding, guide));
    return [{ category, title, findings: shown.toSorted((a, b) => severity[a.level] - severity[b.level]) }];
  });
  return {
    examined,
    unread: unread.length === 0 && examined.length > 0 && results.length === 0 ? [NOTHING] : unread,
    results,
    suppressed,
    unmatched: suppressions.filter((one) => !matched.has(one)).map(({ written }) => written),
  };
}

/** A list that several collectors give is joined; of any other fact the last value counts. */
function joined(collected: readonly Collected[]): Facts {
  const envoys = collected.flatMap(({ facts }) => facts.envoys ?? []);
  const objects = collected.flatMap(({ facts }) => facts.objects ?? []);
  return { ...Object.assign({}, NO_FACTS, ...collected.map(({ facts }) => facts)), envoys, objects };
}

const reported = (finding: Finding, guide: string | undefined): ReportedFinding => {
  const { code, where, message, fix, level = levelOf(code) } = finding;
  return { code, level, where, message, fix, see: guideLink(pageOf(code), guide) };
};

/** How many findings of each level, and how many checks found nothing above `info`. */
export interface Counts {
  readonly error: number;
  readonly warning: number;
  readonly info: number;
  readonly passed: number;
}

/** Counts a report. */
export function countsOf({ results }: DoctorReport): Counts {
  const findings = results.flatMap((result) => result.findings);
  const of = (level: Level): number => findings.filter((finding) => finding.level === level).length;
  return { error: of('error'), warning: of('warning'), info: of('info'), passed: results.filter(isPassed).length };
}

/** Whether a check found nothing above `info`. */
export const isPassed = ({ findings }: CheckResult): boolean => findings.every(({ level }) => level === 'info');

/** Exit codes of `remit doctor`. They differ from those of the other commands. */
export const DOCTOR_EXIT = {
  clean: 0,
  errors: 1,
  /** Only with `--fail-level warning`. */
  warnings: 2,
  /** Bad use, or something that was asked for could not be examined. */
  couldNotRun: 3,
} as const;

/** The exit code for a report. Errors that were found count more than what could not be examined. */
export function exitCodeOf(report: DoctorReport, failLevel: 'error' | 'warning'): number {
  const { error, warning } = countsOf(report);
  if (error > 0) return DOCTOR_EXIT.errors;
  if (report.unread.length > 0 || report.results.length === 0) return DOCTOR_EXIT.couldNotRun;
  return warning > 0 && failLevel === 'warning' ? DOCTOR_EXIT.warnings : DOCTOR_EXIT.clean;
}

import { printable } from '../../core/ledger/timeline-text.ts';
import type { Level } from './codes.ts';
import { counted } from './counted.ts';
import { countsOf, isPassed } from './report.ts';
import type { CheckResult, DoctorReport, ReportedFinding } from './report.ts';

const signs: Readonly<Record<Level, string>> = { error: '×', warning: '‼', info: 'i' };

/**
 * A report for people, as lines without control characters.
 *
 * @param options.isVerbose also lists findings of the level `info`
 */
export function reportLines(report: DoctorReport, { isVerbose }: { readonly isVerbose: boolean }): readonly string[] {
  const groups = Map.groupBy(report.results, ({ category }) => category);
  return [
    ...report.examined.map((one) => `examined ${one}`),
    ...report.unread.map((one) => `× not examined: ${one}`),
    ...[...groups].flatMap(([category, results]) =>
      ['', category].concat(results.flatMap((result) => resultLines(result, isVerbose))),
    ),
    '',
    ...report.unmatched.map((one) => `i --suppress ${one} matched no finding`),
    summaryOf(report, isVerbose),
  ].map(printable);
}

function resultLines(result: CheckResult, isVerbose: boolean): readonly string[] {
  const shown = result.findings.filter(({ level }) => isVerbose || level !== 'info');
  return [...(isPassed(result) ? [`  √ ${result.title}`] : []), ...shown.flatMap(findingLines)];
}

const findingLines = ({ code, fix, level, message, see, where }: ReportedFinding): readonly string[] => [
  `  ${signs[level]} ${where}: ${message}  [${code}]`,
  `      fix: ${fix}`,
  `      see: ${see}`,
];

function summaryOf(report: DoctorReport, isVerbose: boolean): string {
  const { error, info, passed, warning } = countsOf(report);
  const hidden = info === 0 || isVerbose ? '' : `, ${info} hidden: -v shows ${info === 1 ? 'it' : 'them'}`;
  const unread = report.unread.length === 0 ? '' : `, ${report.unread.length} not examined`;
  const suppressed = report.suppressed === 0 ? '' : `, ${report.suppressed} suppressed`;
  return `${counted(error, 'error')}, ${counted(warning, 'warning')}, ${passed} passed${unread}${suppressed}${hidden}`;
}

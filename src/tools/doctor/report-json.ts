import { countsOf } from './report.ts';
import type { DoctorReport } from './report.ts';

/** A report as one JSON value. It has everything, also findings of the level `info` and the checks that passed. */
export const reportJson = (report: DoctorReport): object => {
  const { error, info, passed, warning } = countsOf(report);
  return {
    examined: report.examined,
    not_examined: report.unread,
    errors: error,
    warnings: warning,
    infos: info,
    passed,
    suppressed: report.suppressed,
    unmatched_suppressions: report.unmatched,
    checks: report.results.map(({ category, findings, title }) => ({ category, title, findings })),
  };
};

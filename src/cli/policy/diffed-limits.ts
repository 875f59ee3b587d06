/** What the limits of two policy sets would have denied of recorded uses and declarations. */
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { DAY_MS } from '../../core/runtime/day.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { ledgerSource } from '../../tools/learn/record-window.ts';
import type { Span } from '../../tools/learn/record-window.ts';
import { LimitTrial } from '../../tools/policy/limits/limit-trial.ts';
import type { LimitTrialReport, TriedLimit } from '../../tools/policy/limits/limit-trial.ts';
import { limitText } from '../limits/trial-lines.ts';
import { subjectsIn, tryRecords } from '../limits/tried-records.ts';
import { findingCounts } from './finding-lines.ts';

/** Both results, on the same records. */
export interface DiffedLimits {
  readonly old: LimitTrialReport;
  readonly new: LimitTrialReport;
}

/** The last 30 days, or what the options name of a span. */
export const limitSpan = (
  { sinceMs, untilMs }: { readonly sinceMs?: number | undefined; readonly untilMs?: number | undefined },
  nowMs: number,
): Span => ({ fromMs: sinceMs ?? nowMs - 30 * DAY_MS, toMs: untilMs ?? nowMs });

/** Tries the limits of both sets on the records of a span; `null` if neither has any. */
export async function diffedLimits(
  [former, other]: readonly [PolicySet, PolicySet],
  log: LogReader,
  by: { readonly span: Span; readonly onProgress: (read: number) => void },
): Promise<DiffedLimits | null> {
  if (former.limits.length === 0 && other.limits.length === 0) return null;
  const subjectOf = subjectsIn(log);
  const [before, after] = [new LimitTrial(former, subjectOf), new LimitTrial(other, subjectOf)];
  await tryRecords([before, after], [ledgerSource(log)], by);
  return { old: before.report(), new: after.report() };
}

/** Whether a limit would have denied more or less in one set than in the other. Only counts are compared, not which uses. */
export const isLimitedOtherwise = (limits: DiffedLimits | null): boolean =>
  limits !== null && linesBy(limits).some(({ was, now }) => was !== now);

/** A line for each measure of each limit of the new set, and for each of the old alone that denied something. */
export const limitDiffLines = (limits: DiffedLimits | null): readonly string[] =>
  limits === null
    ? []
    : linesBy(limits).map(({ tried, was, now, keys, isGone }) => {
        const hit = isGone ? 'no longer in force' : `would have denied ${now} for ${findingCounts(keys, 'key')}`;
        return `limit ${limitText(tried)}: ${hit} (old: ${was})`;
      });

interface LimitLine {
  readonly tried: TriedLimit;
  readonly was: number;
  readonly now: number;
  /** Keys of which something would have been denied. */
  readonly keys: number;
  readonly isGone: boolean;
}

function linesBy(limits: DiffedLimits): readonly LimitLine[] {
  const before = new Map(limits.old.limits.map((tried) => [keyOf(tried), tried]));
  const now = limits.new.limits.map((tried): LimitLine => {
    const was = before.get(keyOf(tried));
    before.delete(keyOf(tried));
    const keys = tried.keys.filter(({ denied }) => denied > 0).length;
    return { tried, was: was === undefined ? 0 : deniedBy(was), now: deniedBy(tried), keys, isGone: false };
  });
  const gone = [...before.values()].flatMap((tried): readonly LimitLine[] => {
    const was = deniedBy(tried);
    return was === 0 ? [] : [{ tried, was, now: 0, keys: 0, isGone: true }];
  });
  return [...now, ...gone];
}

const keyOf = ({ limit, measure }: TriedLimit): string => `${limit} ${measure}`;

const deniedBy = ({ keys }: TriedLimit): number => keys.reduce((sum, { denied }) => sum + denied, 0);

/** What limits would have denied, as lines for people. */
import { TEN_THOUSANDTHS } from '../../core/action/budget/decimal.ts';
import type { LimitTrialReport, TriedLimit } from '../../tools/policy/limits/limit-trial.ts';
import type { Untried } from '../../tools/policy/limits/recorded-limits.ts';
import type { TriedKey } from '../../tools/policy/limits/tried-counter.ts';
import { findingCounts } from '../policy/finding-lines.ts';

const MAX_KEYS = 10;
const WINDOWS: ReadonlyMap<number | null, string> = new Map([
  [60_000, ' in 1m'],
  [3_600_000, ' in 1h'],
  [86_400_000, ' in 1d'],
  [null, ''],
]);

/** Each limit with the keys that would have reached it, or the key that came nearest; then what could not be tried. */
export const trialLines = ({ limits, untried }: Pick<LimitTrialReport, 'limits' | 'untried'>): readonly string[] => [
  ...limits.flatMap(limitLines),
  ...untried.map(untriedLine),
];

/** `payments-a-day, calls, 200 in 1d` */
export const limitText = ({ limit, counts, max, measure, windowMs }: TriedLimit): string =>
  `${limit}, ${counts}, ${inUnit(max, measure)}${WINDOWS.get(windowMs) ?? ''}`;

function limitLines(tried: TriedLimit): readonly string[] {
  const hit = tried.keys.filter(({ denied }) => denied > 0);
  const title = limitText(tried);
  const [nearest] = tried.keys;
  if (nearest === undefined) return [`${title}: no record that it counts`];
  if (hit.length === 0)
    return [`${title}: not reached; the most was ${inUnit(nearest.most, tried.measure)}, of ${keyText(nearest)}`];
  const denied = hit.reduce((sum, key) => sum + key.denied, 0);
  const more = hit.length > MAX_KEYS ? [`  and ${hit.length - MAX_KEYS} more`] : [];
  return [
    `${title}: ${findingCounts(denied, 'denial')} for ${hit.length} of ${findingCounts(tried.keys.length, 'key')}`,
    ...hit.slice(0, MAX_KEYS).map((key) => `  ${hitText(key, tried)}`),
    ...more,
  ];
}

function hitText(key: TriedKey, { windowMs }: TriedLimit): string {
  const within = windowMs === null ? '' : ` in ${findingCounts(key.windows, 'window')}`;
  const first = key.first === null ? '' : `, first ${new Date(key.first.atMs).toISOString()} ${key.first.decisionId}`;
  return `${keyText(key)}: ${findingCounts(key.denied, 'denial')}${within}${first}`;
}

const keyText = ({ who }: TriedKey): string => (who === '[]' ? 'all together' : who);

const inUnit = (value: number, measure: TriedLimit['measure']): number =>
  measure === 'decimal' ? value / TEN_THOUSANDTHS : value;

const untriedLine = ({ limit, action, lacks, count }: Untried): string =>
  `not tried by ${limit}: ${findingCounts(count, 'use')} of ${action}, whose ${lacks.replace(/^the /, '')} is not recorded`;

import type { Cost, Costs } from './costs.ts';
import { median } from './statistics.ts';

/** A row for each measure, a column for each contender: medians over the rounds. */
export function costRows(costs: Costs): readonly (readonly string[])[] {
  const all = costs.all;
  const contenders = [...new Set(all.map(({ contender }) => contender))];
  const measures = [...new Set(all.map(({ measure }) => measure))];
  const cell = (measure: string, contender: string): string => {
    const cost = all.find((one) => one.contender === contender && one.measure === measure);
    if (cost === undefined) return '-';
    const base = baseOf(contender, contenders);
    const ratio = base === null ? '' : ` (${costs.ratio(measure, contender, base).toFixed(2)})`;
    return `${shown(cost)}${ratio}`;
  };
  const titleOf = (measure: string): string => {
    const unit = all.find((one) => one.measure === measure)?.unit ?? '';
    return unit === '' ? measure : `${measure}, ${unit}`;
  };
  const row = (measure: string): readonly string[] => contenders.map((contender) => cell(measure, contender));
  return [['', ...contenders], ...measures.map((measure) => [titleOf(measure)].concat(row(measure)))];
}

/** What a contender of a second build is compared with: the same role of the first. */
function baseOf(contender: string, all: readonly string[]): string | null {
  const base = contender.split(', ')[0] ?? '';
  return base !== contender && all.includes(base) ? base : null;
}

const shown = ({ unit, values }: Cost): string => median(values).toFixed(unit === 's' ? 2 : unit === '' ? 0 : 1);

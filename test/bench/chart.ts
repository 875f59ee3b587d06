import { readFileSync } from 'node:fs';

/**
 * Draws the results of `run.ts --json` as SVG: `node test/bench/chart.ts < results.json > chart.svg`. Throughput of the closed loop through
 * Envoy, and latency at each fixed rate, each on its own scale.
 */
interface Row {
  readonly contender: string;
  readonly scenario: string;
  readonly requestsPerSecond: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly failed: number;
}

interface Bar {
  readonly label: string;
  readonly value: number;
  readonly text: string;
  readonly isOurs: boolean;
  /** Whether it failed some calls, so that its latency is partly that of failures. */
  readonly isPale: boolean;
}

interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 800;
const LABEL_WIDTH = 290;
const BAR_WIDTH = 360;
const BAR_HEIGHT = 20;
const PANEL_HEAD = 34;
const COLOURS = { ours: '#1f6feb', others: '#8c959f', text: '#57606a' };

const input = readFileSync(0, 'utf8').trimEnd().split('\n').at(-1) ?? '{}';
const { series } = JSON.parse(input) as { readonly series: readonly Row[] };

const isOurs = (contender: string): boolean => contender.startsWith('Remit');

const throughput = (title: string, scenarios: readonly string[]): Panel => ({
  title,
  bars: series
    .filter(({ scenario, contender }) => scenarios.includes(scenario) && contender !== 'Envoy alone')
    .map(({ contender, scenario, requestsPerSecond }) => ({
      label: scenario === 'reuse' ? contender : `${contender}, ${scenario}`,
      value: requestsPerSecond ?? 0,
      text: (requestsPerSecond ?? 0).toFixed(0),
      isOurs: isOurs(contender),
      isPale: false,
    })),
});

const latency = (scenario: string): Panel => ({
  title: `${scenario}: p50 and p99, ms (pale where calls failed)`,
  bars: series
    .filter((row) => row.scenario === scenario)
    .flatMap(({ contender, p50Ms, p99Ms, failed }) =>
      [
        { name: 'p50', value: p50Ms ?? 0 },
        { name: 'p99', value: p99Ms ?? 0 },
      ].map(({ name, value }) => ({
        label: `${contender}, ${name}`,
        value,
        text: `${value.toFixed(2)}${failed > 0 ? ` (${failed} failed)` : ''}`,
        isOurs: isOurs(contender),
        isPale: failed > 0,
      })),
    ),
});

const atRates = [...new Set(series.map(({ scenario }) => scenario).filter((name) => name.startsWith('reuse at ')))];
const panels = [
  throughput('Closed loop through Envoy, 16 connections: requests/s', [
    'reuse',
    'new token',
    'new decision',
    'new token and decision',
  ]),
  ...atRates.map(latency),
].filter(({ bars }) => bars.length > 0);

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

function panelAt({ title, bars }: Panel, top: number): string {
  const most = Math.max(...bars.map(({ value }) => value));
  const drawn = bars.map(({ label, value, text, isOurs: ours, isPale }, index) => {
    const y = top + PANEL_HEAD + index * BAR_HEIGHT;
    const length = most === 0 ? 0 : (value / most) * BAR_WIDTH;
    return [
      `<text x="${LABEL_WIDTH - 8}" y="${y + 13}" text-anchor="end">${escaped(label)}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y + 2}" width="${length.toFixed(1)}" height="${BAR_HEIGHT - 5}" fill="${ours ? COLOURS.ours : COLOURS.others}" fill-opacity="${isPale ? 0.35 : 1}"/>`,
      `<text x="${(LABEL_WIDTH + length + 6).toFixed(1)}" y="${y + 13}">${escaped(text)}</text>`,
    ].join('\n');
  });
  return `<text x="8" y="${top + 22}" font-weight="bold">${escaped(title)}</text>\n${drawn.join('\n')}`;
}

const heights = panels.map(({ bars }) => PANEL_HEAD + bars.length * BAR_HEIGHT + 10);
const tops = heights.map((_, index) => heights.slice(0, index).reduce((sum, height) => sum + height, 0));
const height = heights.reduce((sum, one) => sum + one, 10);
process.stdout.write(
  `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" ` +
    `font-family="sans-serif" font-size="12" fill="${COLOURS.text}">\n<rect width="100%" height="100%" fill="#ffffff"/>\n` +
    `${panels.map((panel, index) => panelAt(panel, tops[index] ?? 0)).join('\n')}\n</svg>\n`,
);

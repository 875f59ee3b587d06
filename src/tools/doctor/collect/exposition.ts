import type { Sample } from '../remit/remit-facts.ts';

/** Most samples that are read. */
export const MAX_SAMPLES = 20_000;

const linesOf = (text: string): readonly string[] =>
  text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

/** How many lines with samples are not read, since a text has more than {@link MAX_SAMPLES}. */
export const unreadLinesIn = (text: string): number => Math.max(0, linesOf(text).length - MAX_SAMPLES);

/** The samples of metrics in the text format of Prometheus, by name: of the first 20,000 lines, without invalid lines. */
export function samplesFrom(text: string): ReadonlyMap<string, readonly Sample[]> {
  const samples = new Map<string, Sample[]>();
  for (const line of linesOf(text).slice(0, MAX_SAMPLES)) {
    const [, name = '', labels = '', value = ''] = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/i.exec(line) ?? [];
    if (name === '' || Number.isNaN(Number(value))) continue;
    const own = samples.get(name) ?? [];
    own.push({ labels: labelsFrom(labels), value: Number(value) });
    samples.set(name, own);
  }
  return samples;
}

const labelsFrom = (text: string): ReadonlyMap<string, string> =>
  new Map(
    Array.from(text.matchAll(/([a-z_]\w{0,63})="((?:[^"\\]|\\.)*)"/gi), ([, name = '', value = '']) => [
      name,
      value.replaceAll(/\\(.)/g, (_all, escaped: string) => (escaped === 'n' ? '\n' : escaped)),
    ]),
  );

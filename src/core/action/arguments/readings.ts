import type { ArgumentValue } from './argument.ts';

type Args = ReadonlyMap<string, ArgumentValue>;

/** Values that a call has for arguments beside those that it sends as such, by name. */
export type FurtherValues = ReadonlyMap<string, readonly ArgumentValue[]>;

/** Most readings of one call: each is judged. */
export const MAX_READINGS = 32;

/**
 * Every way in which a server can read a call whose argument has more than one value: each value of one name with each of another, the
 * last values first. `null` if there are more than `MAX_READINGS`.
 */
export function readingsOf(args: Args, further: FurtherValues): readonly Args[] | null {
  let readings: readonly Args[] = [args];
  for (const [name, values] of further) {
    const sent = args.get(name);
    const distinct = distinctOf(sent === undefined ? values : [sent, ...values]).toReversed();
    if (readings.length * distinct.length > MAX_READINGS) return null;
    readings = readings.flatMap((reading) => distinct.map((value) => new Map([...reading, [name, value] as const])));
  }
  return readings;
}

const distinctOf = (values: readonly ArgumentValue[]): readonly ArgumentValue[] => [
  ...new Map(values.map((value) => [JSON.stringify(value), value])).values(),
];

/** Adds one value of a further argument to others. */
export const withValue = (values: FurtherValues, name: string, value: ArgumentValue): FurtherValues =>
  new Map([...values, [name, [...(values.get(name) ?? []), value]]]);

/** Adds further values to others. */
export function withValues(values: FurtherValues, added: FurtherValues): FurtherValues {
  const all = new Map(values);
  for (const [name, more] of added) all.set(name, [...(all.get(name) ?? []), ...more]);
  return all;
}

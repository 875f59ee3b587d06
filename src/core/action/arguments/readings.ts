import type { ArgumentValue } from './argument.ts';

type Args = ReadonlyMap<string, ArgumentValue>;

/** Further values of arguments, by name: those that a server may read from another place in the call. */
export type FurtherValues = ReadonlyMap<string, readonly ArgumentValue[]>;

/** Most readings of one call: each is judged. */
export const MAX_READINGS = 32;

/**
 * Every reading of a call whose arguments have several values: the Cartesian product of the values, the last values first. `null`
 * if there are more than `MAX_READINGS`.
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

/** Adds a further value of an argument. */
export const withValue = (values: FurtherValues, name: string, value: ArgumentValue): FurtherValues =>
  new Map([...values, [name, [...(values.get(name) ?? []), value]]]);

/** Merges further values by argument name. */
export function withValues(values: FurtherValues, added: FurtherValues): FurtherValues {
  const all = new Map(values);
  for (const [name, more] of added) all.set(name, [...(all.get(name) ?? []), ...more]);
  return all;
}

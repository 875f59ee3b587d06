import type { JsonKind } from '../../core/action/call-shape.ts';
import type { ShapeMember } from './read-shape.ts';
import type { SeenCalls } from './seen/seen-calls.ts';

const SAMPLES: Readonly<Record<JsonKind, unknown>> = {
  string: 'x',
  integer: 1,
  number: 1.5,
  boolean: true,
  null: null,
  array: [],
  object: {},
};

/** An object with members of the given kinds, by the names on the way to each. Values are made up: no record has them. */
export function sampleObject(members: Iterable<ShapeMember>): object {
  const whole = new Map<string, unknown>();
  for (const {
    way: [name = '', below],
    kind,
  } of members) {
    if (below === undefined) whole.set(name, SAMPLES[kind]);
    else {
      const within = whole.get(name);
      if (within instanceof Map) within.set(below, SAMPLES[kind]);
      else whole.set(name, new Map([[below, SAMPLES[kind]]]));
    }
  }
  return Object.fromEntries(
    Array.from(whole, ([name, value]) => [name, value instanceof Map ? Object.fromEntries(value) : value]),
  );
}

/** An object with all members that calls showed. */
export const sampleOfCalls = (calls: SeenCalls): object =>
  sampleObject(
    Array.from(calls.members, ([way, kinds]) => ({
      way: way.split('\0'),
      kind: [...kinds].find((kind) => kind !== 'null') ?? 'null',
    })),
  );

/** A query with these keys, `?` included; empty without keys. */
export const sampleQuery = (names: Iterable<string>): string => {
  const fields = Array.from(names, (name) => `${encodeURIComponent(name)}=x`);
  return fields.length === 0 ? '' : `?${fields.join('&')}`;
};

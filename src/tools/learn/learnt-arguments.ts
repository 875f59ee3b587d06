import type { JsonKind } from '../../core/action/call-shape.ts';
import { pointerOf } from '../../core/action/arguments/json-pointer.ts';
import { looseKey } from '../../core/action/http/query-key.ts';
import type { Entry } from '../policy/import/entry.ts';
import type { SeenCalls } from './seen/seen-calls.ts';

const TYPES: ReadonlyMap<string, Entry> = new Map([
  ['string', { maxBytes: 16_384 }],
  ['integer', { type: 'long' }],
  ['boolean', { type: 'bool' }],
]);
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
const MAX_ARGS = 32;
/** From this number of calls on, arguments of a tool that were not seen are denied. */
const CLOSED_FROM = 50;

/** Arguments that calls showed, and whether these are all that they had. */
export interface LearntArguments {
  readonly args: Entry;
  readonly isClosed: boolean;
}

/**
 * The members of a body, or of the arguments of a tool, that had one kind of value in all calls: text, whole number, or boolean.
 * Other members are left out, because no type of the catalog covers all their values. At most 32.
 *
 * @param taken names that an argument must not have: those of the path and the query
 */
export function learntArguments(calls: SeenCalls, taken: Iterable<string>): LearntArguments {
  const refused = new Set(Array.from(taken, looseKey));
  const found: [string, Entry][] = [];
  let isClosed = !calls.isCut && calls.all.count >= CLOSED_FROM;
  for (const [key, kinds] of [...calls.members].toSorted(([one], [other]) => (one < other ? -1 : 1))) {
    const way = key.split('\0');
    const type = typeOf(kinds);
    const isNamed = way.every((name) => NAME.test(name)) && !way.some((name) => refused.has(looseKey(name)));
    if (type === undefined || !isNamed || found.length >= MAX_ARGS) isClosed = false;
    else found.push([way.join('.'), { ...(way.length > 1 ? { pointer: pointerOf(way) } : {}), ...type }]);
  }
  return { args: Object.fromEntries(found), isClosed };
}

function typeOf(kinds: ReadonlySet<JsonKind>): Entry | undefined {
  const [kind, other] = [...kinds].filter((one) => one !== 'null');
  return kind === undefined || other !== undefined ? undefined : TYPES.get(kind);
}

import { isMap, isScalar, isSeq } from 'yaml';
import type { Node, Pair } from 'yaml';
import { isObject, mapOf, members, oneOrMore, type FieldPlace, readAt, type Reader } from '../runtime/fields.ts';
import { isProblem } from '../runtime/problem.ts';
import { placesIn, type TextPlace } from '../runtime/text-place.ts';
import { jsonOf, offsetOf, yamlRootFrom } from '../runtime/yaml-text.ts';
import { nearestOf } from '../runtime/nearest-name.ts';
import { isOfOthers } from './variables.ts';

/** What replaces keys of earlier versions, for a file or a variable that still has them. */
const formerKeys: ReadonlyMap<string, string> = new Map([
  [
    'stateAccess',
    'was removed: processes no longer share a state file. For more cores, run one authority (`authority.listen: unix:/path`) and its sidecars (`state: authority:unix:/path`): deploy/guide/install/processes.md',
  ],
]);

/** A field of the configuration that cannot be used: its place and what would be right. */
export interface ConfigProblem {
  readonly file: string;
  /** From 1; 0 if the field came from the environment or is missing altogether. */
  readonly line: number;
  readonly column: number;
  /** The path of the field, such as `extAuthz.listen`. */
  readonly field: string;
  readonly message: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Most entries of a list, and of a section whose keys are the operator's own. */
const MAX_ENTRIES = 64;

/** A list of values, or a single value; at most 64. */
export const listed = <T>(reader: Reader<T>): Reader<readonly T[]> => oneOrMore(reader, { min: 0, max: MAX_ENTRIES });

/** A section whose keys are names of the operator's own, each with a value of the same kind; at most 64. */
export const named = <T>(reader: Reader<T>): Reader<ReadonlyMap<string, T>> =>
  mapOf(reader, { max: MAX_ENTRIES, what: 'a section of `name: value` lines' });

/** A section: each key is read by its reader, and a key without a reader is an error. An absent section is read as an empty section. */
export function section<T extends object>(fields: { readonly [K in keyof T]: Reader<T[K]> }): Reader<T> {
  // Safe: the same readers, whose values `T` names.
  const read = members(fields as Readonly<Record<string, Reader<unknown>>>) as Reader<T>;
  const frozen: Reader<T> = (value = {}, place) => {
    if (!isObject(value)) return { problem: 'must be a section of `key: value` lines' };
    const values = read(value, place);
    return isProblem(values) ? values : Object.freeze(values);
  };
  return Object.assign(frozen, { inside: read.inside });
}

/** A single value, in the file or the environment, or else a section. */
export function aloneOr<T>(alone: Reader<T>, full: Reader<T>): Reader<T> {
  const read: Reader<T> = (value, place) =>
    value === undefined || isObject(value) ? full(value, place) : alone(value, place);
  const { inside } = full;
  return inside?.kind === 'members' ? Object.assign(read, { inside: { ...inside, isScalarToo: true } as const }) : read;
}

/** The input of one read. */
interface Source {
  readonly file: string;
  readonly placeAt: (offset: number) => TextPlace;
  readonly environment: Environment;
  readonly problems: ConfigProblem[];
  /** The path of each field that a variable overrides, by the variable. */
  readonly variables: ReadonlyMap<string, string>;
  /** The variables of the fields that were read. */
  readonly read: Set<string>;
}

/** The place of a field, whose value a variable may override. */
function fieldPlace(source: Source, node: Node | null, path: string): FieldPlace {
  const report = (of: Node | null, field: string, message: string): void => {
    const offset = offsetOf(of, -1);
    const { line, column } = offset < 0 ? { line: 0, column: 0 } : source.placeAt(offset);
    source.problems.push({ file: source.file, line, column, field, message });
  };
  return {
    at: (name) => fieldPlace(source, valueIn(node, name), pathOf(path, name)),
    given: (written) => {
      const variable = variableOf(path);
      if (Array.isArray(written) || !source.variables.has(variable)) return written ?? undefined;
      source.read.add(variable);
      const overriding = source.environment[variable];
      if (overriding === undefined) return written ?? undefined;
      return valueOf(overriding);
    },
    report: (problem) => report(node, path, problem),
    reportUnknown: (name, known) => {
      const former = formerKeys.get(pathOf(path, name));
      const at = (pairIn(node, name)?.key as Node | undefined) ?? node;
      if (former !== undefined) return report(at, pathOf(path, name), former);
      const near = nearestOf(name, known);
      const help = near === null ? `known: ${known.join(', ')}` : `did you mean \`${near}\`?`;
      report(at, pathOf(path, name), `is not a known key; ${help}`);
    },
  };
}

/** The value of a variable: a whole number, `true` or `false` as in YAML, and any other text as it is. */
function valueOf(variable: string): string | number | boolean {
  if (/^\d+$/.test(variable)) return Number(variable);
  return variable === 'true' || variable === 'false' ? variable === 'true' : variable;
}

const pathOf = (path: string, name: string | number): string =>
  typeof name === 'number' ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`;

const pairIn = (node: Node | null, name: string | number): Pair | undefined =>
  isMap(node) ? node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === name) : undefined;

const valueIn = (node: Node | null, name: string | number): Node | null =>
  ((isSeq(node) ? node.items[Number(name)] : pairIn(node, name)?.value) as Node | null | undefined) ?? null;

const variableOf = (path: string): string =>
  `REMIT_${path
    .replaceAll('.', '_')
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toUpperCase()}`;

/**
 * The paths of the fields that a variable can override: the scalars, except those in lists and in sections whose keys are the
 * operator's own.
 */
function* scalarsIn({ inside }: Reader<unknown>, path = ''): Generator<string> {
  if (inside === undefined || (inside.kind === 'members' && inside.isScalarToo === true)) yield path;
  if (inside?.kind !== 'members') return;
  for (const [name, reader] of Object.entries(inside.members)) yield* scalarsIn(reader, pathOf(path, name));
}

/**
 * Reads a YAML text by its fields, every problem in one go. At most 1 MiB.
 *
 * @param environment variables that override scalar fields: `extAuthz.listen` is `REMIT_EXT_AUTHZ_LISTEN`
 */
export function readFields<T>(
  reader: Reader<T>,
  { text, file, environment }: { readonly text: string; readonly file: string; readonly environment: Environment },
): { readonly value: T } | { readonly problems: readonly ConfigProblem[] } {
  const placeAt = placesIn(text);
  const yaml = yamlRootFrom(text);
  if ('problems' in yaml)
    return { problems: yaml.problems.map(({ offset, message }) => ({ file, ...placeAt(offset), field: '', message })) };
  const variables = new Map(Array.from(scalarsIn(reader), (path) => [variableOf(path), path]));
  const source: Source = { file, placeAt, environment, problems: [], variables, read: new Set() };
  const value = readAt(reader, jsonOf(yaml.root), fieldPlace(source, yaml.root, ''));
  const problems = [...source.problems, ...variableProblems(source)];
  return isProblem(value) || problems.length > 0 ? { problems } : { value };
}

/**
 * Variables that are set and have no effect: unknown variables, and variables of a field that is a list in the file or whose
 * section is not in the file.
 */
function variableProblems({ environment, variables, read }: Source): readonly ConfigProblem[] {
  return Object.keys(environment).flatMap((name): readonly ConfigProblem[] => {
    if (!name.startsWith('REMIT_') || environment[name] === undefined || read.has(name) || isOfOthers(name)) return [];
    const path = variables.get(name);
    const message = path === undefined ? unknownVariable(name, [...variables.keys()]) : idleVariable(path);
    return [{ file: 'environment', line: 0, column: 0, field: name, message }];
  });
}

function unknownVariable(name: string, known: readonly string[]): string {
  const former = [...formerKeys].find(([path]) => variableOf(path) === name);
  if (former !== undefined) return `is the key \`${former[0]}\`, which ${former[1]}`;
  const near = nearestOf(name, known);
  return near === null
    ? 'is not a known variable; a scalar of the file is overridden by `REMIT_` and its path, such as `REMIT_ADMIN_LISTEN`'
    : `is not a known variable; did you mean \`${near}\`?`;
}

/** The problem of a variable without effect: a variable neither overrides a list nor creates a section. */
const idleVariable = (path: string): string => {
  const within = path.includes('.') ? `has no section \`${path.slice(0, path.lastIndexOf('.'))}\`, or ` : 'has ';
  return `changes nothing: the file ${within}a list at \`${path}\`; write it there`;
};

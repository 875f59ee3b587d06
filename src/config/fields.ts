import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Node } from 'yaml';
import { isProblem, type Problem } from '../runtime/problem.ts';
import { integer as readInteger, type Reader } from '../runtime/fields.ts';
import { nearestOf } from './nearest.ts';
import { isOfOthers } from './variables.ts';

/** An invalid field of the configuration: its position, and what it requires. */
export interface ConfigProblem {
  readonly file: string;
  /** From 1; 0 where the field is in the environment or missing. */
  readonly line: number;
  readonly column: number;
  /** The path of the field, such as `extAuthz.listen`. */
  readonly field: string;
  readonly message: string;
}

/** A value from the file or the environment, before it is parsed. */
interface Given {
  readonly node: Node | null;
  readonly path: string;
  readonly source: Source;
  /** An entry of a list, where a section has no variables. */
  readonly isEntry?: true;
}

/** The state of one reading: positions in the file, the environment, and the problems found so far. */
interface Source {
  readonly file: string;
  readonly lines: LineCounter;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly problems: ConfigProblem[];
  /** The variables that were looked up, each with the path of its field. */
  readonly variables: Map<string, string>;
  /** A survey reads no values. Each field only reports its variables, whether they are set or not. */
  readonly isSurvey: boolean;
}

/** Reads one field. Reports a problem to the source and returns `undefined`, or returns the value. */
export type Field<T> = (given: Given) => T | undefined;

const report = (given: Given, problem: string): undefined => {
  const message = isGiven(given) ? problem : 'is required';
  const position = given.node?.range ? given.source.lines.linePos(given.node.range[0]) : { line: 0, col: 0 };
  given.source.problems.push({
    file: given.source.file,
    line: position.line,
    column: position.col,
    field: given.path,
    message,
  });
  return undefined;
};

const environmentName = (path: string): string =>
  `REMIT_${path
    .replaceAll('.', '_')
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toUpperCase()}`;

const scalarOf = (given: Given): unknown => {
  given.source.variables.set(environmentName(given.path), given.path);
  const overriding = given.source.environment[environmentName(given.path)];
  if (overriding !== undefined) return /^\d+$/.test(overriding) ? Number(overriding) : overriding;
  return isScalar(given.node) ? given.node.value : undefined;
};

const isGiven = (given: Given): boolean =>
  given.source.isSurvey ||
  (given.node !== null && !(isScalar(given.node) && given.node.value === null)) ||
  given.source.environment[environmentName(given.path)] !== undefined;

/** A scalar, read by a parser of untrusted values. The parser gets `null` for a section or a list. */
const scalar =
  <T>(reader: Reader<T>): Field<T> =>
  (given) => {
    const read = reader(scalarOf(given) ?? null);
    return isProblem(read) ? report(given, read.problem) : read;
  };

/** A text accepted by `parse`, which returns the value or a problem in words. */
export const text =
  <T extends string | object>(what: string, parse: (value: string) => NoInfer<T> | Problem): Field<T> =>
  (given) => {
    const value = scalarOf(given);
    if (typeof value !== 'string' || value === '' || value.includes('\0')) return report(given, `must be ${what}`);
    const parsed = parse(value);
    return isProblem(parsed) ? report(given, `must be ${what}: ${parsed.problem}`) : parsed;
  };

/** One of a closed set of words. */
export const word = <const T extends string>(words: readonly T[]): Field<T> =>
  text(`one of ${words.map((w) => `\`${w}\``).join(', ')}`, (value) => {
    const found = words.find((w) => w === value);
    return found ?? { problem: `got \`${value}\`` };
  });

/** A whole number from `min` to `max`, in the unit that the field's name carries. */
export const integer = (min: number, max: number): Field<number> => scalar(readInteger(min, max));

/** The value of the field, or `fallback` where it is missing. */
export const optional =
  <T, const D>(field: Field<T>, fallback: D): Field<T | D> =>
  (given) =>
    isGiven(given) ? field(given) : fallback;

/** A single value in the file or the environment, or else a section. */
export const shorthandOr =
  <T>(shorthand: Field<T>, full: Field<T>): Field<T> =>
  (given) => {
    if (given.source.isSurvey) shorthand(given);
    return scalarOf(given) === undefined || scalarOf(given) === null ? full(given) : shorthand(given);
  };

/** A list of at most 64 values. A single value stands for a list of one. */
export const listOf =
  <T>(field: Field<T>): Field<readonly T[]> =>
  (given) => {
    if (!isSeq(given.node)) {
      const only = field({ ...given, isEntry: true });
      return only === undefined ? undefined : [only];
    }
    if (given.node.items.length > 64) return report(given, 'must have at most 64 entries');
    const values: T[] = [];
    for (const [index, item] of given.node.items.entries()) {
      const value = field({ ...given, node: item as Node, path: `${given.path}[${index}]` });
      if (value !== undefined) values.push(value);
    }
    return values;
  };

/** A section of at most 64 keys chosen by the operator, whose values are all of one kind. */
export const mapOf =
  <T>(field: Field<T>): Field<ReadonlyMap<string, T>> =>
  (given) => {
    if (!isMap(given.node)) return report(given, 'must be a section of `name: value` lines');
    if (given.node.items.length > 64) return report(given, 'must have at most 64 entries');
    const values = new Map<string, T>();
    for (const pair of given.node.items) {
      const name = String(isScalar(pair.key) ? pair.key.value : pair.key);
      const value = field({ ...given, node: pair.value as Node | null, path: `${given.path}.${name}` });
      if (value !== undefined) values.set(name, value);
    }
    return values;
  };

/** Transforms the value of a field. `make` returns the new value, or a problem in words. */
export const made =
  <T, U extends object | string>(field: Field<T>, make: (value: T) => NoInfer<U> | Problem): Field<U> =>
  (given) => {
    const value = field(given);
    if (value === undefined) return undefined;
    const outcome = make(value);
    return isProblem(outcome) ? report(given, outcome.problem) : outcome;
  };

/** A section. Each key is read by its field, and an unknown key is an error. */
export const section =
  <T extends object>(fields: { readonly [K in keyof T]: Field<T[K]> }): Field<T> =>
  (given) => {
    if (given.node !== null && !isMap(given.node)) return report(given, 'must be a section of `key: value` lines');
    if (given.source.isSurvey && given.isEntry === true) return undefined;
    const entries = new Map<string, { readonly key: Node; readonly value: Node | null }>();
    for (const pair of given.node?.items ?? []) {
      entries.set(String(isScalar(pair.key) ? pair.key.value : pair.key), {
        key: pair.key as Node,
        value: pair.value as Node | null,
      });
    }
    for (const [name, entry] of entries) {
      if (!Object.hasOwn(fields, name)) reportUnknown(given, name, entry.key, Object.keys(fields));
    }
    const values: Record<string, unknown> = {};
    const before = given.source.problems.length;
    for (const [name, field] of Object.entries<Field<unknown>>(fields as Record<string, Field<unknown>>)) {
      const path = given.path === '' ? name : `${given.path}.${name}`;
      const child: Given = { source: given.source, path, node: entries.get(name)?.value ?? null };
      const value = field(child);
      values[name] = value;
    }
    return given.source.problems.length === before ? (Object.freeze(values) as T) : undefined;
  };

const reportUnknown = (given: Given, name: string, key: Node, known: readonly string[]): void => {
  const near = nearestOf(name, known);
  const path = given.path === '' ? name : `${given.path}.${name}`;
  report(
    { ...given, node: key, path },
    `is not a known key; ${near ? `did you mean \`${near}\`?` : `known: ${known.join(', ')}`}`,
  );
};

/**
 * Reads a YAML text by its fields. Reports every problem at once.
 *
 * @param environment variables that override scalar fields: `extAuthz.listen` is `REMIT_EXT_AUTHZ_LISTEN`
 */
export function readFields<T>(
  field: Field<T>,
  from: {
    readonly text: string;
    readonly file: string;
    readonly environment: Readonly<Record<string, string | undefined>>;
  },
): { readonly value: T } | { readonly problems: readonly ConfigProblem[] } {
  const lines = new LineCounter();
  const document = parseDocument(from.text, { lineCounter: lines, prettyErrors: false });
  const { file, environment } = from;
  const source: Source = { file, lines, environment, problems: [], variables: new Map(), isSurvey: false };
  for (const error of document.errors) {
    const at = lines.linePos(error.pos[0]);
    source.problems.push({ file: from.file, line: at.line, column: at.col, field: '', message: error.message });
  }
  if (source.problems.length > 0) return { problems: source.problems };
  const value = field({ node: document.contents, path: '', source });
  source.problems.push(...variableProblems(field, source));
  return value === undefined || source.problems.length > 0 ? { problems: source.problems } : { value };
}

/** The variables that override a field and the fields within it, each with the path of its field. */
function variablesOf(field: Field<unknown>): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  const survey = { file: '', lines: new LineCounter(), environment: {}, problems: [], variables, isSurvey: true };
  field({ node: null, path: '', source: survey });
  return variables;
}

/** Variables that are set but have no effect: unknown ones, and those of fields that the file leaves no room for. */
function variableProblems(
  field: Field<unknown>,
  { environment, variables: used }: Pick<Source, 'environment' | 'variables'>,
): readonly ConfigProblem[] {
  const known = variablesOf(field);
  return Object.keys(environment).flatMap((name): readonly ConfigProblem[] => {
    if (!name.startsWith('REMIT_') || environment[name] === undefined || used.has(name) || isOfOthers(name)) return [];
    const path = known.get(name);
    const message = path === undefined ? unknownVariable(nearestOf(name, [...known.keys()])) : idleVariable(path);
    return [{ file: 'environment', line: 0, column: 0, field: name, message }];
  });
}

const unknownVariable = (near: string | null): string =>
  near === null
    ? 'is not a known variable; a scalar of the file is overridden by `REMIT_` and its path, such as `REMIT_ADMIN_LISTEN`'
    : `is not a known variable; did you mean \`${near}\`?`;

/** A variable cannot override a list of the file, or create a section. */
const idleVariable = (path: string): string => {
  const section = path.includes('.') ? `has no section \`${path.slice(0, path.lastIndexOf('.'))}\`, or ` : 'has ';
  return `changes nothing: the file ${section}a list at \`${path}\`; write it there`;
};

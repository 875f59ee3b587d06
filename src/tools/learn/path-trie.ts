import { areSlugs, isSlug, parameterTypeOf, segmentKindOf } from './segment-kind.ts';
import type { ParameterKind, ParameterValues, SegmentKind } from './segment-kind.ts';
import type { LearntCall } from './learnt-call.ts';
import { SeenCalls } from './seen-calls.ts';
import type { Room } from './seen-calls.ts';

/** From this number of words on, of which half were seen at most twice, they are values of a parameter. */
const MANY_WORDS = 12;
/** Most words at one place that are kept apart while calls are read. */
const MOST_WORDS = 32;
/** Most words at one place, however often each was seen. */
const MOST_TEXTS = 256;
const MAX_SEGMENTS = 32;

interface TrieNode {
  hits: number;
  readonly words: Map<string, TrieNode>;
  readonly parameters: Map<ParameterKind, Parameter>;
  /** By HTTP method. */
  readonly ends: Map<string, SeenCalls>;
}

interface Parameter {
  readonly node: TrieNode;
  values: ParameterValues;
}

const emptyNode = (): TrieNode => ({ hits: 0, words: new Map(), parameters: new Map(), ends: new Map() });

/** A path with a method, as the calls to it showed. */
export interface SeenRoute {
  readonly method: string;
  /** A template of the catalog, such as `/orders/{order:int}`. */
  readonly template: string;
  readonly calls: SeenCalls;
  /** Whether the kind of one of its parameters is unknown. */
  readonly isUnknown: boolean;
}

/** The calls to one host as a tree of path segments, of bounded width: values of a parameter share a branch. */
export class PathTrie {
  readonly #root = emptyNode();
  readonly #room: Room;

  constructor(room: Room) {
    this.#room = room;
  }

  /** Adds a call. `false` if it has too many segments, or there is no room for another route. */
  add(call: LearntCall): boolean {
    const segments = call.path.slice(1).split('/');
    if (segments.length > MAX_SEGMENTS || !this.#room.take(missingIn(this.#root, segments, call.method))) return false;
    let node = this.#root;
    for (const segment of segments) {
      node = childOf(node, segment);
      node.hits += 1;
    }
    const end = node.ends.get(call.method) ?? new SeenCalls();
    node.ends.set(call.method, end);
    return end.add(call, this.#room);
  }

  /** The routes, in the order of their templates. Ends the reading: words with many values become parameters. */
  routes(): readonly SeenRoute[] {
    settle(this.#root);
    const routes = [...routesFrom(this.#root, [], { names: [], isUnknown: false })];
    return routes.toSorted((a, b) =>
      a.template === b.template ? (a.method < b.method ? -1 : 1) : a.template < b.template ? -1 : 1,
    );
  }
}

/** How many nodes and ends a path lacks. */
function missingIn(root: TrieNode, segments: readonly string[], method: string): number {
  let node = root;
  for (const [index, segment] of segments.entries()) {
    const kind = parameterKindOf(node, segment);
    const next = kind === null ? node.words.get(segment) : node.parameters.get(kind)?.node;
    if (next === undefined) return segments.length - index + 1;
    node = next;
  }
  return node.ends.has(method) ? 0 : 1;
}

const KIND_OF: Readonly<Record<Exclude<SegmentKind, 'word'>, ParameterKind>> = {
  integer: 'integer',
  digits: 'digits',
  uuid: 'uuid',
  'upper-uuid': 'upper-uuid',
  date: 'date',
  hex: 'hex',
  other: 'unknown',
};

/** The kind of the parameter that a segment is a value of; `null` if it is text of the path. */
function parameterKindOf({ words, parameters }: TrieNode, segment: string): ParameterKind | null {
  if (segment === '') return null;
  const kind = segmentKindOf(segment);
  if (kind !== 'word') return KIND_OF[kind];
  if (words.has(segment)) return null;
  if (parameters.has('slug') && isSlug(segment)) return 'slug';
  return parameters.has('unknown') ? 'unknown' : null;
}

function childOf(node: TrieNode, segment: string): TrieNode {
  const kind = parameterKindOf(node, segment);
  if (kind !== null) return branchOf(node, kind, valuesOf([segment]));
  const known = node.words.get(segment);
  if (known !== undefined) return known;
  const next = emptyNode();
  node.words.set(segment, next);
  if (node.words.size <= MOST_WORDS || (!areRare(node) && node.words.size <= MOST_TEXTS)) return next;
  return foldWords(node);
}

const valuesOf = (texts: readonly string[]): ParameterValues => ({
  least: Math.min(...texts.map(({ length }) => length)),
  most: Math.max(...texts.map(({ length }) => length)),
  hasUnderscore: texts.some((text) => text.includes('_')),
});

const bothValues = (one: ParameterValues, other: ParameterValues): ParameterValues => ({
  least: Math.min(one.least, other.least),
  most: Math.max(one.most, other.most),
  hasUnderscore: one.hasUnderscore || other.hasUnderscore,
});

function branchOf({ parameters }: TrieNode, kind: ParameterKind, values: ParameterValues): TrieNode {
  const known = parameters.get(kind);
  if (known !== undefined) {
    known.values = bothValues(known.values, values);
    return known.node;
  }
  const node = emptyNode();
  parameters.set(kind, { node, values });
  return node;
}

/** Whether at least half of the words at a place were seen at most twice. Names of collections are seen again and again. */
const areRare = ({ words }: TrieNode): boolean =>
  [...words.values()].filter(({ hits }) => hits <= 2).length * 2 >= words.size;

/** Makes the words at a place the values of one parameter; text that ends the path with `/` stays. */
function foldWords(node: TrieNode): TrieNode {
  const words = [...node.words].filter(([word]) => word !== '');
  const texts = words.map(([word]) => word);
  const into = branchOf(node, areSlugs(texts) ? 'slug' : 'unknown', valuesOf(texts));
  for (const [word, child] of words) {
    merge(into, child);
    node.words.delete(word);
  }
  return into;
}

function merge(into: TrieNode, from: TrieNode): void {
  into.hits += from.hits;
  for (const [word, child] of from.words) {
    const known = into.words.get(word);
    if (known === undefined) into.words.set(word, child);
    else merge(known, child);
  }
  for (const [kind, { node, values }] of from.parameters) {
    const known = into.parameters.get(kind);
    if (known === undefined) into.parameters.set(kind, { node, values });
    else {
      known.values = bothValues(known.values, values);
      merge(known.node, node);
    }
  }
  for (const [method, calls] of from.ends) {
    const known = into.ends.get(method);
    if (known === undefined) into.ends.set(method, calls);
    else known.merge(calls);
  }
}

/** Kinds whose values are also values of the kind that absorbs them, where a place has both. */
const ABSORBED: readonly (readonly [ParameterKind, readonly ParameterKind[]])[] = [
  ['slug', ['integer', 'digits', 'uuid', 'date', 'hex']],
  ['hex', ['integer', 'digits']],
  ['digits', ['integer']],
];

function settle(node: TrieNode): void {
  const words = [...node.words.keys()].filter((word) => word !== '');
  if (words.length >= MANY_WORDS && areRare(node) && areSlugs(words)) foldWords(node);
  for (const [kind, absorbed] of ABSORBED) {
    const whole = node.parameters.get(kind);
    if (whole === undefined) continue;
    for (const other of absorbed) {
      const part = node.parameters.get(other);
      if (part === undefined) continue;
      whole.values = bothValues(whole.values, part.values);
      merge(whole.node, part.node);
      node.parameters.delete(other);
    }
  }
  for (const child of node.words.values()) settle(child);
  for (const { node: child } of node.parameters.values()) settle(child);
}

interface Way {
  /** Names of the parameters so far. */
  readonly names: readonly string[];
  readonly isUnknown: boolean;
}

function* routesFrom(node: TrieNode, pieces: readonly string[], way: Way): Generator<SeenRoute> {
  for (const [method, calls] of node.ends)
    yield { method, template: `/${pieces.join('/')}`, calls, isUnknown: way.isUnknown };
  for (const [word, child] of node.words) yield* routesFrom(child, [...pieces, word], way);
  for (const [kind, { node: child, values }] of node.parameters) {
    const name = parameterNameOf(pieces.at(-1), way.names);
    const type = parameterTypeOf[kind](values);
    const isUnknown = way.isUnknown || kind === 'unknown';
    yield* routesFrom(child, [...pieces, `{${name}:${type}}`], { names: [...way.names, name], isUnknown });
  }
}

/** The name of a parameter after the text before it: `order` after `orders`. Unique in its template. */
function parameterNameOf(before: string | undefined, taken: readonly string[]): string {
  const word = before !== undefined && /^[A-Za-z][A-Za-z0-9_-]{1,39}$/.test(before) ? before : 'id';
  const name = word.length > 3 && /[^s]s$/.test(word) ? word.slice(0, -1) : word;
  if (!taken.includes(name)) return name;
  return (
    Array.from({ length: taken.length + 1 }, (_, index) => `${name}-${index + 2}`).find(
      (one) => !taken.includes(one),
    ) ?? name
  );
}

import { areSlugs, isSlug, parameterTypeOf, segmentKindOf } from './segment-kind.ts';
import type { ParameterKind, ParameterValues, SegmentKind } from './segment-kind.ts';
import type { SeenCall } from '../learnt-call.ts';
import { CALLS_BYTES, NODE_BYTES, ownText, textBytes } from './room.ts';
import type { Room } from './room.ts';
import { SeenCalls } from './seen-calls.ts';
import { agentsBelow, emptyNode } from './trie-node.ts';
import type { Parameter, TrieNode } from './trie-node.ts';
import { areAmong, areRare, fewThatVary, wordsThatVary } from './varying-words.ts';
import type { VaryingWords } from './varying-words.ts';

/** At each multiple of this number of words of a node, its varying words are folded into a parameter. */
const MOST_WORDS = 32;
/** Most words of a node. */
const MOST_TEXTS = 256;
const MAX_SEGMENTS = 32;
/** Most words that are remembered of a parameter. */
const FIRST_WORDS = 128;

/** A path with a method, as the calls to it showed. */
export interface SeenRoute {
  readonly method: string;
  /** A template of the catalog, such as `/orders/{order:int}`. */
  readonly template: string;
  readonly calls: SeenCalls;
  /** Whether the kind of one of its parameters is unknown. */
  readonly isUnknown: boolean;
  /** Whether one of its parameters is guessed from a few values. */
  readonly isGuess: boolean;
}

/**
 * The calls to one host as a trie of path segments, of bounded width: values of a parameter share a branch. A plain word of one
 * agent never becomes a value because of what another agent calls: an agent that tries a thousand names must not widen what
 * others are permitted. A rare word with a digit can (`wordsThatVary`).
 */
export class PathTrie {
  readonly #root = emptyNode();
  readonly #room: Room;

  constructor(room: Room) {
    this.#room = room;
  }

  /** Adds a call. `false` if it has too many segments, or there is no room for another route. */
  add(call: SeenCall): boolean {
    const segments = call.path.slice(1).split('/');
    if (segments.length > MAX_SEGMENTS) return false;
    const bytes = missingBytes(this.#root, segments, call);
    if (bytes === null || (bytes > 0 && !this.#room.take(call.agent, bytes))) return false;
    let node = this.#root;
    node.hits += 1;
    for (const segment of segments) {
      node = childOf(node, segment, call.agent);
      node.hits += 1;
    }
    const end = node.ends.get(call.method) ?? new SeenCalls();
    node.ends.set(call.method, end);
    return end.add(call, this.#room);
  }

  /** The routes, in the order of their templates. Folds varying words into parameters: call it once, after the last `add`. */
  routes(): readonly SeenRoute[] {
    settle(this.#root);
    return [...routesFrom(this.#root, [], { names: [], isUnknown: false, isGuess: false })].toSorted(byTemplate);
  }
}

/** Of two types of a parameter at one node, that of more agents comes first: the catalog refuses the later if they overlap. */
const byTemplate = (one: SeenRoute, other: SeenRoute): number => {
  const [a, b] = [typeless(one.template), typeless(other.template)];
  if (a !== b) return a < b ? -1 : 1;
  const [mine, others] = [one.calls.agents.size, other.calls.agents.size];
  if (one.template !== other.template && mine !== others) return others - mine;
  return one.template === other.template
    ? one.method < other.method
      ? -1
      : 1
    : one.template < other.template
      ? -1
      : 1;
};

const typeless = (template: string): string =>
  template
    .split('/')
    .map((piece) => (piece.startsWith('{') ? piece.slice(0, piece.indexOf(':')) : piece))
    .join('/');

/** Bytes of the nodes that a call would add; `null` if a node on its path has no room for another word. */
function missingBytes(
  root: TrieNode,
  segments: readonly string[],
  { method, agent }: Pick<SeenCall, 'method' | 'agent'>,
): number | null {
  let node = root;
  for (const [index, segment] of segments.entries()) {
    const kind = parameterKindOf(node, segment, agent);
    const next = kind === null ? node.words.get(segment) : node.parameters.get(kind)?.node;
    if (next === undefined) {
      if (kind === null && node.words.size >= MOST_TEXTS && !isFoldable(node)) return null;
      return segments.slice(index).reduce((sum, one) => sum + NODE_BYTES + textBytes(one), CALLS_BYTES);
    }
    node = next;
  }
  return node.ends.has(method) ? 0 : CALLS_BYTES;
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

/** The kind of the parameter that a segment is a value of, if this agent calls it; `null` if it is text of the path. */
function parameterKindOf({ words, parameters }: TrieNode, segment: string, agent: string): ParameterKind | null {
  if (segment === '') return null;
  const kind = segmentKindOf(segment);
  if (kind !== 'word') return KIND_OF[kind];
  if (words.has(segment)) return null;
  const own = (of: ParameterKind): boolean => parameters.get(of)?.agents.has(agent) === true;
  if (own('slug') && isSlug(segment)) return 'slug';
  return own('unknown') ? 'unknown' : null;
}

function childOf(node: TrieNode, segment: string, agent: string): TrieNode {
  const kind = parameterKindOf(node, segment, agent);
  if (kind !== null) {
    const parameter = branchOf(node, kind, valuesOf([segment]));
    noteWord(parameter, segment, 1);
    return parameter.node;
  }
  const known = node.words.get(segment);
  if (known !== undefined) return known;
  // Checked at multiples of 32 words only, because each check reads the whole subtree.
  const { size } = node.words;
  if (size > 0 && (size % MOST_WORDS === 0 || size >= MOST_TEXTS) && foldEarly(node))
    return childOf(node, segment, agent);
  const next = emptyNode();
  node.words.set(ownText(segment), next);
  return next;
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

function branchOf({ parameters }: TrieNode, kind: ParameterKind, values: ParameterValues): Parameter {
  const known = parameters.get(kind);
  if (known !== undefined) {
    known.values = bothValues(known.values, values);
    return known;
  }
  const made = { node: emptyNode(), values, agents: new Set<string>(), isGuess: false, firstWords: null };
  parameters.set(kind, made);
  return made;
}

/** Whether a full node has words that vary. If it has none, it is asked again after twice as many hits: calls that find no room cost nothing. */
function isFoldable(node: TrieNode): boolean {
  if (node.hits < node.foldAtHits) return false;
  const canFold = wordsThatVary(node).words.length > 0;
  if (!canFold) node.foldAtHits = 2 * node.hits;
  return canFold;
}

/** Folds the varying words of a node into one parameter; `false` if there are none. The empty word of a final `/` stays. */
const foldWords = (node: TrieNode): boolean => foldInto(node, wordsThatVary(node)) !== null;

/** The same before all calls were read: the words are remembered, because they may be seen again and again later. */
function foldEarly(node: TrieNode): boolean {
  const vary = wordsThatVary(node);
  const hits = vary.words.map((word) => [word, node.words.get(word)?.hits ?? 0] as const);
  const into = foldInto(node, vary);
  if (into === null) return false;
  into.firstWords ??= new Map();
  for (const [word, count] of hits) noteWord(into, word, count);
  return true;
}

function noteWord({ firstWords }: Parameter, word: string, count: number): void {
  const known = firstWords?.get(word);
  if (known !== undefined) firstWords?.set(word, known + count);
  else if (firstWords !== null && firstWords.size < FIRST_WORDS) firstWords.set(ownText(word), count);
}

/** Makes words of a node the values of one parameter, which is returned; `null` without words. */
function foldInto(node: TrieNode, { words, agents }: VaryingWords): Parameter | null {
  if (words.length === 0) return null;
  const into = branchOf(node, areSlugs(words) ? 'slug' : 'unknown', valuesOf(words));
  for (const agent of agents) into.agents.add(agent);
  for (const word of words) {
    const child = node.words.get(word);
    if (child !== undefined) merge(into.node, child);
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
  for (const [kind, parameter] of from.parameters) {
    const known = into.parameters.get(kind);
    if (known === undefined) into.parameters.set(kind, parameter);
    else {
      known.values = bothValues(known.values, parameter.values);
      for (const agent of parameter.agents) known.agents.add(agent);
      known.isGuess &&= parameter.isGuess;
      if (parameter.firstWords !== null) known.firstWords ??= new Map();
      for (const [word, count] of parameter.firstWords ?? []) noteWord(known, word, count);
      merge(known.node, parameter.node);
    }
  }
  for (const [method, calls] of from.ends) {
    const known = into.ends.get(method);
    if (known === undefined) into.ends.set(method, calls);
    else known.merge(calls);
  }
}

/** For each kind, the kinds whose values are also values of it, and which it absorbs at a node that has both. */
const ABSORBED: readonly (readonly [ParameterKind, readonly ParameterKind[]])[] = [
  ['slug', ['integer', 'digits', 'uuid', 'date', 'hex']],
  ['hex', ['integer', 'digits']],
  ['digits', ['integer']],
];

function settle(node: TrieNode): void {
  foldWords(node);
  const guess = foldInto(node, fewThatVary(node));
  if (guess !== null) guess.isGuess = true;
  for (const parameter of node.parameters.values())
    if (parameter.firstWords !== null && !areRare(parameter.firstWords)) parameter.isGuess = true;
  for (const [kind, absorbed] of ABSORBED) {
    const whole = node.parameters.get(kind);
    if (whole === undefined || whole.isGuess) continue;
    const agents = agentsBelow(whole.node);
    for (const other of absorbed) {
      const part = node.parameters.get(other);
      // An agent that was seen with whole numbers alone is permitted no more than these.
      if (part === undefined || !areAmong(agentsBelow(part.node), agents)) continue;
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
  readonly isGuess: boolean;
}

function* routesFrom(node: TrieNode, pieces: readonly string[], way: Way): Generator<SeenRoute> {
  for (const [method, calls] of node.ends)
    yield { method, template: `/${pieces.join('/')}`, calls, isUnknown: way.isUnknown, isGuess: way.isGuess };
  for (const [word, child] of node.words) yield* routesFrom(child, [...pieces, word], way);
  for (const [kind, { node: child, values, isGuess }] of node.parameters) {
    const name = parameterNameOf(pieces.at(-1), way.names);
    const type = parameterTypeOf[kind](values);
    yield* routesFrom(child, [...pieces, `{${name}:${type}}`], {
      names: [...way.names, name],
      isUnknown: way.isUnknown || kind === 'unknown',
      isGuess: way.isGuess || isGuess,
    });
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

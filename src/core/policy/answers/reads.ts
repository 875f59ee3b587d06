import { entityKey } from '../entities.ts';
import { cedarInstantFrom, scaledDecimalFrom } from './literals.ts';
import { member, scopeUid } from './scope.ts';

/** What is read of a value and of what is below it. The presence of every named value counts as read. */
export interface PathReads {
  /** The whole value: compared, or passed to a function; of an entity, its name. */
  whole: boolean;
  /** The ancestors of an entity. */
  ancestors: boolean;
  /** All tags of an entity, because the tag's name is computed. */
  allTags: boolean;
  readonly attrs: Map<string, PathReads>;
  readonly tags: Map<string, PathReads>;
  /** Bounds, by kind, with which it is only compared (by order or equality). */
  readonly bounds: Readonly<Record<BoundKind, Set<number>>>;
}

/** A kind of ordered value: whole numbers, milliseconds since the epoch, ten-thousandths. */
export type BoundKind = 'long' | 'datetime' | 'decimal';

/** An upper bound of what policies read. */
export interface Reads {
  /** Set by an unknown form of expression, which may read anything. */
  everything: boolean;
  /** By `principal`, `action`, `resource`, `context`, or `entity` and the key of an entity literal. */
  readonly roots: Map<string, PathReads>;
}

/** A step from a value to a value below it. */
interface Step {
  readonly below: 'attrs' | 'tags';
  readonly name: string;
}

type Mark = (at: PathReads) => void;

const newPath = (): PathReads => ({
  whole: false,
  ancestors: false,
  allTags: false,
  attrs: new Map(),
  tags: new Map(),
  bounds: { long: new Set(), datetime: new Set(), decimal: new Set() },
});

const whole: Mark = (at) => (at.whole = true);
const present: Mark = () => {};
const within: Mark = (at) => {
  at.whole = true;
  at.ancestors = true;
};
const anyTag: Mark = (at) => (at.allTags = true);

const VARIABLES = new Set(['principal', 'action', 'resource', 'context']);
const ORDER = new Set(['==', '!=', '<', '<=', '>', '>=']);
const DECIMAL_ORDER = new Set(['lessThan', 'lessThanOrEqual', 'greaterThan', 'greaterThanOrEqual']);
const BINARY = new Set(['+', '-', '*', '&&', '||', 'contains', 'containsAll', 'containsAny']);
const UNARY = new Set(['!', 'neg', 'isEmpty']);
const CALLS = new Set(
  [
    'ip isIpv4 isIpv6 isLoopback isMulticast isInRange',
    'decimal lessThan lessThanOrEqual greaterThan greaterThanOrEqual',
    'datetime duration offset durationSince toDate toTime',
    'toMilliseconds toSeconds toMinutes toHours toDays',
  ].flatMap((names) => names.split(' ')),
);

/**
 * What a policy in Cedar's JSON format can read, its scope included. All branches count. Two requests that agree on everything
 * read have the same answer. An unknown form reads everything.
 *
 * @see Cedar RFC 76, whose argument shows why agreement on what is read suffices
 */
export function readsOf(json: unknown): Reads {
  const reads: Reads = { everything: false, roots: new Map() };
  const walk = walkerInto(reads);
  for (const variable of ['principal', 'action', 'resource']) {
    const scope = member(json, variable);
    const at = (mark: Mark): void => mark(rootOf(reads, variable));
    if (member(scope, 'op') !== 'All') at(whole);
    if (member(scope, 'op') === 'in' || member(scope, 'in') !== undefined) at(within);
  }
  const conditions = member(json, 'conditions');
  if (Array.isArray(conditions)) for (const condition of conditions) walk(member(condition, 'body'), [], whole);
  else reads.everything = true;
  return reads;
}

/** Merges the reads of several policies. */
export function readsTogether(all: Iterable<Reads>): Reads {
  const sum: Reads = { everything: false, roots: new Map() };
  for (const { everything, roots } of all) {
    sum.everything ||= everything;
    for (const [name, path] of roots) addInto(rootOf(sum, name), path);
  }
  return sum;
}

function addInto(sum: PathReads, path: PathReads): void {
  sum.whole ||= path.whole;
  sum.ancestors ||= path.ancestors;
  sum.allTags ||= path.allTags;
  for (const below of ['attrs', 'tags'] as const) {
    for (const [name, child] of path[below]) addInto(childOf(sum, { below, name }), child);
  }
  for (const kind of ['long', 'datetime', 'decimal'] as const) {
    for (const bound of path.bounds[kind]) sum.bounds[kind].add(bound);
  }
}

const rootOf = ({ roots }: Reads, name: string): PathReads => getOrAdd(roots, name);

const childOf = (path: PathReads, { below, name }: Step): PathReads => getOrAdd(path[below], name);

function getOrAdd(paths: Map<string, PathReads>, name: string): PathReads {
  const known = paths.get(name);
  if (known !== undefined) return known;
  const path = newPath();
  paths.set(name, path);
  return path;
}

/**
 * Walks an expression whose value is used as `mark` says, `below` some access steps. Accesses are pushed down through
 * conditionals and records to the variables and entities they apply to.
 */
function walkerInto(reads: Reads): (expression: unknown, below: readonly Step[], mark: Mark) => void {
  const leaf = (root: string, below: readonly Step[], mark: Mark): void =>
    mark(below.reduce(childOf, rootOf(reads, root)));
  const all = (expressions: readonly unknown[]): void => {
    for (const expression of expressions) walk(expression, [], whole);
  };
  const unknown = (): void => {
    reads.everything = true;
  };
  const walk = (expression: unknown, below: readonly Step[], mark: Mark): void => {
    const [node, ...more] = Object.entries(typeof expression === 'object' && expression !== null ? expression : {});
    if (node === undefined || more.length > 0) return unknown();
    const [kind, of] = node as readonly [string, unknown];
    const [left, right, attr] = [member(of, 'left'), member(of, 'right'), member(of, 'attr')];
    const tag = member(right, 'Value');
    if (kind === 'Var') return typeof of === 'string' && VARIABLES.has(of) ? leaf(of, below, mark) : unknown();
    if (kind === 'Value') {
      const uid = member(of, '__entity') === undefined ? null : scopeUid(of);
      return uid === null ? undefined : leaf(`entity ${entityKey(uid)}`, below, mark);
    }
    if (kind === '.') {
      return typeof attr === 'string' ? walk(left, [{ below: 'attrs', name: attr }, ...below], mark) : unknown();
    }
    if (kind === 'has') {
      const names = typeof attr === 'string' ? [attr] : attr;
      if (!isTexts(names)) return unknown();
      return walk(
        left,
        names.map((name) => ({ below: 'attrs', name })),
        present,
      );
    }
    if (kind === 'getTag' && typeof tag === 'string') return walk(left, [{ below: 'tags', name: tag }, ...below], mark);
    if (kind === 'hasTag' && typeof tag === 'string') return walk(left, [{ below: 'tags', name: tag }], present);
    if (kind === 'getTag' || kind === 'hasTag') {
      // Below a tag with a computed name there is no path to record.
      if (below.length > 0 || (kind === 'getTag' && mark === within)) unknown();
      walk(left, [], anyTag);
      return walk(right, [], whole);
    }
    if (kind === 'in') {
      walk(left, [], within);
      return walk(right, [], whole);
    }
    if (kind === 'is') {
      const group = member(of, 'in');
      walk(left, [], group === undefined ? whole : within);
      return group === undefined ? undefined : walk(group, [], whole);
    }
    if (ORDER.has(kind)) return compared(left, right);
    if (kind === 'if-then-else') {
      walk(member(of, 'if'), [], whole);
      walk(member(of, 'then'), below, mark);
      return walk(member(of, 'else'), below, mark);
    }
    if (kind === 'Record') return record(of, below, mark);
    if (kind === 'Set') return Array.isArray(of) ? all(of) : unknown();
    if (kind === 'like') return walk(left, [], whole);
    if (BINARY.has(kind)) return all([left, right]);
    if (UNARY.has(kind)) return walk(member(of, 'arg'), [], whole);
    if (!CALLS.has(kind) || !Array.isArray(of)) return unknown();
    return DECIMAL_ORDER.has(kind) ? compared(of[0], of[1]) : all(of);
  };
  const compared = (left: unknown, right: unknown): void => {
    walk(left, [], boundBy(right));
    walk(right, [], boundBy(left));
  };
  /** The other members are evaluated too, and may fail. */
  const record = (of: unknown, [step, ...rest]: readonly Step[], mark: Mark): void => {
    if (typeof of !== 'object' || of === null) return unknown();
    for (const [name, item] of Object.entries(of)) {
      if (step?.below === 'attrs' && step.name === name) walk(item, rest, mark);
      else walk(item, [], whole);
    }
  };
  return walk;
}

/** Compared with a literal, a value is read only relative to that bound. */
function boundBy(other: unknown): Mark {
  const literal = member(other, 'Value');
  if (typeof literal === 'number' && Number.isSafeInteger(literal)) return bounded('long', literal);
  const instant = cedarInstantFrom(argumentOf(other, 'datetime'));
  if (instant !== null) return bounded('datetime', instant);
  const scaled = scaledDecimalFrom(argumentOf(other, 'decimal'));
  return scaled === null ? whole : bounded('decimal', scaled);
}

const bounded =
  (kind: BoundKind, bound: number): Mark =>
  (at) =>
    at.bounds[kind].add(bound);

function argumentOf(expression: unknown, name: string): unknown {
  const call = member(expression, name);
  return Array.isArray(call) && call.length === 1 ? member(call[0], 'Value') : undefined;
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

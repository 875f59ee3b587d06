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

/**
 * What a policy in Cedar's JSON format can read, its scope included. All branches count. Two requests that agree on everything
 * read have the same answer. An unknown form reads everything.
 *
 * @see Cedar RFC 76, whose argument shows why agreement on what is read suffices
 */
export function readsOf(json: unknown): Reads {
  const reads: Reads = { everything: false, roots: new Map() };
  const walker: Walker = { reads, walk: (expression, use) => walkExpression(walker, expression, use) };
  for (const root of ['principal', 'action', 'resource']) {
    const scope = member(json, root);
    const at = (mark: Mark): void => mark(rootOf(reads, root));
    if (member(scope, 'op') !== 'All') at(whole);
    if (member(scope, 'op') === 'in' || member(scope, 'in') !== undefined) at(within);
  }
  const conditions = member(json, 'conditions');
  if (Array.isArray(conditions)) for (const condition of conditions) walker.walk(member(condition, 'body'), asWhole);
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

/** How the value of an expression is used: `mark` records the use, at the value that the access steps `below` lead to. */
interface ValueUse {
  readonly below: readonly Step[];
  readonly mark: Mark;
}

const marked = (mark: Mark): ValueUse => ({ below: [], mark });
const asWhole = marked(whole);

/** Walks the expressions of a policy, and adds to its reads. */
interface Walker {
  readonly reads: Reads;
  readonly walk: (expression: unknown, use: ValueUse) => void;
}

/** Reads a form of expression, of which `of` is the content. */
type FormReader = (walker: Walker, of: unknown, use: ValueUse) => void;

/**
 * Accesses are pushed down through conditionals and records to the variables and entities they apply to.
 */
function walkExpression(walker: Walker, expression: unknown, use: ValueUse): void {
  const [node, ...more] = Object.entries(typeof expression === 'object' && expression !== null ? expression : {});
  const read = node === undefined || more.length > 0 ? undefined : FORMS.get(node[0]);
  if (node === undefined || read === undefined) return readEverything(walker);
  read(walker, node[1], use);
}

function readEverything({ reads }: Walker): void {
  reads.everything = true;
}

const leaf = ({ reads }: Walker, root: string, { below, mark }: ValueUse): void =>
  mark(below.reduce(childOf, rootOf(reads, root)));

function allWhole({ walk }: Walker, expressions: readonly unknown[]): void {
  for (const expression of expressions) walk(expression, asWhole);
}

function compared({ walk }: Walker, left: unknown, right: unknown): void {
  walk(left, marked(boundBy(right)));
  walk(right, marked(boundBy(left)));
}

const variable: FormReader = (walker, of, use) =>
  typeof of === 'string' && VARIABLES.has(of) ? leaf(walker, of, use) : readEverything(walker);

const literal: FormReader = (walker, of, use) => {
  const uid = member(of, '__entity') === undefined ? null : scopeUid(of);
  if (uid !== null) leaf(walker, `entity ${entityKey(uid)}`, use);
};

const attribute: FormReader = (walker, of, { below, mark }) => {
  const name = member(of, 'attr');
  if (typeof name !== 'string') return readEverything(walker);
  walker.walk(member(of, 'left'), { below: [{ below: 'attrs', name }, ...below], mark });
};

const hasAttribute: FormReader = (walker, of) => {
  const attr = member(of, 'attr');
  const names = typeof attr === 'string' ? [attr] : attr;
  if (!isTexts(names)) return readEverything(walker);
  walker.walk(member(of, 'left'), { below: names.map((name) => ({ below: 'attrs', name })), mark: present });
};

const tag: FormReader = (walker, of, use) => {
  const { below, mark } = use;
  const name = tagNameIn(of);
  if (name !== null) return walker.walk(member(of, 'left'), { below: [{ below: 'tags', name }, ...below], mark });
  if (mark === within) readEverything(walker);
  computedTag(walker, of, use);
};

const hasTag: FormReader = (walker, of, use) => {
  const name = tagNameIn(of);
  if (name === null) return computedTag(walker, of, use);
  walker.walk(member(of, 'left'), { below: [{ below: 'tags', name }], mark: present });
};

function tagNameIn(of: unknown): string | null {
  const name = member(member(of, 'right'), 'Value');
  return typeof name === 'string' ? name : null;
}

/** Below a tag with a computed name there is no path to record. */
function computedTag(walker: Walker, of: unknown, { below }: ValueUse): void {
  if (below.length > 0) readEverything(walker);
  walker.walk(member(of, 'left'), marked(anyTag));
  walker.walk(member(of, 'right'), asWhole);
}

const isIn: FormReader = ({ walk }, of) => {
  walk(member(of, 'left'), marked(within));
  walk(member(of, 'right'), asWhole);
};

const isOfType: FormReader = ({ walk }, of) => {
  const group = member(of, 'in');
  walk(member(of, 'left'), group === undefined ? asWhole : marked(within));
  if (group !== undefined) walk(group, asWhole);
};

const conditional: FormReader = ({ walk }, of, use) => {
  walk(member(of, 'if'), asWhole);
  walk(member(of, 'then'), use);
  walk(member(of, 'else'), use);
};

/** The members that are not accessed are evaluated too, and may fail. */
const record: FormReader = (walker, of, { below: [step, ...rest], mark }) => {
  if (typeof of !== 'object' || of === null) return readEverything(walker);
  for (const [name, item] of Object.entries(of)) {
    const isAccessed = step?.below === 'attrs' && step.name === name;
    walker.walk(item, isAccessed ? { below: rest, mark } : asWhole);
  }
};

const items: FormReader = (walker, of) => (Array.isArray(of) ? allWhole(walker, of) : readEverything(walker));
const like: FormReader = ({ walk }, of) => walk(member(of, 'left'), asWhole);
const unary: FormReader = ({ walk }, of) => walk(member(of, 'arg'), asWhole);
const binary: FormReader = (walker, of) => allWhole(walker, [member(of, 'left'), member(of, 'right')]);
const ordered: FormReader = (walker, of) => compared(walker, member(of, 'left'), member(of, 'right'));
const orderedCall: FormReader = (walker, of) =>
  Array.isArray(of) ? compared(walker, of[0], of[1]) : readEverything(walker);

const each = (names: string, read: FormReader): readonly (readonly [string, FormReader])[] =>
  names.split(' ').map((name) => [name, read]);

/** The forms of expression, by their name in Cedar's JSON format. Any other form reads everything. */
const FORMS: ReadonlyMap<string, FormReader> = new Map([
  ['Var', variable],
  ['Value', literal],
  ['.', attribute],
  ['has', hasAttribute],
  ['getTag', tag],
  ['hasTag', hasTag],
  ['in', isIn],
  ['is', isOfType],
  ['if-then-else', conditional],
  ['Record', record],
  ['Set', items],
  ['like', like],
  ...each('== != < <= > >=', ordered),
  ...each('+ - * && || contains containsAll containsAny', binary),
  ...each('! neg isEmpty', unary),
  ...each('lessThan lessThanOrEqual greaterThan greaterThanOrEqual', orderedCall),
  ...each('ip isIpv4 isIpv6 isLoopback isMulticast isInRange decimal', items),
  ...each('datetime duration offset durationSince toDate toTime', items),
  ...each('toMilliseconds toSeconds toMinutes toHours toDays', items),
]);

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

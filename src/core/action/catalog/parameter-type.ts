/** What a path parameter accepts: one percent-decoded segment. */
export interface ParameterType {
  /** As written after the colon, such as `uuid` or `[a-z]{1,8}`; empty without a type. */
  readonly text: string;
  /** Whether policies see a `long` by default. */
  readonly isNumber: boolean;
  /** A text it accepts. */
  readonly sample: string;
  /** Reads each character once, without backtracking: linear time. */
  readonly accepts: (segment: string) => boolean;
  /** Whether it accepts a text that differs from the given text only in case. Used when loading, not per call. */
  readonly acceptsOtherCase: (text: string) => boolean;
}

/** A character class with its repetition. */
interface Item {
  readonly set: ReadonlySet<string>;
  readonly least: number;
  readonly most: number;
}

const MAX_PATTERN_CHARS = 256;
const MAX_ITEMS = 64;
const MAX_TAKEN = 1024;

/** Characters of an unescaped segment: `pchar` of RFC 3986 section 3.3 without `;`, which has a second reading. */
const SEGMENT_CHAR = /^[A-Za-z0-9\-._~!$&'()*+,=:@]$/;
const PIECE = /\[((?:\\.|[^\]\\])+)\]|\\(.)|([A-Za-z0-9\-_~!&',=:@])/y;
const COUNT = /\{(\d{1,4})(?:,(\d{1,4}))?\}|\?/y;
const IN_CLASS = /(\\?[^\\])(?:-(\\?[^\\\]]))?|\\-/y;
const SHORT: ReadonlyMap<string, string> = new Map([
  ['d', '0-9'],
  ['w', 'A-Za-z0-9_'],
]);

/**
 * What `{id}` accepts: 1 to 128 letters, digits, `_` and `-`. No dot and no colon: some routers read `p-1.json` and `p-1:void`
 * as `p-1`.
 */
const PLAIN = '[A-Za-z0-9_-]{1,128}';
const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';

const INT: ParameterType = {
  text: 'int',
  isNumber: true,
  sample: '0',
  accepts: (segment) => /^(?:0|[1-9][0-9]{0,15})$/.test(segment) && Number.isSafeInteger(Number(segment)),
  acceptsOtherCase: () => false,
};

const TEXT: ParameterType = {
  text: 'text',
  isNumber: false,
  sample: 'x',
  accepts: (segment) => segment !== '',
  acceptsOtherCase: (text) => text.toLowerCase() !== text.toUpperCase(),
};

/**
 * Parses the type of a path parameter: `uuid` (RFC 9562, lower case), `int` (0 to 2^53 - 1 without leading zeros, a `long`),
 * `text` (any segment), or a pattern of bounded length. A pattern consists of characters and classes such as `[a-z0-9-]`, `\d`
 * and `\w`, each once or with `?`, `{n}` or `{m,n}`; no `*`, `+`, `|`, groups or `.`. What follows an item of variable length
 * must not match that item, so that no backtracking is needed. Empty means `PLAIN`.
 */
export function parameterTypeFrom(text: string): ParameterType | { readonly problem: string } {
  if (text === 'int') return INT;
  if (text === 'text') return TEXT;
  const items = itemsFrom(text === '' ? PLAIN : text === 'uuid' ? UUID : text);
  if ('problem' in items) return { problem: `the type \`${text.slice(0, 100)}\` ${items.problem}` };
  return {
    text,
    isNumber: false,
    sample: text === '' ? 'x' : items.map(({ set, least }) => ([...set][0] ?? '').repeat(least)).join('') || 'x',
    accepts: (segment) => isEnd(items, stateAfter(items, segment)),
    acceptsOtherCase: (other) => acceptsOtherCase(items, other),
  };
}

function itemsFrom(pattern: string): readonly Item[] | { readonly problem: string } {
  if (pattern.length > MAX_PATTERN_CHARS) return { problem: `is longer than ${MAX_PATTERN_CHARS} characters` };
  const items: Item[] = [];
  for (let at = 0; at < pattern.length;) {
    PIECE.lastIndex = at;
    const piece = PIECE.exec(pattern);
    if (piece === null)
      return {
        problem: `must be \`uuid\`, \`int\`, \`text\` or a pattern: ${REST} \`${pattern.slice(at, at + 20)}\``,
      };
    const set = setFrom(piece[1] ?? shortFor(piece[2]) ?? piece[3] ?? '');
    if ('problem' in set) return set;
    COUNT.lastIndex = PIECE.lastIndex;
    const count = COUNT.exec(pattern);
    const [least, most] = count === null ? [1, 1] : boundsOf(count);
    if (least > most || most === 0) return { problem: `has the invalid count \`${count?.[0] ?? ''}\`` };
    items.push({ set, least, most });
    at = count === null ? PIECE.lastIndex : COUNT.lastIndex;
  }
  if (items.length > MAX_ITEMS) return { problem: `has more than ${MAX_ITEMS} parts` };
  if (items.reduce((sum, { most }) => sum + most, 0) > MAX_TAKEN)
    return { problem: `accepts more than ${MAX_TAKEN} characters` };
  if (items.every(({ least }) => least === 0)) return { problem: 'accepts an empty segment' };
  return items.some((item, index) => isAmbiguous(item, items.slice(index + 1)))
    ? { problem: 'has a part of varying length whose characters can follow it: join the two' }
    : items;
}

const REST = 'a pattern has characters, classes `[…]`, `?`, `{n}` and `{m,n}`; cannot parse it from';

const shortFor = (escaped: string | undefined): string | undefined =>
  escaped === undefined ? undefined : (SHORT.get(escaped) ?? `\\${escaped}`);

const boundsOf = (count: RegExpExecArray): readonly [number, number] =>
  count[1] === undefined ? [0, 1] : [Number(count[1]), Number(count[2] ?? count[1])];

/** The characters of a class. */
function setFrom(text: string): ReadonlySet<string> | { readonly problem: string } {
  const set = new Set<string>();
  for (let at = 0; at < text.length;) {
    const escaped = text[at] === '\\' ? SHORT.get(text[at + 1] ?? '') : undefined;
    IN_CLASS.lastIndex = at;
    const match = IN_CLASS.exec(text);
    const [from = '', to = from] =
      escaped === undefined ? (match ?? []).slice(1).map((one) => one?.replace('\\', '')) : [];
    const added = escaped === undefined ? charsBetween(from, to) : [...setOf(escaped)];
    if (match === null || added.length === 0 || !added.every((char) => SEGMENT_CHAR.test(char)))
      return {
        problem: `has \`${text.slice(at, at + 10)}\` in it, which is not a character or range of a path segment`,
      };
    for (const char of added) set.add(char);
    at = escaped === undefined ? IN_CLASS.lastIndex : at + 2;
  }
  return set;
}

const setOf = (text: string): ReadonlySet<string> => {
  const set = setFrom(text);
  return 'problem' in set ? new Set() : set;
};

function charsBetween(from: string, to: string): readonly string[] {
  const [first, last] = [from.charCodeAt(0), to.charCodeAt(0)];
  if (from.length !== 1 || to.length !== 1 || last > 0x7e) return [];
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => String.fromCharCode(first + at));
}

/** Whether a following character could also be a further repetition of the item. */
function isAmbiguous({ set, least, most }: Item, following: readonly Item[]): boolean {
  if (least === most) return false;
  const must = following.findIndex((item) => item.least > 0);
  const next = must === -1 ? following : following.slice(0, must + 1);
  return next.some((item) => [...item.set].some((char) => set.has(char)));
}

/** Position in the pattern: an item and its number of repetitions. `null` if the text does not match. */
interface State {
  readonly item: number;
  readonly count: number;
}

const START: State = { item: 0, count: 0 };

function step(items: readonly Item[], { item, count }: State, char: string): State | null {
  let times = count;
  for (let at = item; at < items.length; at += 1) {
    const part = items[at];
    if (part === undefined) return null;
    if (times < part.most && part.set.has(char)) return { item: at, count: times + 1 };
    if (times < part.least) return null;
    times = 0;
  }
  return null;
}

function stateAfter(items: readonly Item[], text: string): State | null {
  // Longer than any pattern accepts. Each accepted character is one code unit.
  if (text.length > MAX_TAKEN) return null;
  let state: State | null = START;
  for (const char of text) {
    if (state === null) return null;
    state = step(items, state, char);
  }
  return state;
}

const isEnd = (items: readonly Item[], state: State | null): boolean =>
  state !== null && items.slice(state.item).every(({ least }, index) => (index === 0 ? state.count : 0) >= least);

/** Simulates all case variants of the text at once; there are no more states than items and counts. */
function acceptsOtherCase(items: readonly Item[], text: string): boolean {
  let states = new Map<string, { readonly state: State; readonly isOther: boolean }>([
    ['', { state: START, isOther: false }],
  ]);
  for (const char of text) {
    const next: typeof states = new Map();
    for (const { state, isOther } of states.values()) {
      for (const spelt of new Set([char, char.toLowerCase(), char.toUpperCase()])) {
        const to = step(items, state, spelt);
        const different = isOther || spelt !== char;
        if (to !== null) next.set(`${to.item} ${to.count} ${different}`, { state: to, isOther: different });
      }
    }
    states = next;
  }
  return [...states.values()].some(({ state, isOther }) => isOther && isEnd(items, state));
}

import { isProblem, type Problem } from '../../runtime/problem.ts';
import { isObject } from '../../runtime/fields.ts';
import { protobufFolded } from '../arguments/json-arguments.ts';
import type { McpServer } from '../catalog/catalog.ts';
import { lookalike } from '../json-rpc.ts';
import { looksLike, nameSkeleton } from './name-skeleton.ts';
import { PINNED_MEMBERS, type UnnamedPin, unnamedPin } from './tool-pin.ts';

/** How a pinned tool differs from what was reviewed. `unreadable`: the server answered, but not with a list that can be read. */
export type ToolChangeKind = 'changed' | 'vanished' | 'renamed' | 'look-alike' | 'repeated' | 'unreadable';

/** A pinned tool that is not as it was reviewed. */
export interface ToolChange {
  /** Its name in the catalog. */
  readonly tool: string;
  /** The id of its action. */
  readonly action: string;
  readonly kind: ToolChangeKind;
  /** The pin of what the server lists now under its name; `null` if it lists nothing, or nothing that has a pin. */
  readonly now: string | null;
  /** The other tool: its new name, or the one that looks like it; `null` for other kinds. */
  readonly other: string | null;
  /** More on why, as a clause; `null` if there is no more to say. */
  readonly note: string | null;
}

/** Most bytes of definitions that are digested; beyond, a tool is reported as changed, or as vanished if it is not listed. */
const MAX_DIGESTED_BYTES = 4_194_304;
/** Most digests that are computed to find the new names of tools; beyond, a tool is reported as vanished. */
const MAX_RENAMES_TRIED = 4_096;
/** Longest name of a tool, in UTF-16 code units. No catalog names what has a longer name. */
const MAX_NAME = 256;

type Tool = Readonly<Record<string, unknown>>;
type Pinned = Pick<McpServer, 'tools' | 'pins'>;

/**
 * The pinned tools of a server that are not as they were reviewed: the definition differs from its pin or can be read in two
 * ways; the name is listed twice or no longer; or an unreviewed tool has a name that looks like it. Empty if all are as reviewed.
 * At most 4 MiB of definitions are digested; beyond that a tool counts as changed, or as vanished if it is not listed.
 *
 * @param listed all tools that the server lists, of all pages
 * @param turn lets other work run; called before each step, whose cost is linear in one tool or in the names of all tools
 */
export async function toolChanges(
  listed: readonly unknown[],
  { tools, pins }: Pinned,
  turn: () => Promise<unknown>,
): Promise<readonly ToolChange[]> {
  const byName = new Map<string, Tool[]>();
  for (const tool of listed) {
    await turn();
    if (!isObject(tool)) continue;
    for (const name of namesOf(tool))
      byName
        .set(name, byName.get(name) ?? [])
        .get(name)
        ?.push(tool);
  }
  const digests = new Digests(turn);
  // Before the search for new names, so that the search never uses up the bytes for a tool that is as reviewed.
  const own = new Map<string, string | Problem>();
  for (const tool of pins.keys()) {
    const [found] = byName.get(tool) ?? [];
    if (found !== undefined) own.set(tool, await digests.pinOf(found, tool));
  }
  const strangers: Stranger[] = [];
  for (const [name, found] of byName) {
    if (tools.has(name)) continue;
    await turn();
    strangers.push({ name, found, skeleton: nameSkeleton(name) });
  }
  const changes: ToolChange[] = [];
  for (const [tool, pin] of pins) {
    await turn();
    const now = own.get(tool);
    const change =
      now === undefined
        ? await goneTool({ tool, pin }, { strangers, digests })
        : listedTool({ tool, pin, now, found: byName.get(tool) ?? [] }, strangers);
    if (change !== null)
      changes.push({ tool, action: tools.get(tool)?.id ?? '', now: null, other: null, note: null, ...change });
  }
  return changes;
}

/** All pinned tools of a server whose list cannot be read, so that a server cannot avoid the comparison by its answers. */
export const unreadableTools = ({ tools, pins }: Pinned, problem: string): readonly ToolChange[] =>
  Array.from(pins.keys(), (tool): ToolChange => {
    const action = tools.get(tool)?.id ?? '';
    return { tool, action, kind: 'unreadable', now: null, other: null, note: problem };
  });

/** A listed tool that the catalog does not name. */
interface Stranger {
  readonly name: string;
  readonly found: readonly Tool[];
  readonly skeleton: string;
}

type Change = Pick<ToolChange, 'kind'> & Partial<ToolChange>;

/**
 * The names that parsers may read for a listed tool: some take `Name` for `name`, either the first or the last. Empty if there is
 * none.
 */
function namesOf(tool: Tool): ReadonlySet<string> {
  const folded = Object.keys(tool).filter((member) => protobufFolded(member) === 'name');
  const values = ['name', ...folded.slice(0, 1), ...folded.slice(-1)].map((member) => tool[member]);
  return new Set(values.filter((value) => typeof value === 'string').filter(({ length }) => length <= MAX_NAME));
}

/** How a tool changed that the server lists no more: it was renamed, or it vanished. */
async function goneTool(
  { tool, pin }: { readonly tool: string; readonly pin: string },
  { strangers, digests }: { readonly strangers: readonly Stranger[]; readonly digests: Digests },
): Promise<Change> {
  for (const { name, found } of strangers) {
    for (const one of found) {
      const renamed = await digests.renamedPin(one, tool);
      if (renamed === OVER) return { kind: 'vanished', note: 'not every other tool was tried for its new name' };
      if (renamed === pin) return { kind: 'renamed', other: name };
    }
  }
  return { kind: 'vanished' };
}

/** How a tool that the server lists differs; `null` if it is as reviewed. */
function listedTool(
  {
    tool,
    pin,
    now,
    found: [first = {}, ...more],
  }: {
    readonly tool: string;
    readonly pin: string;
    readonly now: string | Problem;
    readonly found: readonly Tool[];
  },
  strangers: readonly Stranger[],
): Change | null {
  if (more.length > 0) return { kind: 'repeated', now: isProblem(now) ? null : now };
  const taken = lookalike(Object.keys(first), PINNED_MEMBERS);
  if (taken !== null) return { kind: 'changed', note: `it has a member that some readers take for \`${taken}\`` };
  if (isProblem(now)) return { kind: 'changed', note: now.problem };
  if (now !== pin) return { kind: 'changed', now };
  const own = nameSkeleton(tool);
  const alike = strangers.find(({ skeleton }) => looksLike(skeleton, own));
  return alike === undefined ? null : { kind: 'look-alike', now, other: alike.name };
}

/** What {@link Digests} gives once there are no bytes left. */
const OVER: Problem = Object.freeze({
  problem: `more than ${MAX_DIGESTED_BYTES} bytes of definitions are not digested`,
});

/** Makes pins of listed definitions, as long as the bounds of one comparison allow. It lives as long as the comparison. */
class Digests {
  #bytesLeft = MAX_DIGESTED_BYTES;
  #renamesLeft = MAX_RENAMES_TRIED;
  readonly #unnamed = new Map<Tool, UnnamedPin | Problem>();
  readonly #turn: () => Promise<unknown>;

  constructor(turn: () => Promise<unknown>) {
    this.#turn = turn;
  }

  /** The pin of a definition under a name. */
  async pinOf(tool: Tool, name: string): Promise<string | Problem> {
    if (this.#bytesLeft < 0) return OVER;
    await this.#turn();
    const unnamed = this.#unnamed.get(tool) ?? unnamedPin(tool);
    this.#unnamed.set(tool, unnamed);
    if (isProblem(unnamed)) return unnamed;
    this.#bytesLeft -= unnamed.bytes;
    return this.#bytesLeft < 0 ? OVER : unnamed.pinAs(name);
  }

  /** As `pinOf`, to find a new name. */
  async renamedPin(tool: Tool, name: string): Promise<string | Problem> {
    if (this.#renamesLeft <= 0) return OVER;
    this.#renamesLeft -= 1;
    return this.pinOf(tool, name);
  }
}

const KIND_TEXTS = {
  changed: () => 'its definition differs from its pin',
  vanished: () => 'the server lists it no more',
  renamed: ({ other }) => `the server lists it as \`${shownTool(other)}\``,
  'look-alike': ({ other }) =>
    `the server also lists \`${shownTool(other)}\`, which looks like it and was not reviewed`,
  repeated: () => 'the server lists more than one tool of its name',
  unreadable: () => 'the server answers, but not with a list of tools that can be read',
} as const satisfies Readonly<Record<ToolChangeKind, (change: ToolChange) => string>>;

/** A change of a tool as a sentence for people. */
export const toolChangeText = (change: ToolChange): string =>
  `tool \`${shownTool(change.tool)}\`: ${KIND_TEXTS[change.kind](change)}${change.note === null ? '' : `: ${change.note}`}`;

const MAX_SHOWN = 48;

/**
 * The first 48 characters of a name, readable: a character other than visible ASCII is written as its code point, and so is a
 * backtick.
 */
export const shownTool = (name: string | null): string =>
  Array.from(name ?? '')
    .slice(0, MAX_SHOWN)
    .map((character) =>
      /[\x21-\x7e]/.test(character) && character !== '`'
        ? character
        : String.raw`\u{` + (character.codePointAt(0) ?? 0).toString(16) + '}',
    )
    .join('');

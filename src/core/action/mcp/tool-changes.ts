import { isObject } from '../../runtime/fields.ts';
import { isProblem } from '../../runtime/problem.ts';
import type { McpServer } from '../catalog/catalog.ts';
import { looksLike, nameSkeleton } from './name-skeleton.ts';
import { toolPin } from './tool-pin.ts';

/** How a pinned tool differs from what was reviewed. */
export type ToolChangeKind = 'changed' | 'vanished' | 'renamed' | 'look-alike' | 'repeated';

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
}

/** Most digests that are made to find the new names of tools; beyond, a tool that was renamed is called vanished. */
const MAX_RENAMES_TRIED = 4_096;

type Tool = Readonly<Record<string, unknown>>;

/**
 * The pinned tools of a server that are not as they were reviewed: a definition that differs, a name that is listed twice or no more, or another tool
 * beside it that looks like it and that nobody reviewed. Empty if all are as reviewed. Pure.
 *
 * @param listed all tools that the server lists, of all pages
 */
export function toolChanges(
  listed: readonly unknown[],
  { tools, pins }: Pick<McpServer, 'tools' | 'pins'>,
): readonly ToolChange[] {
  const named = listed.flatMap((tool) => (isNamedTool(tool) ? [tool] : []));
  const byName = Map.groupBy(named, (tool) => tool.name);
  const strangers = [...byName.keys()].filter((name) => !tools.has(name));
  let left = MAX_RENAMES_TRIED;
  const isAs = (name: string, { tool, pin }: { readonly tool: string; readonly pin: string }): boolean =>
    byName.get(name)?.some((one) => (left -= 1) >= 0 && pinOf({ ...one, name: tool }) === pin) === true;
  const skeletons = strangers.map((name) => ({ name, skeleton: nameSkeleton(name) }));
  return Array.from(pins).flatMap(([tool, pin]) => {
    const action = tools.get(tool)?.id ?? '';
    const changed = (kind: ToolChangeKind, now: string | null, other: string | null = null): readonly ToolChange[] => [
      { tool, action, kind, now, other },
    ];
    const [found, ...more] = byName.get(tool) ?? [];
    if (found === undefined) {
      const renamed = strangers.find((name) => isAs(name, { tool, pin }));
      return renamed === undefined ? changed('vanished', null) : changed('renamed', null, renamed);
    }
    const now = pinOf(found);
    if (more.length > 0) return changed('repeated', now);
    if (now !== pin) return changed('changed', now);
    const own = nameSkeleton(tool);
    const alike = skeletons.find(({ skeleton }) => looksLike(skeleton, own));
    return alike === undefined ? [] : changed('look-alike', now, alike.name);
  });
}

const isNamedTool = (tool: unknown): tool is Tool & { readonly name: string } =>
  isObject(tool) && typeof tool['name'] === 'string';

/** `null` if it has none. */
function pinOf(tool: Tool): string | null {
  const pin = toolPin(tool);
  return isProblem(pin) ? null : pin;
}

const KIND_TEXTS = {
  changed: () => 'its definition differs from its pin',
  vanished: () => 'the server lists it no more',
  renamed: ({ other }) => `the server lists it as \`${shownTool(other)}\``,
  'look-alike': ({ other }) =>
    `the server also lists \`${shownTool(other)}\`, which looks like it and was not reviewed`,
  repeated: () => 'the server lists more than one tool of its name',
} as const satisfies Readonly<Record<ToolChangeKind, (change: ToolChange) => string>>;

/** What has become of a tool, for people. */
export const toolChangeText = (change: ToolChange): string =>
  `tool \`${shownTool(change.tool)}\`: ${KIND_TEXTS[change.kind](change)}`;

const MAX_SHOWN = 48;

/** A name as people can read it: what they cannot see or tell apart is written as its code point. */
export const shownTool = (name: string | null): string =>
  Array.from(name ?? '')
    .slice(0, MAX_SHOWN)
    .map((character) =>
      /[\x21-\x7e]/.test(character) && character !== '`'
        ? character
        : String.raw`\u{` + (character.codePointAt(0) ?? 0).toString(16) + '}',
    )
    .join('');

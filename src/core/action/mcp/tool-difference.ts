import { isProblem } from '../../runtime/problem.ts';
import { canonicalText, PINNED_MEMBERS } from './tool-pin.ts';

/** A pinned member of a tool that differs: as text, cut at 200 characters around the first difference; `null` if it is absent. */
export interface ToolDifference {
  readonly member: (typeof PINNED_MEMBERS)[number];
  readonly before: string | null;
  readonly now: string | null;
}

const SHOWN = 200;
/** Characters before the first difference, so that a reader finds the place. */
const BEFORE = 40;

/** What differs between two definitions of a tool, in what its pin covers. */
export function toolDifference(
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
): readonly ToolDifference[] {
  return PINNED_MEMBERS.flatMap((member) => {
    const [one, other] = [textOf(before[member]), textOf(now[member])];
    if (one === other) return [];
    const from = Math.max(0, firstDifference(one ?? '', other ?? '') - BEFORE);
    return [{ member, before: cut(one, from), now: cut(other, from) }];
  });
}

/** `null` for an absent member. Invisible characters are written as escapes, since they are what a reader must see. */
function textOf(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  const text = typeof value === 'string' ? value : canonicalText(value);
  return (isProblem(text) ? text.problem : text).replaceAll(
    /[^\P{C}\n]|[\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}]/gu,
    (character) => String.raw`\u{` + (character.codePointAt(0) ?? 0).toString(16) + '}',
  );
}

function firstDifference(one: string, other: string): number {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at += 1;
  return at;
}

const cut = (text: string | null, from: number): string | null => {
  if (text === null) return null;
  const shown = text.slice(from, from + SHOWN);
  return `${from > 0 ? '…' : ''}${shown}${text.length > from + SHOWN ? '…' : ''}`;
};

/** The differences in a line for people. */
export const toolDifferenceText = (differences: readonly ToolDifference[]): string =>
  differences
    .map(
      ({ member, before, now }) =>
        `${member}: ${before === null ? 'none' : `\`${before}\``} is ${now === null ? 'none' : `\`${now}\``} now`,
    )
    .join('; ');

import { actionIds } from './action-ids.ts';
import type { NamedOperation } from './action-ids.ts';
import { shownName } from './entry.ts';
import type { ImportOptions } from './entry.ts';

/** What a document has, as `--only` and the ids of its actions know it. */
export interface FoundOperation extends NamedOperation {
  /** What a pattern can match. */
  readonly names: readonly string[];
}

/** One that was selected. */
export type Selected<T> = T & { readonly id: string };

const MAX_KNOWN = 10;

/**
 * Those of what was found that a pattern selects, each with its action id, which is the same whatever is selected; with notes on
 * ids and on how many were left out. A problem where none is selected.
 *
 * @param what of what they are, in the plural: `operations`
 */
export function selected<T extends FoundOperation>(
  found: readonly T[],
  { what, taken = [] }: { readonly what: string; readonly taken?: readonly string[] },
  { prefix, only }: ImportOptions,
): { readonly chosen: readonly Selected<T>[]; readonly notes: readonly string[] } | { readonly problem: string } {
  const { ids, notes } = actionIds(found, { prefix, taken });
  const isWanted = (one: T): boolean =>
    only.length === 0 || one.names.some((name) => only.some((pattern) => matchesGlob(pattern, name)));
  const chosen = found.flatMap((one) => {
    const id = ids.get(one.key);
    return id === undefined || !isWanted(one) ? [] : [{ ...one, id }];
  });
  if (chosen.length === 0) {
    const known = found.slice(0, MAX_KNOWN).map(({ names: [name = ''] }) => `\`${shownName(name)}\``);
    const more = found.length > MAX_KNOWN ? ' and more' : '';
    return {
      problem: `none of its ${found.length} ${what} is matched by \`--only\`: it has ${known.join(', ')}${more}`,
    };
  }
  return {
    chosen,
    notes: [
      ...(only.length === 0 ? [] : [`${chosen.length} of ${found.length} ${what}`]),
      ...chosen.flatMap(({ key }) => {
        const note = notes.get(key);
        return note === undefined ? [] : [`\`${shownName(key)}\`: ${note}`];
      }),
    ],
  };
}

/**
 * Whether a pattern matches a whole text: `*` stands for any characters, `?` for one, all else for itself. At most one step back for
 * each character, so the product of the two lengths bounds it.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let star: { readonly pattern: number; readonly text: number } | null = null;
  let of = 0;
  while (at < text.length) {
    if (pattern[of] === '*') {
      star = { pattern: of, text: at };
      of += 1;
    } else if (of < pattern.length && (pattern[of] === '?' || pattern[of] === text[at])) {
      of += 1;
      at += 1;
    } else if (star === null) return false;
    else {
      star = { pattern: star.pattern, text: star.text + 1 };
      of = star.pattern + 1;
      at = star.text;
    }
  }
  return /^\**$/.test(pattern.slice(of));
}

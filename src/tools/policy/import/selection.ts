import { actionIds } from './action-ids.ts';
import type { NamedOperation } from './action-ids.ts';
import { printableName } from './entry.ts';
import type { ImportOptions } from './entry.ts';

/** An operation of a document, as `--only` and action ids see it. */
export interface FoundOperation extends NamedOperation {
  /** The names that a pattern can match. */
  readonly names: readonly string[];
}

/** A selected operation. */
export type Selected<T> = T & { readonly id: string };

const MAX_KNOWN = 10;
/** Most operations of a document: several times what a catalog can hold. */
const MAX_FOUND = 50_000;

/**
 * The operations that a pattern selects, with their action ids. The ids do not depend on the selection; notes say which ids
 * were changed and how many operations were left out. A problem if none is selected, or if there are more than 50,000.
 *
 * @param what the operations in the plural: `operations`
 */
export function selected<T extends FoundOperation>(
  found: readonly T[],
  { what, taken = [] }: { readonly what: string; readonly taken?: readonly string[] },
  { prefix, only }: ImportOptions,
): { readonly chosen: readonly Selected<T>[]; readonly notes: readonly string[] } | { readonly problem: string } {
  if (found.length > MAX_FOUND) return { problem: `it has more than ${MAX_FOUND} ${what}` };
  const { ids, notes } = actionIds(found, { prefix, taken });
  const isWanted = (one: T): boolean =>
    only.length === 0 || one.names.some((name) => only.some((pattern) => matchesGlob(pattern, name)));
  const chosen = found.flatMap((one) => {
    const id = ids.get(one.key);
    return id === undefined || !isWanted(one) ? [] : [{ ...one, id }];
  });
  if (chosen.length === 0) {
    const known = found.slice(0, MAX_KNOWN).map(({ names: [name = ''] }) => `\`${printableName(name)}\``);
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
        return note === undefined ? [] : [`\`${printableName(key)}\`: ${note}`];
      }),
    ],
  };
}

/**
 * Matches a glob against a whole text: `*` any characters, `?` a single character. Backtracks at most one step per character, so the time is
 * bounded by the product of both lengths.
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

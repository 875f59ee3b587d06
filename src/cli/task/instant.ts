/** Instants as options write them: RFC 3339, or a time before now. */

/** The format of an instant, for messages. */
export const INSTANT_RULE = 'an instant such as `2026-01-02T03:04:05Z`, or how long ago: `-90s`, `-15m`, `-2h`, `-7d`';

/** The refusal of a span that has no instant. */
export const UNTIL_RULE = '--until must be after --since';

const millisecondsOf: ReadonlyMap<string, number> = new Map([
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/**
 * Parses ISO 8601 with a zone, a date (its start in UTC) or a time before now (`2h` or `-2h`) to milliseconds since the Unix
 * epoch; `null` for anything else, such as 30 February, and for an instant beyond the range of `Date`.
 */
export function instantFrom(text: string, nowMs: number): number | null {
  const [, digits, unit = ''] = /^-?(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (digits !== undefined) {
    const ms = nowMs - Number(digits) * (millisecondsOf.get(unit) ?? 0);
    return Number.isNaN(new Date(ms).getTime()) ? null : ms;
  }
  if (!/^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text)) return null;
  // `Date.parse` takes 30 February for 2 March.
  const day = text.slice(0, 10);
  const midnight = Date.parse(day);
  if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(day)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}

/** Rewrites a command's words so that an instant with a leading dash is the value of its option, which option parsers refuse. */
export function withInstants(args: readonly string[], options: readonly string[]): readonly string[] {
  const words: string[] = [];
  for (const word of args) {
    const before = words.at(-1);
    if (before !== undefined && options.includes(before) && /^-\d/.test(word)) words.splice(-1, 1, `${before}=${word}`);
    else words.push(word);
  }
  return words;
}

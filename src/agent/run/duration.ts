/** Durations as options write them, such as `90s` or `15m`. */

const secondsOf: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['s', 1],
  ['m', 60],
  ['h', 3_600],
  ['d', 86_400],
]);

/** The format of a duration, for messages. */
export const DURATION_RULE = 'a duration from `1s` to `30d`, such as `90s`, `15m` or `2h`';

const MAX_SECONDS = 30 * 86_400;

/** Parses `90s`, `15m`, `2h`, `1d` or a plain number of seconds; `null` if it is invalid, or more than 30 days. */
export function secondsFrom(text: string): number | null {
  const [, digits = '', unit = ''] = /^(\d{1,7})([smhd]?)$/.exec(text) ?? [];
  const seconds = Number(digits) * (secondsOf.get(unit) ?? 0);
  return digits !== '' && seconds >= 1 && seconds <= MAX_SECONDS ? seconds : null;
}

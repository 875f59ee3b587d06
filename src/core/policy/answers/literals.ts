/** Literals of Cedar's datetimes and decimals as numbers, in the order in which Cedar compares them. */

/** Supported forms; Cedar also accepts offsets. */
const INSTANT = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{3})?Z)?$/;
const DECIMAL = /^(-?)(\d{1,11})\.(\d{1,4})$/;

/**
 * Parses the argument of Cedar's `datetime`, to milliseconds since the Unix epoch; `null` for invalid text and for forms with
 * an offset.
 *
 * @see Cedar RFC 80
 */
export function cedarInstantFrom(text: unknown): number | null {
  if (typeof text !== 'string' || !INSTANT.test(text)) return null;
  const complete =
    text.length === 10 ? `${text}T00:00:00.000Z` : text.length === 20 ? `${text.slice(0, 19)}.000Z` : text;
  const ms = Date.parse(complete);
  // `Date` accepts some days and hours that do not exist and reads them as the next.
  return !Number.isNaN(ms) && new Date(ms).toISOString() === complete ? ms : null;
}

/**
 * Parses the argument of Cedar's `decimal`, to ten-thousandths; `null` for invalid text and for more than eleven digits before
 * the point, which a double might not hold.
 */
export function scaledDecimalFrom(text: unknown): number | null {
  const [, sign, before, after] = (typeof text === 'string' ? DECIMAL.exec(text) : null) ?? [];
  if (before === undefined || after === undefined) return null;
  const scaled = Number(before) * 10_000 + Number(after.padEnd(4, '0'));
  return sign === '-' && scaled !== 0 ? -scaled : scaled;
}

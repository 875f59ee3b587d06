import { withoutEnd } from '../../runtime/without-end.ts';

/**
 * A number of at most 4 decimal places in one spelling per value: no exponent, no needless zeros, always a point, such as
 * `12.5` and `100.0`.
 */
export type Decimal = { readonly decimal: string };

/** The unit of Cedar's decimals: 1 is 10,000 ten-thousandths. */
export const TEN_THOUSANDTHS = 10_000;

/** No leading zeros and no exponent. Zeros after the fourth place change no value. */
const PLAIN = /^(-?)(0|[1-9]\d{0,14})(?:\.(\d{1,4})0*)?$/;
/** Cedar's decimals are 64-bit integers, in ten-thousandths. */
const LARGEST = 2n ** 63n - 1n;

/**
 * The decimal of a JSON number or of text, by its value: `1.10`, `1.1` and the number `11e-1` are equal. `null` for more than 4
 * decimal places, values beyond ±922337203685477.5807, and other values. Text has no exponent: an upstream that reads digits until the
 * first other character, as `parseInt` does, would read `99999e-4` as 99999 instead of 9.9999. A number must hold exactly
 * what was written, as `exactJsonFrom` provides.
 */
export function decimalFrom(value: unknown): Decimal | null {
  const text = typeof value === 'number' ? String(value) : value;
  const parts = typeof text === 'string' ? PLAIN.exec(text) : null;
  if (parts === null) return null;
  const [, sign = '', whole = '', written = ''] = parts;
  if (BigInt(`${whole}${written.padEnd(4, '0')}`) > LARGEST) return null;
  const fraction = withoutEnd(written, '0');
  const isZero = whole === '0' && fraction === '';
  return { decimal: `${isZero ? '' : sign}${whole}.${fraction === '' ? '0' : fraction}` };
}

/** The value in ten-thousandths: exact up to 2^53 - 1, clamped to ±(2^53 - 1). */
export function tenThousandthsOf({ decimal }: Decimal): number {
  const [whole = '', places = ''] = decimal.split('.');
  const exact = Number(`${whole}${places.padEnd(4, '0')}`);
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(exact, Number.MAX_SAFE_INTEGER));
}

/** Ten-thousandths as text in the spelling of a `Decimal`: 999500 is `99.95`. */
export const decimalText = (tenThousandths: number): string => {
  const digits = String(tenThousandths).padStart(5, '0');
  return `${digits.slice(0, -4)}.${withoutEnd(digits.slice(-4), '0') || '0'}`;
};

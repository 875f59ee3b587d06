/** Most digits after the point. */
const FRACTION = 18;

const DECIMAL = /^(-?)(\d{1,40})(?:\.(\d{1,18}))?$/;

/**
 * A number or its text as a whole number of 10^-18, exact. `null` for anything else, also for an exponent, or for more than 40
 * digits before the point or 18 after it.
 */
export function scaledDecimal(value: unknown): bigint | null {
  const text = typeof value === 'number' ? String(value) : value;
  const [, sign, whole, fraction = ''] = typeof text === 'string' ? (DECIMAL.exec(text) ?? []) : [];
  if (whole === undefined) return null;
  const scaled = BigInt(`${whole}${fraction.padEnd(FRACTION, '0')}`);
  return sign === '-' ? -scaled : scaled;
}

/** The text of a whole number of 10^-18 as a decimal, without zeros at its end. */
export function decimalSumText(scaled: bigint): string {
  const digits = (scaled < 0n ? -scaled : scaled).toString().padStart(FRACTION + 1, '0');
  const fraction = digits.slice(-FRACTION).replace(/0{1,18}$/, '');
  return `${scaled < 0n ? '-' : ''}${digits.slice(0, -FRACTION)}${fraction === '' ? '' : `.${fraction}`}`;
}

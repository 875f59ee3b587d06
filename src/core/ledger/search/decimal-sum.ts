/** Digits after the point that a sum has at most. */
const FRACTION = 18;

const DECIMAL = /^(-?)(\d{1,40})(?:\.(\d{1,18}))?$/;

/** A decimal as a whole number of 10^-18, exact; `null` for anything but a number or its text. */
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

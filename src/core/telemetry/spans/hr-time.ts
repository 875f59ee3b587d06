/** Instants in the form of OpenTelemetry for JavaScript. */
import type { HrTime } from '@opentelemetry/api';

const NANOS_OF_SECOND = 1_000_000_000n;

/** Milliseconds, with fractions, as nanoseconds. */
export function nanosFrom(ms: number): bigint {
  const whole = Math.floor(ms);
  return BigInt(whole) * 1_000_000n + BigInt(Math.round((ms - whole) * 1_000_000));
}

/** Nanoseconds in the form of OpenTelemetry for JavaScript: seconds and nanoseconds. */
export const hrTimeFrom = (nanos: bigint): HrTime => [Number(nanos / NANOS_OF_SECOND), Number(nanos % NANOS_OF_SECOND)];

/** The reverse, in milliseconds with fractions. */
export const msFrom = ([seconds, nanos]: HrTime): number => seconds * 1_000 + nanos / 1_000_000;

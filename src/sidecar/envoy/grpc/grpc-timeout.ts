/** Parses `grpc-timeout` into milliseconds. */

/** Milliseconds per unit of `grpc-timeout`. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ['H', 3_600_000],
  ['M', 60_000],
  ['S', 1_000],
  ['m', 1],
  ['u', 0.001],
  ['n', 0.000_001],
]);

/**
 * The client's timeout in milliseconds; `null` if it is absent or invalid, so that the server's own limit applies.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export function grpcTimeoutMs(header: string | undefined): number | null {
  const [, amount, unit = ''] = /^([0-9]{1,8})([HMSmun])$/.exec(header ?? '') ?? [];
  return amount === undefined ? null : Number(amount) * (UNITS.get(unit) ?? 0);
}

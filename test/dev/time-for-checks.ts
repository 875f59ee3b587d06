/**
 * A shipped configuration of Envoy with a longer deadline for checks: for tests of whether something fails a call, not of how slow a loaded
 * machine is.
 */
export function withTimeForChecks(shipped: string): string {
  const deadline = 'timeout: 0.5s';
  if (shipped.split(deadline).length !== 2) throw new Error(`the envoy configuration has not one \`${deadline}\``);
  // `max_interval` of a retry policy also bounds each attempt.
  return shipped.replace(deadline, 'timeout: 10s').replace('max_interval: 0.5s', 'max_interval: 10s');
}

/**
 * A shipped configuration of Envoy but for the deadline of a check: for tests that say whether something fails a call, and
 * not how long a machine that does other work too can keep a process from running.
 */
export function withTimeForChecks(shipped: string): string {
  const deadline = 'timeout: 0.5s';
  if (shipped.split(deadline).length !== 2) throw new Error(`the envoy configuration has not one \`${deadline}\``);
  return shipped.replace(deadline, 'timeout: 10s');
}

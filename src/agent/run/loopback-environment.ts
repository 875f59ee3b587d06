/**
 * An environment whose proxy settings exclude this machine. So no proxy gets calls to a local address of the run. A lone
 * `*`, which excludes every host, stays; within a list programs do not understand it. Go excludes this machine by itself; Python, Node.js,
 * curl and what honours `ALL_PROXY` read these two.
 */
export function reachingLoopback(environment: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  // Programs disagree about which spelling wins.
  const written = environment['no_proxy'] ?? environment['NO_PROXY'];
  return {
    ...environment,
    no_proxy: covered(written),
    NO_PROXY: covered(environment['NO_PROXY'] ?? written),
  };
}

const LOOPBACK: readonly string[] = ['127.0.0.1', 'localhost'];

/** A list of hosts that includes this machine. */
function covered(list = ''): string {
  const hosts = list.split(',').map((host) => host.trim());
  const missing = list.trim() === '*' ? [] : LOOPBACK.filter((host) => !hosts.includes(host));
  return [...hosts, ...missing].filter((host) => host !== '').join(',');
}

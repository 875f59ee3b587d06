/** A known fault of Node.js that affects Remit. */
interface RuntimeFault {
  /**
   * First good release of each release line. A line that is not listed is faulty in all releases, unless it is newer than all
   * that are.
   */
  readonly fixedIn: Readonly<Record<number, readonly [number, number]>>;
  readonly what: string;
}

const FAULTS: readonly RuntimeFault[] = [
  {
    fixedIn: { 22: [23, 5], 24: [22, 3], 26: [13, 1] },
    what: "HTTP/2 can leak other streams' buffers when a stream is reset (use-after-free)",
  },
  {
    fixedIn: { 24: [16, 0], 26: [1, 0] },
    what: 'node:sqlite truncates text at U+0000 (Remit refuses such texts)',
  },
];

/**
 * The known faults of a Node.js version, each with the release of its line that fixes it; empty if there are none.
 *
 * @param version such as `26.10.0`
 */
export function nodeFaults(version: string): readonly string[] {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  return FAULTS.flatMap(({ fixedIn, what }) => {
    const newest = Math.max(...Object.keys(fixedIn).map(Number));
    if (major > newest) return [];
    const fixed = fixedIn[major];
    if (fixed !== undefined && (minor > fixed[0] || (minor === fixed[0] && patch >= fixed[1]))) return [];
    const cure = fixed === undefined ? `no release of this line fixes it` : `fixed in ${major}.${fixed[0]}.${fixed[1]}`;
    return [`node ${version}: ${what}; ${cure}`];
  });
}

/** A known fault of a Node.js release line that touches what Remit does. */
interface RuntimeFault {
  /** First good release of each line; a line that is not named has the fault throughout unless it is newer than all. */
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
    what: 'node:sqlite cuts a text at U+0000 (Remit refuses such texts)',
  },
];

/**
 * Known faults of a Node.js version, each with the release of its line that mends it; empty for a good one.
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
    const cure = fixed === undefined ? `this line has no mended release` : `mended in ${major}.${fixed[0]}.${fixed[1]}`;
    return [`node ${version}: ${what}; ${cure}`];
  });
}

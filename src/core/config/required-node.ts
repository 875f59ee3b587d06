/**
 * The Node.js releases whose SQLite loses no committed write (3.51.3 or later): the first good release of each line. Newer lines are good,
 * other lines are not. `engines` in package.json and README say the same.
 *
 * @see `core/sqlite/sqlite-version.ts`
 */
const FIRST_GOOD: Readonly<Record<number, readonly [minor: number, patch: number]>> = {
  22: [22, 3],
  24: [15, 0],
  26: [0, 0],
};

const NEWEST = Math.max(...Object.keys(FIRST_GOOD).map(Number));

/**
 * Why a version of Node.js cannot run Remit, with the way out, in one line; `null` if it can.
 *
 * @param version such as `26.10.0`
 */
export function nodeProblem(version: string): string | null {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const first = FIRST_GOOD[major];
  const isGood = first === undefined ? major > NEWEST : minor > first[0] || (minor === first[0] && patch >= first[1]);
  return isGood
    ? null
    : `this is Node ${version}; Remit needs 22.22.3 or later, 24.15 or later, or 26 (its SQLite must be 3.51.3 or later). ` +
        'In a clone, `export PATH="$PWD/node_modules/.bin:$PATH"` takes the Node that `npm ci` installed';
}

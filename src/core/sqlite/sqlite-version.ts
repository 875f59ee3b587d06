/**
 * Why a version of SQLite must not hold the state; `null` if it may. From 3.7.0 to 3.51.2 two connections to one WAL
 * database can lose committed writes; 3.50.7 and 3.44.6 have the fix for their lines. STRICT tables need 3.37.
 *
 * @param version the result of `SELECT sqlite_version()`, which can differ from `process.versions.sqlite`
 * @see https://sqlite.org/changes.html 3.51.3
 */
export function sqliteVersionProblem(version: string): string | null {
  const match = /^(\d+)\.(\d+)\.(\d+)$/.exec(version);
  if (match === null) return `invalid SQLite version \`${version}\``;
  const [major, minor, patch] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const isNewer = major > 3 || (major === 3 && (minor > 51 || (minor === 51 && patch >= 3)));
  const isFixed = major === 3 && ((minor === 50 && patch >= 7) || (minor === 44 && patch >= 6));
  if (isNewer || isFixed) return null;
  return `SQLite ${version} can lose committed writes of a WAL database: 3.51.3, 3.50.7 or 3.44.6 is required (Node 22.22.3, 24.15.0 or 25.9.0)`;
}

import type { Stats } from 'node:fs';

/** File mode of state and keys: only the owner reads and writes. */
export const PRIVATE_MODE = 0o600;

/** Why a file must not hold state or keys (not a regular file, or open to other accounts); `null` if it may. */
export function privateFileProblem(path: string, stats: Stats): string | null {
  if (!stats.isFile()) return `\`${path}\` is not a regular file`;
  const mode = stats.mode & 0o777;
  if ((mode & 0o077) === 0) return null;
  return `\`${path}\` has mode ${mode.toString(8).padStart(4, '0')}, open to others: 0600 is required`;
}

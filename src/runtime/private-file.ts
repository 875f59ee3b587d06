import type { Stats } from 'node:fs';

/** The mode of files that hold state or keys: their owner alone reads and writes them. */
export const PRIVATE_MODE = 0o600;

/** Why a file is not fit to hold state or keys; `null` where it is. */
export function privateFileProblem(path: string, stats: Stats): string | null {
  if (!stats.isFile()) return `\`${path}\` is not a regular file`;
  const mode = stats.mode & 0o777;
  if ((mode & 0o077) === 0) return null;
  return `\`${path}\` has mode ${mode.toString(8).padStart(4, '0')}, open to others: 0600 is required`;
}

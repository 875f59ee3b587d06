import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The paths of all that is in a folder and in the folders below it, at most `max`. Links to folders are not followed, since they could be a cycle, which
 * the recursive `readdir` of Node.js never leaves. Throws the system's error.
 */
export function pathsBelow(folder: string, max: number): readonly string[] {
  const paths: string[] = [];
  const open = [folder];
  for (const one of open) {
    for (const entry of readdirSync(one, { withFileTypes: true })) {
      if (paths.length === max) return paths;
      const path = join(one, entry.name);
      paths.push(path);
      if (entry.isDirectory()) open.push(path);
    }
  }
  return paths;
}

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { productionPackages } from '../../.ci/release/lock-file.ts';

/** The sources of the product. */
export const root = resolve(import.meta.dirname, '../..');

/** What a build needs besides the packages that the product runs with. */
const FOR_BUILDING = ['rolldown'];

/** Copies the sources without tests and history, and installs their packages, as a clone on another machine has them. */
export function copySources(to: string): void {
  const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  const files = tracked.split('\n').filter((file) => file !== '' && !file.startsWith('test/'));
  for (const file of files) cpSync(join(root, file), join(to, file));
  for (const { path } of productionPackages(root)) cpSync(join(root, path), join(to, path), { recursive: true });
  for (const name of FOR_BUILDING) {
    mkdirSync(dirname(join(to, 'node_modules', name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(to, 'node_modules', name));
  }
}

/** The number of a group of this machine, by its name. */
import { readFile } from 'node:fs/promises';
import type { Problem } from '../problem.ts';

const FILE = '/etc/group';

/**
 * The number of a group: itself if it is a number, else that in `/etc/group`. Groups of a directory service are not looked up: name
 * those by their number.
 *
 * @see group(5)
 */
export async function groupIdOf(name: string, file = FILE): Promise<number | Problem> {
  if (/^\d{1,10}$/.test(name)) return Number(name);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => error);
  if (typeof text !== 'string')
    return { problem: `the group \`${name}\` cannot be looked up in \`${file}\`: ${text.code}` };
  const fields = text.split('\n').map((line) => line.split(':'));
  const id = Number(fields.find(([found]) => found === name)?.[2] ?? Number.NaN);
  return Number.isSafeInteger(id)
    ? id
    : { problem: `there is no group \`${name}\` in \`${file}\`: name it by its number` };
}

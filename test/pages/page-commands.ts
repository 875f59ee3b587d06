import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

/** The commands that a reader types in one section of a page: the lines after `$` of its first block `console`. */
export function pageCommands(page: string, title: string): readonly string[] {
  const text = readFileSync(join(root, page), 'utf8');
  const [, section = ''] = text.split(new RegExp(`^## ${title}$`, 'm'));
  const [, block = ''] = /^```console\n([^]*?)^```/m.exec(section.split(/^## /m)[0] ?? '') ?? [];
  return block
    .split('\n')
    .filter((line) => line.startsWith('$ '))
    .map((line) => line.slice(2));
}

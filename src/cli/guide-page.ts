import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nearestOf } from '../core/runtime/nearest-name.ts';
import type { Problem } from '../core/runtime/problem.ts';

/** The pages of a guide: paths without `.md`, such as `fix/reasons`, sorted. */
export async function guidePages(folder: string): Promise<readonly string[]> {
  const files = await readdir(folder, { recursive: true });
  return files
    .filter((file) => file.endsWith('.md'))
    .map((file) => file.slice(0, -'.md'.length).replaceAll('\\', '/'))
    .toSorted();
}

/**
 * The text of a page, or of one of its sections. A page is named by its path or the end of it, in any case (`fix/reasons`, `reasons`,
 * `RemitDown`), a section by its anchor as on the web (`reasons#tokenbinding`). A problem if the name fits no page or several.
 */
export async function guidePage(folder: string, topic: string): Promise<string | Problem> {
  const pages = await guidePages(folder);
  const [wanted = '', anchor] = topic
    .toLowerCase()
    .replace(/\.md(?=#|$)/, '')
    .split('#');
  const exact = pages.filter((page) => page.toLowerCase() === wanted);
  const found = exact.length > 0 ? exact : pages.filter((page) => page.toLowerCase().endsWith(`/${wanted}`));
  const [page] = found;
  if (page === undefined) {
    const near = nearestOf(
      wanted,
      pages.flatMap((one) => [one, one.split('/').at(-1) ?? '']),
    );
    return { problem: `the guide has no page \`${topic}\`${near === null ? '' : `: did you mean \`${near}\`?`}` };
  }
  if (found.length > 1) return { problem: `the guide has several pages \`${topic}\`: ${found.join(', ')}` };
  const text = await readFile(join(folder, `${page}.md`), 'utf8');
  if (anchor === undefined) return text;
  return sectionOf(text, anchor) ?? { problem: `the page \`${page}\` has no section \`${anchor}\`` };
}

/** The section whose heading has that anchor, up to the next heading that is not below it. */
function sectionOf(text: string, anchor: string): string | null {
  const lines = text.split('\n');
  const levels = levelsOf(lines);
  const from = levels.findIndex((level, at) => level > 0 && anchorOf(lines[at] ?? '') === anchor);
  if (from === -1) return null;
  const level = levels[from] ?? 0;
  const length = levels.slice(from + 1).findIndex((other) => other > 0 && other <= level);
  return lines.slice(from, length === -1 ? undefined : from + 1 + length).join('\n');
}

/** The level of the heading in each line; 0 for other lines and within code. */
function levelsOf(lines: readonly string[]): readonly number[] {
  let isCode = false;
  return lines.map((line) => {
    if (line.startsWith('```')) isCode = !isCode;
    return isCode ? 0 : (/^(#{1,6}) /.exec(line)?.[1]?.length ?? 0);
  });
}

/** The anchor of a heading, as on the web: lower case, without punctuation, a hyphen for each space. */
const anchorOf = (heading: string): string =>
  heading
    .replace(/^#{1,6} /, '')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- _]/gu, '')
    .replaceAll(' ', '-');

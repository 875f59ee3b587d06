/** `npm run map`: writes the list of files in `src/README.md`, of the first sentence of each file's docstring. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { sentenceOf } from './docstring.ts';

const src = resolve(import.meta.dirname, '../../src');
const README = join(src, 'README.md');
const HEADING = '## Files\n';
const MOST_WORDS = 10;

/** The page as it should be, and what a person has to write first: lines of rooms, and docstrings. */
export interface SourceMap {
  readonly page: string;
  readonly problems: readonly string[];
}

/**
 * The page with the list of files made anew. What stands before the list, and the line of each room, in its heading, is kept: `### room/: what
 * it is for, in at most ten words`.
 */
export function sourceMap(page: string): SourceMap {
  const problems: string[] = [];
  const written = new Map(
    [...page.matchAll(/^### `([^`]*)`(?:: (.*))?$/gm)].map(([, room = '', line = '']) => [room, line]),
  );
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  const rooms = Map.groupBy(files.toSorted(), (path) => `src/${dirname(path)}/`.replace('./', ''));
  const sections = [...rooms]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([room, paths]) => {
      const line = written.get(room) ?? '';
      if (line === '') problems.push(`say what \`${room}\` is for in its heading in src/README.md: ### \`${room}\`: …`);
      if (line.split(' ').length > MOST_WORDS)
        problems.push(`\`${room}\` has more than ${MOST_WORDS} words in src/README.md`);
      const lines = paths.map((path) => {
        const sentence = sentenceOf(path, readFileSync(join(src, path), 'utf8'));
        if (sentence === null) problems.push(`begin src/${path} with a docstring: /** What it is. */`);
        return `- \`${basename(path)}\`: ${sentence ?? ''}`;
      });
      return `### \`${room}\`: ${line}\n\n${lines.join('\n')}\n`;
    });
  const at = page.indexOf(HEADING);
  if (at < 0) throw new Error('src/README.md has no `## Files`');
  const head = page.slice(0, at);
  return { page: `${head}${HEADING}\n${INTRODUCTION}\n\n${sections.join('\n')}`, problems };
}

const INTRODUCTION =
  "Made by `npm run map` of the first sentence of each file's docstring: the comment before its imports, or that of the export that is named most like it.";

if (import.meta.main) {
  const { page, problems } = sourceMap(readFileSync(README, 'utf8'));
  writeFileSync(README, page);
  for (const problem of problems) process.stderr.write(`map: ${problem}\n`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

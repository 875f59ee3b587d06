import { existsSync, readFileSync } from 'node:fs';

/** The sources of files of `dist/`, by the source maps beside them. What the bundler itself adds has none. */
export const builtSources = (files: Iterable<string>): readonly string[] =>
  [...files].flatMap((file) =>
    existsSync(`${file}.map`) ? (JSON.parse(readFileSync(`${file}.map`, 'utf8')).sources as readonly string[]) : [],
  );

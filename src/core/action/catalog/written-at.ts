import type { YamlFile } from './yaml-file.ts';

/** Where something of the catalog is written. */
export interface WrittenAt {
  readonly yaml: YamlFile;
  /** UTF-16 code units from the start of the file. */
  readonly offset: number;
}

/**
 * Where the first of two conflicting entries is, for the message at the second: ` at FILE:LINE` if it is in another file; empty
 * in the same file.
 */
export function elsewhere(first: WrittenAt | undefined, yaml: YamlFile): string {
  if (first === undefined || first.yaml === yaml) return '';
  const { file, line } = first.yaml.findingAt(first.offset, '');
  return ` at \`${file}:${line}\``;
}

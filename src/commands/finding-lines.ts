import type { Finding } from '../action/finding.ts';
import type { PolicySource } from '../policy/source.ts';
import { excerptOf } from './excerpt.ts';

/** The texts that findings are shown with: those of a policy folder; none where it could not be read. */
export type ShownFiles = ReadonlyMap<string, string>;

/** The texts of a policy folder by the name findings have for them. */
export const shownFiles = (source: PolicySource | null): ShownFiles =>
  source === null
    ? new Map()
    : new Map(
        [source.catalog, source.schema, ...source.policies, ...source.entities].map(({ file, text }) => [file, text]),
      );

/** A finding as people read it: `file:line:column: message`, the line it is about with a caret, and what would cure it. */
export function findingLines(
  { file, line, column, message, help }: Finding,
  { files, prefix = '' }: { readonly files: ShownFiles; readonly prefix?: string },
): readonly string[] {
  const text = files.get(file);
  return [
    `${file}:${line}:${column}: ${prefix}${message}`,
    ...(text === undefined ? [] : excerptOf(text, { line, column })),
    ...(help === null ? [] : [`  help: ${help}`]),
  ];
}

/** `1 finding`, `2 findings`. */
export const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

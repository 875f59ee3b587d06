import type { SourceFinding } from '../../core/action/catalog/finding.ts';
import { sourceTexts } from '../../core/policy/loading/source.ts';
import type { PolicySource } from '../../core/policy/loading/source.ts';
import { excerptOf, textWithLines } from './excerpt.ts';
import type { ShownText } from './excerpt.ts';

/** The texts for excerpts of findings: the files of a policy folder; empty if it could not be read. */
export type ShownFiles = ReadonlyMap<string, ShownText>;

/** The texts of a policy folder by the names that findings use. */
export const shownFiles = (source: PolicySource | null): ShownFiles =>
  source === null ? new Map() : new Map(sourceTexts(source).map(({ file, text }) => [file, textWithLines(text)]));

interface Showing {
  readonly files: ShownFiles;
  readonly prefix?: string;
}

/** A finding for people. It has `file:line:column: policy: message`, the line with carets, and the help. */
export function findingLines(finding: SourceFinding, { files, prefix = '' }: Showing): readonly string[] {
  const { file, line, column, message, help, end, policy = null } = finding;
  const text = files.get(file);
  const place = end === undefined ? { line, column } : { line, column, end };
  return [
    `${file}:${line}:${column}: ${prefix}${policy === null ? '' : `\`${policy}\`: `}${message}`,
    ...(text === undefined ? [] : excerptOf(text, place)),
    ...(help === null ? [] : [`  help: ${help}`]),
  ];
}

/** `1 finding`, `2 findings`. */
export const findingCounts = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

import type { Catalog } from '../../core/action/catalog/catalog.ts';
import type { SourceFinding } from '../../core/action/catalog/finding.ts';
import type { ObserveEntry } from '../../core/policy/enforcement.ts';
import { enforcementFrom } from '../../core/policy/loading/enforcement-file.ts';
import { catalogOf } from '../../core/policy/loading/source-catalog.ts';
import { readPolicySource } from '../../core/policy/loading/source.ts';
import type { SourceFile } from '../../core/policy/loading/source.ts';
import type { Problem } from '../../core/runtime/problem.ts';

/** What a policy folder says of observing. Its policies are not read. */
export interface ObservedFolder {
  readonly catalog: Catalog;
  /** In the order of the file. */
  readonly entries: readonly ObserveEntry[];
  /** `enforcement.yaml`; `null` if there is none. */
  readonly file: SourceFile | null;
}

/** Reads catalog and `enforcement.yaml` of a policy folder; a problem with all findings in them. */
export async function observedFolderAt(folder: string, nowMs: number): Promise<ObservedFolder | Problem> {
  const source = await readPolicySource(folder);
  if ('unreadable' in source) return { problem: `\`${folder}\` could not be read: ${source.unreadable}` };
  if ('findings' in source) return problemOf(source.findings);
  const catalog = await catalogOf(source);
  if ('findings' in catalog) return problemOf(catalog.findings);
  const { observed, findings } = enforcementFrom(source.enforcement, { catalog, nowMs });
  if (findings.length > 0) return problemOf(findings);
  return { catalog, entries: observed, file: source.enforcement ?? null };
}

const problemOf = (findings: readonly SourceFinding[]): Problem => ({
  problem: findings
    .map(
      ({ file, line, column, message, help }) =>
        `${file}:${line}:${column}: ${message}${help === null ? '' : `: ${help}`}`,
    )
    .join('\n'),
});

import type { SourceFinding } from '../../action/catalog/finding.ts';
import { placed, policiesOf } from './policy-file.ts';
import type { PlacedSource, PolicyEntry, PolicyReader } from './policy-file.ts';
import { linkedPolicies } from './policy-links.ts';
import type { PolicyTemplate } from './policy-template.ts';
import { isLinksFile } from './source-names.ts';
import type { SourceFile } from './source.ts';

/** The content of a folder's policy and link files. */
export interface PolicyFiles {
  /** The policy files, without link files. */
  readonly files: readonly PlacedSource[];
  /** Static policies in the order of their files, then linked policies. */
  readonly policies: readonly PolicyEntry[];
  readonly templates: readonly PolicyTemplate[];
  readonly findings: readonly SourceFinding[];
}

/** Reads the policies, templates and links of a folder. */
export function policiesIn(sources: readonly SourceFile[], cedar: PolicyReader): PolicyFiles {
  const files = sources.filter(({ name }) => !isLinksFile(name)).map(placed);
  const parts = files.map((file) => policiesOf(file, cedar));
  const templates = parts.flatMap((part) => part.templates);
  const findings = parts.flatMap((part) => part.findings);
  const links = sources.filter(({ name }) => isLinksFile(name));
  const linked = linkedPolicies(links, templates, { cedar, isWhole: findings.length === 0 });
  return {
    files,
    policies: [...parts.flatMap((part) => part.policies), ...linked.policies],
    templates,
    findings: [...findings, ...linked.findings],
  };
}

/** The templates without links. */
export function unlinkedTemplates({ policies, templates }: Pick<PolicyFiles, 'policies' | 'templates'>) {
  const used = new Set(policies.flatMap(({ link }) => link?.template ?? []));
  return templates.filter(({ id }) => !used.has(id));
}

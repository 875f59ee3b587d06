import { inReadingOrder } from '../../action/finding.ts';
import type { Finding } from '../../action/finding.ts';
import type { Catalog } from '../../action/catalog.ts';
import { freshCedar } from '../cedar.ts';
import { entitiesFrom } from '../entities.ts';
import { placed, policiesOf } from '../policy-file.ts';
import { schemaFrom } from '../schema.ts';
import type { PolicySource } from '../source.ts';
import { contextShapes } from './context-shape.ts';
import { lintedPolicy } from './linted-policy.ts';
import type { LintedPolicy } from './linted-policy.ts';
import { Reach } from './reach.ts';
import { lintRules } from './rules.ts';
import { vocabularyOf } from './vocabulary.ts';

/** Something that is valid and can hardly be meant. */
export interface LintFinding extends Finding {
  /** Of the table of rules, or `useless-accept`. */
  readonly rule: string;
  readonly level: 'warning' | 'note';
  /** Id of the policy; `null` for what stands in the catalog. */
  readonly policy: string | null;
}

/**
 * What the rules find in the catalog and in the policies of a folder that parse, in reading order; what a policy accepts with
 * `@accept("rule …")` is left out. Without regard to types: policies that the schema refuses are looked at too.
 *
 * @param warnings of the load, which knows policies that can never match by their types
 */
export function lintFindings(
  source: PolicySource,
  catalog: Catalog,
  warnings: readonly Finding[],
): readonly LintFinding[] {
  const cedar = freshCedar();
  const files = source.policies.map(placed);
  const entities = source.entities.flatMap((file) => entitiesFrom(file).entities).map(({ entity }) => entity);
  const reach = new Reach(catalog, entities);
  const schema = schemaFrom(source.schema.text, catalog);
  const shapes = 'problem' in schema ? () => null : contextShapes(schema.text, cedar);
  const vocabulary = vocabularyOf(catalog, entities, shapes);
  const policies = files
    .flatMap((file) => policiesOf(file, cedar).policies)
    .flatMap((policy) => lintedPolicy(policy, cedar) ?? []);
  const placeAt = new Map(files.map((file) => [file.file, file.placeAt]));
  const findings = policies.flatMap((policy) => {
    const found = Array.from(lintRules).flatMap(([rule, { level, check }]) =>
      check(policy, { policies, reach, vocabulary }).map(({ message, help, offset }) => {
        const { line, column } = placeAt.get(policy.file)?.(policy.offset + offset) ?? policy;
        return { rule, level, policy: policy.id, file: policy.file, line, column, message, help };
      }),
    );
    const impossible = found.some(({ rule }) => rule === 'never-matches') ? [] : impossibleBy(warnings, policy);
    return accepted([...found, ...impossible], policy);
  });
  const ofCatalog = catalog.remarks.map((remark) => ({ level: 'warning', policy: null, ...remark }) as const);
  return inReadingOrder([...ofCatalog, ...findings]);
}

/** What validation says of the policy as a whole, at its beginning: that it is impossible. */
const impossibleBy = (warnings: readonly Finding[], policy: LintedPolicy): readonly LintFinding[] =>
  warnings
    .filter(({ file, line, column }) => file === policy.file && line === policy.line && column === policy.column)
    .map(({ file, line, column, message, help }) => ({
      rule: 'never-matches',
      level: 'warning',
      policy: policy.id,
      file,
      line,
      column,
      message,
      help,
    }));

function accepted(
  found: readonly LintFinding[],
  { accepts, id, file, line, column }: LintedPolicy,
): readonly LintFinding[] {
  // Mutants are for `remit policy test --mutate` to know.
  const useless = accepts.filter(
    (accept) => !accept.startsWith('mutant-') && found.every(({ rule }) => rule !== accept),
  );
  return [
    ...found.filter(({ rule }) => !accepts.includes(rule)),
    ...useless.map((accept) => ({
      rule: 'useless-accept',
      level: 'warning' as const,
      policy: id,
      file,
      line,
      column,
      message: lintRules.has(accept)
        ? `\`@accept\` names \`${accept}\`, which is not found here`
        : `\`@accept\` names \`${accept}\`, which is no rule`,
      help: null,
    })),
  ];
}

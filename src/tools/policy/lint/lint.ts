/** Lints a policy set: every rule over every policy, and over the catalog. */
import { inReadingOrder } from '../../../core/action/catalog/finding.ts';
import { placesIn } from '../../../core/runtime/text-place.ts';
import type { SourceFinding } from '../../../core/action/catalog/finding.ts';
import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import { freshCedar } from '../../../core/policy/cedar.ts';
import { entitiesFrom } from '../../../core/policy/entities.ts';
import { writtenPolicy } from '../../../core/policy/loading/policy-file.ts';
import { enforcementFrom } from '../../../core/policy/loading/enforcement-file.ts';
import { policiesIn, unlinkedTemplates } from '../../../core/policy/loading/policy-files.ts';
import type { PolicyFiles } from '../../../core/policy/loading/policy-files.ts';
import type { PolicyTemplate } from '../../../core/policy/loading/policy-template.ts';
import { schemaFrom } from '../../../core/policy/schema.ts';
import type { PolicySource } from '../../../core/policy/loading/source.ts';
import { contextShapes } from './context-shape.ts';
import { withFormsOnce } from '../../../core/policy/loading/policy-json.ts';
import { forbidIndex, permitIndex } from './forbid-index.ts';
import { lintedPolicy } from './linted-policy.ts';
import type { LintedPolicy } from './linted-policy.ts';
import { Reach } from './reach.ts';
import { lintRules } from './rules.ts';
import { unlimitedAmounts } from './unlimited-amounts.ts';
import { vocabularyOf } from './vocabulary.ts';

/** The rule of findings by proof (`--prove`), which this file does not make. */
export const PROVED_RULE = 'proved-useless';

/** Something valid but probably a mistake. */
export interface LintFinding extends SourceFinding {
  /** An id of the rule table, or `useless-accept`. */
  readonly rule: string;
  readonly level: 'warning' | 'note';
  /** Id of the policy; `null` for a finding in the catalog. */
  readonly policy: string | null;
}

/**
 * The findings of all rules in a folder's catalog and in its policies that parse, in reading order, without those accepted by
 * `@accept("rule …")`. Types are ignored: policies that the schema refuses are linted too.
 *
 * @param warnings of the load, which detects by type policies that can never match
 */
export const lintFindings = (
  source: PolicySource,
  catalog: Catalog,
  { warnings, nowMs }: { readonly warnings: readonly SourceFinding[]; readonly nowMs: number },
): readonly LintFinding[] => lintingOf(source, catalog, { nowMs })(warnings);

/** When a set is linted, and what is read of it already. */
export interface Linting {
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** The result of a load without faults; default: read again. */
  readonly loaded?: Pick<PolicyFiles, 'policies' | 'templates'>;
}

/** As `lintFindings` in two steps: lints now, and takes the warnings of the load once they are known. */
export function lintingOf(
  source: PolicySource,
  catalog: Catalog,
  { nowMs, loaded }: Linting,
): (warnings: readonly SourceFinding[]) => readonly LintFinding[] {
  const cedar = withFormsOnce(freshCedar());
  const read = loaded ?? policiesIn(source.policies, cedar);
  const entities = source.entities.flatMap((file) => entitiesFrom(file).entities).map(({ entity }) => entity);
  const reach = new Reach(catalog, entities);
  const schema = schemaFrom(source.schema.text, catalog);
  const shapes = 'problem' in schema ? () => null : contextShapes(schema.text, cedar);
  const vocabulary = vocabularyOf(catalog, entities, shapes);
  const policies = read.policies.flatMap((policy) => lintedPolicy(policy, cedar) ?? []);
  const set = {
    reach,
    vocabulary,
    forbids: forbidIndex(policies, reach),
    permits: permitIndex(policies, reach),
    nowMs,
  };
  const placeAt = new Map(source.policies.map((file) => [file.file, placesIn(file.text)]));
  const byPolicy = policies.map((policy) => {
    const found = Array.from(lintRules).flatMap(([rule, { level, check }]) =>
      check(policy, set).map(({ message, help, offset }) => {
        const { line, column } =
          placeAt.get(policy.file)?.(policy.offset + writtenPolicy(policy).offsetOf(offset)) ?? policy;
        return { rule, level, policy: policy.id, file: policy.file, line, column, message, help };
      }),
    );
    return { policy, found };
  });
  const remarks = catalog.remarks.map((remark) => ({ level: 'warning', policy: null, ...remark }) as const);
  const ofCatalog = [
    ...remarks,
    ...expiredExceptions(catalog, nowMs),
    ...ofEnforcement(source, catalog, nowMs),
    ...ofLimits(source, catalog),
  ];
  const ofTemplates = unlinkedTemplates(read).map(unlinked);
  return (warnings) => {
    const warningsAt = Map.groupBy(warnings, placeText);
    const findings = byPolicy.flatMap(({ policy, found }) => {
      const impossible = found.some(({ rule }) => rule === 'never-matches')
        ? []
        : impossibleBy(warningsAt.get(placeText(policy)) ?? [], policy);
      return accepted([...found, ...impossible], policy);
    });
    return inReadingOrder([...ofCatalog, ...ofTemplates, ...oncePerTemplate(findings)]);
  };
}

/** Exceptions of `staticSecrets` whose last day is over: they have no effect any more, and were meant to be removed by then. */
function expiredExceptions({ actions }: Catalog, nowMs: number): readonly LintFinding[] {
  const all = new Set([...actions.values()].flatMap(({ staticSecrets }) => staticSecrets));
  return [...all]
    .filter(({ untilMs }) => untilMs <= nowMs)
    .map(({ owner, untilMs, place }) => ({
      rule: 'expired-exception',
      level: 'warning',
      policy: null,
      file: place.file,
      line: place.line,
      column: place.column,
      message: `the exception of \`${owner}\` ended on ${new Date(untilMs - 1).toISOString().slice(0, 10)}: it lets no secret pass`,
      help: 'delete it, with the policies that are for it; or let its owner answer for a later `until`',
    }));
}

/** What is probably a mistake in `enforcement.yaml`: an entry that has ended, or does not cover what it names. */
const ofEnforcement = ({ enforcement }: PolicySource, catalog: Catalog, nowMs: number): readonly LintFinding[] =>
  enforcementFrom(enforcement, { catalog, nowMs }).warnings.map(
    ({ file, line, column, message, help }) =>
      ({ rule: 'observed-nothing', level: 'warning', policy: null, file, line, column, message, help }) as const,
  );

const ofLimits = (source: PolicySource, catalog: Catalog): readonly LintFinding[] =>
  unlimitedAmounts(source, catalog).map(
    ({ file, line, column, message, help }) =>
      ({ rule: 'unlimited-amount', level: 'note', policy: null, file, line, column, message, help }) as const,
  );

/** A template without links decides nothing. */
const unlinked = ({ id, file, line, column }: PolicyTemplate): LintFinding => ({
  rule: 'unlinked-template',
  level: 'warning',
  policy: id,
  file,
  line,
  column,
  message: 'no link uses this template, so it decides nothing',
  help: 'link it in a file of the folder that ends in `.cedarlinks.json`, or delete it',
});

/** Reports a finding in several links of a template once, at the first. */
function oncePerTemplate(findings: readonly LintFinding[]): readonly LintFinding[] {
  const first = new Map<string, LintFinding>();
  for (const found of findings) {
    const { rule, file, line, column, message } = found;
    const key = JSON.stringify([rule, file, line, column, message]);
    if (!first.has(key)) first.set(key, found);
  }
  return [...first.values()];
}

/** The warnings of validation that a policy can never match. */
const impossibleBy = (warnings: readonly SourceFinding[], policy: LintedPolicy): readonly LintFinding[] =>
  warnings
    .filter((warning) => warning.policy === undefined || warning.policy === policy.id)
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

const placeText = ({ file, line, column }: Pick<SourceFinding, 'file' | 'line' | 'column'>): string =>
  `${line}:${column} ${file}`;

function accepted(
  found: readonly LintFinding[],
  { accepts, id, file, line, column, link }: LintedPolicy,
): readonly LintFinding[] {
  // Mutants belong to `remit policy test --mutate`, and proofs to `--prove`; what a template accepts may be found in another link.
  const useless = accepts.filter(
    (accept) =>
      link === undefined &&
      !accept.startsWith('mutant-') &&
      accept !== PROVED_RULE &&
      found.every(({ rule }) => rule !== accept),
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
        ? `\`@accept\` names \`${accept}\`, which is not reported here`
        : `unknown rule \`${accept}\` in \`@accept\``,
      help: null,
    })),
  ];
}

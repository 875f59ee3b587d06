import { inReadingOrder } from '../../../core/action/catalog/finding.ts';
import { placesIn } from '../../../core/runtime/text-place.ts';
import type { SourceFinding } from '../../../core/action/catalog/finding.ts';
import type { TextPlace } from '../../../core/runtime/text-place.ts';
import { yamlFields, itemsOf, leafOf, openYaml } from '../../../core/action/catalog/yaml-file.ts';
import type { PlacedNode, YamlFile } from '../../../core/action/catalog/yaml-file.ts';
import { reasons } from '../../../core/decision/reasons.ts';
import type { ReasonCode } from '../../../core/decision/reasons.ts';
import { listOf, oneOf, text } from '../../../core/runtime/fields.ts';
import type { Reader } from '../../../core/runtime/fields.ts';
import { attemptsFrom, ATTEMPTS } from './attempt-fields.ts';
import { CIRCUMSTANCES, circumstancesFrom } from './circumstances-fields.ts';
import type { Expectation, TestCase } from './test-case.ts';

/** Most cases per file; more is a finding. */
export const MAX_CASES = 10_000;

const EXPECTATIONS = ['expect', 'reason', 'policies', 'shadow'] as const;
const ids = listOf(text({ max: 128 }), { min: 0, max: 1000 });
const name: Reader<string> = text({ max: 200, grammar: { matches: isPrintable, words: 'printable, in one line' } });
const reason: Reader<ReasonCode> = (value) =>
  typeof value === 'string' && Object.hasOwn(reasons, value)
    ? (value as ReasonCode)
    : { problem: 'must be a reason code such as `policy.forbidden`' };

function isPrintable(words: string): boolean {
  return /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(words);
}

/**
 * Parses the cases of a YAML file: `cases`, and `defaults` for shared circumstances; a key of a case replaces the whole
 * default. A case with several `agents` or actions becomes a case for each. All or nothing. Limits: 1 MiB, 10,000 cases.
 */
export function caseFileFrom(
  source: string,
  file: string,
): readonly TestCase[] | { readonly findings: readonly SourceFinding[] } {
  const yaml = openYaml(source, file);
  if (yaml.findings.length > 0) return { findings: yaml.findings };
  const root = yamlFields(yaml, yaml.root, { what: 'a suite', required: ['cases'], optional: ['defaults'] });
  const shared = root.get('defaults');
  const defaults: ReadonlyMap<string, PlacedNode> =
    shared === undefined
      ? new Map<string, PlacedNode>()
      : yamlFields(yaml, shared, { what: '`defaults`', required: [], optional: CIRCUMSTANCES });
  const listed = root.get('cases');
  const items = listed === undefined ? [] : itemsOf(yaml, listed, '`cases`');
  const placeAt = placesIn(source);
  const cases = items.flatMap((item) => casesOf(yaml, item, { defaults, at: { file, ...placeAt(item.offset) } }));
  if (cases.length > MAX_CASES) yaml.report(0, `a suite has at most ${MAX_CASES} cases, this one ${cases.length}`);
  return yaml.findings.length > 0 ? { findings: inReadingOrder(yaml.findings) } : cases;
}

function casesOf(
  yaml: YamlFile,
  node: PlacedNode,
  within: { readonly defaults: ReadonlyMap<string, PlacedNode>; readonly at: TextPlace & { readonly file: string } },
): readonly TestCase[] {
  const optional = [...CIRCUMSTANCES, ...ATTEMPTS, ...EXPECTATIONS, 'args', 'skip'] as const;
  const own: ReadonlyMap<string, PlacedNode> = yamlFields(yaml, node, { what: 'a case', required: ['name'], optional });
  // `agent` and `agents` are alternatives.
  const isSaid = (key: string): boolean => key.startsWith('agent') && (own.has('agent') || own.has('agents'));
  const fields = new Map([...[...within.defaults].filter(([key]) => !isSaid(key)), ...own]);
  const title = leafOf(yaml, fields.get('name'), { what: '`name`', reader: name });
  const skip = leafOf(yaml, fields.get('skip'), { what: '`skip`', reader: name }) ?? null;
  const attempts = attemptsFrom(yaml, fields, node.offset);
  const expected = expectationFrom(yaml, fields, node.offset);
  const circumstances = circumstancesFrom(yaml, fields, node.offset);
  if (typeof title !== 'string' || expected === null) return [];
  const { file, line, column } = within.at;
  const isMany = attempts.length > 1;
  return circumstances.flatMap((one) => {
    const as = circumstances.length === 1 ? title : `${title}, as ${one.agent}`;
    return attempts.map((attempt): TestCase => {
      const of = isMany && 'action' in attempt ? `${as}: ${attempt.action}` : as;
      return { file, line, column, name: of, attempt, circumstances: one, expected, skip };
    });
  });
}

function expectationFrom(yaml: YamlFile, fields: ReadonlyMap<string, PlacedNode>, at: number): Expectation | null {
  const node = fields.get('expect');
  if (node === undefined) yaml.report(at, 'the case lacks the key `expect`', '`expect: allow` or `expect: deny`');
  const decision = leafOf(yaml, node, { what: '`expect`', reader: oneOf(['allow', 'deny']) });
  const why = leafOf(yaml, fields.get('reason'), { what: '`reason`', reader: reason }) ?? null;
  const policies = leafOf(yaml, fields.get('policies'), { what: '`policies`', reader: ids }) ?? null;
  const shadow = leafOf(yaml, fields.get('shadow'), { what: '`shadow`', reader: ids }) ?? null;
  if (decision === 'allow' && why !== null) yaml.report(fields.get('reason')?.offset ?? at, 'an allow has no `reason`');
  if (decision === null || decision === undefined) return null;
  return { decision, reason: why, policies: policies?.toSorted() ?? null, shadow: shadow?.toSorted() ?? null };
}

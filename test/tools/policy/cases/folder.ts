import type { SourceFinding } from '../../../../src/core/action/catalog/finding.ts';
import { loadPolicies } from '../../../../src/core/policy/loading/load.ts';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { systemDisk } from '../../../../src/core/policy/loading/source.ts';
import { caseFileFrom } from '../../../../src/tools/policy/cases/case-file.ts';
import type { TestCase } from '../../../../src/tools/policy/cases/test-case.ts';
import { compileHere } from '../../../builders/policy-folder.ts';
import { must } from '../../../builders/must.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';

/** The shipped example policies. */
export async function examplePolicies(): Promise<PolicySet> {
  return must(await loadPolicies('cedar-policies', { disk: systemDisk, compile: compileHere }));
}

/** Agents of the example entities. */
export const planner = mustSpiffeId('spiffe://acme.test/ns/agents/sa/planner');
export const reporter = mustSpiffeId('spiffe://acme.test/ns/agents/sa/reporter');

/** The cases of a valid suite. */
export function mustCases(text: string): readonly TestCase[] {
  return must(caseFileFrom(text, 's.test.yaml'));
}

/** Findings as text. */
export const findingLines = (findings: readonly SourceFinding[]): readonly string[] =>
  findings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`);

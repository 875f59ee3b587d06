import type { Finding } from '../../../src/action/finding.ts';
import { isDeny } from '../../../src/decision/decision.ts';
import { spiffeIdFrom } from '../../../src/identity/spiffe-id.ts';
import type { SpiffeId } from '../../../src/identity/spiffe-id.ts';
import { loadPolicies } from '../../../src/policy/loading/load.ts';
import type { PolicySet } from '../../../src/policy/loading/load.ts';
import { systemDisk } from '../../../src/policy/loading/source.ts';
import { caseFileFrom } from '../../../src/policy-tools/tests/case-file.ts';
import type { TestCase } from '../../../src/policy-tools/tests/test-case.ts';
import { compileHere } from '../../builders/policy-folder.ts';

/** The shipped example policies. */
export async function examplePolicies(): Promise<PolicySet> {
  const set = await loadPolicies('cedar-policies', { disk: systemDisk, compile: compileHere });
  if ('findings' in set) throw new Error(JSON.stringify(set.findings));
  return set;
}

/** A SPIFFE ID that is one. */
export function mustAgent(text: string): SpiffeId {
  const id = spiffeIdFrom(text);
  if (isDeny(id)) throw new Error(id.detail);
  return id;
}

/** Agents of the example entities. */
export const planner = mustAgent('spiffe://acme.test/ns/agents/sa/planner');
export const reporter = mustAgent('spiffe://acme.test/ns/agents/sa/reporter');

/** The cases of a text that has no finding. */
export function mustCases(text: string): readonly TestCase[] {
  const read = caseFileFrom(text, 's.test.yaml');
  if ('findings' in read) throw new Error(findingLines(read.findings).join('\n'));
  return read;
}

/** Findings as a person reads them. */
export const findingLines = (findings: readonly Finding[]): readonly string[] =>
  findings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`);

/** `remit policy validate`: check policies, schema, entities and action catalog. */
import type { SourceFinding } from '../../core/action/catalog/finding.ts';
import { compileForTool } from '../../core/policy/loading/compile.ts';
import { policySetOf } from '../../core/policy/loading/load.ts';
import { provedSetFrom } from '../../core/policy/loading/proved-set.ts';
import type { Findings, ProvedSet } from '../../core/policy/loading/proved-set.ts';
import { readPolicySource } from '../../core/policy/loading/source.ts';
import type { PolicySource } from '../../core/policy/loading/source.ts';
import { ownedFileFindings } from '../../tools/policy/owners/owned-files.ts';
import { ownedPolicies, ownershipFindings, unownedFiles } from '../../tools/policy/owners/ownership.ts';
import type { OutsidePolicy } from '../../tools/policy/owners/ownership.ts';
import { provedReach } from '../../tools/policy/owners/proved-reach.ts';
import { ownersIn } from '../../tools/policy/owners/owners-file.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { DEFAULT_BOUNDS, Prover } from '../../tools/policy/analyze/prover.ts';
import { programsFor, timeoutFrom } from './solver-options.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { findingCounts, findingLines, shownFiles } from './finding-lines.ts';
import type { ShownFiles } from './finding-lines.ts';
import { optionsFrom } from '../options.ts';
import { sarifOf } from './sarif.ts';

const help = `remit policy validate: check that remit would load this policy folder

usage: remit policy validate [FOLDER] [--prove [--engine FOLDER] [--timeout N]] [--json | --sarif]

  FOLDER    a folder with actions.yaml, base.cedarschema, *.cedarentities.json, enforcement.yaml, limits.yaml and *.cedar; also
            actions/**/*.yaml, entities/**/*.cedarentities.json and policies/**/*.cedar; default \`cedar-policies\`
  --json    one object: valid, folder, findings, warnings; if valid also hash, policies, actions, servers, limits, shadow.
            A finding is {file, line, column, message, help}, and, if known, end: {line, column} and policy:
            line and column from 1, column in code points, \`end\` after the last character
  --prove   if the head of a policy reaches beyond its team: ask the solver of \`remit policy analyze\` whether its conditions keep it there
  --engine  the folder of its programs, as for \`remit policy analyze\`
  --timeout seconds for one question to the solver, 1 to 3600; default ${DEFAULT_BOUNDS.timeoutSeconds}
  --sarif   SARIF 2.1.0, for code hosts: rule \`invalid\` with level error, rule \`suspicious\` with level warning

If the folder has \`owners.yaml\`, policies whose heads reach beyond what their teams may speak of are findings, and so are servers, actions and
entities in a team's files that are not its own, and policies, catalog, entities, enforcement, limits and \`owners.yaml\` that no team owns;
\`remit serve\` does not read it.

Prints every finding as \`file:line:column: message\` with its source line. Warnings do not prevent loading.

  remit policy validate
  remit policy validate /etc/remit/policies --json
  remit policy validate cedar-policies --sarif > remit.sarif

exit codes: 0 valid, 1 findings, 2 bad use or an unreadable folder`;

/** `remit policy validate`. */
export const policyValidateCommand: Command = {
  name: 'policy validate',
  help,
  run: policyValidate,
};

type Io = Pick<CommandIo, 'out' | 'err' | 'environment'>;

const flag = { type: 'boolean', default: false } as const;

const RULES = new Map([
  ['invalid', 'the policy set would not be loaded'],
  ['suspicious', 'valid, but probably a mistake'],
]);

/** Checks a policy folder and prints the findings; the exit code is the answer. */
export async function policyValidate(args: readonly string[], io: Io): Promise<number> {
  const text = { type: 'string' } as const;
  const options = optionsFrom(args, { json: flag, sarif: flag, prove: flag, engine: text, timeout: text }, 1);
  if (typeof options === 'string') return refused(io, 'remit policy validate', options);
  const { json, sarif } = options.values;
  if (json && sarif) return refused(io, 'remit policy validate', '`--json` and `--sarif` exclude each other');
  const proof = proofFrom(options.values);
  if (isProblem(proof)) return refused(io, 'remit policy validate', proof.problem);
  const folder = options.operands[0] ?? 'cedar-policies';
  const source = await readPolicySource(folder);
  if ('unreadable' in source)
    return refused(
      io,
      'remit policy validate',
      `the policy folder \`${folder}\` could not be read: ${source.unreadable}`,
    );
  const result = 'findings' in source ? source : await ownedSetFrom(source, proof, io);
  if (isProblem(result)) return refused(io, 'remit policy validate', result.problem);
  if (json) io.out(JSON.stringify(summaryOf(folder, result)));
  else if (sarif) io.out(JSON.stringify(sarifResults(result)));
  else print(io, folder, { result, files: shownFiles('findings' in source ? null : source) });
  return 'findings' in result ? EXIT.no : EXIT.good;
}

/** How to prove that its conditions keep a policy within its team; `null` without `--prove`. */
type Proof = { readonly engine: string | undefined; readonly timeoutSeconds: number } | null;

function proofFrom({
  prove,
  engine,
  timeout,
}: {
  readonly prove: boolean;
  readonly engine?: string;
  readonly timeout?: string;
}): Proof | Problem {
  if (!prove)
    return engine === undefined && timeout === undefined
      ? null
      : { problem: '`--engine` and `--timeout` go with `--prove`' };
  const timeoutSeconds = timeoutFrom(timeout);
  return isProblem(timeoutSeconds) ? timeoutSeconds : { engine, timeoutSeconds };
}

/** The set as `remit serve` would load it, also checked against `owners.yaml` if there is one. */
async function ownedSetFrom(source: PolicySource, proof: Proof, io: Io): Promise<ProvedSet | Findings | Problem> {
  const [set, owned] = await Promise.all([provedSetFrom(source, compileForTool()), ownersIn(source.folder)]);
  if ('findings' in set || owned === null) return set;
  const { owners } = owned;
  if (owned.findings.length > 0) return { findings: owned.findings };
  const ofPolicies =
    proof === null
      ? ownershipFindings(owners, set)
      : await provedFindings(ownedPolicies(owners, set), set, { proof, io });
  if (isProblem(ofPolicies)) return ofPolicies;
  const findings = [...unownedFiles(owners, source), ...ownedFileFindings(owners, set), ...ofPolicies];
  return findings.length === 0 ? set : { findings };
}

/** The findings that remain after the solver was asked about the conditions of the policies. */
async function provedFindings(
  outside: readonly OutsidePolicy[],
  proved: ProvedSet,
  { proof: { engine, timeoutSeconds }, io }: { readonly proof: NonNullable<Proof>; readonly io: Io },
): Promise<readonly SourceFinding[] | Problem> {
  if (outside.every(({ owner }) => owner === null)) return outside.flatMap(({ findings }) => findings);
  const programs = await programsFor(engine, io);
  if (isProblem(programs)) return programs;
  const set = policySetOf(proved);
  const prover = await Prover.open(programs, set.schema, { timeoutSeconds, within: io.environment['TMPDIR'] });
  try {
    const left: SourceFinding[] = [];
    for (const { policy, owner, findings, isForeignAgents } of outside) {
      const reach = owner === null ? null : await provedReach(policy, owner, { set, prover, isForeignAgents });
      if (reach?.kind === 'within') continue;
      const said =
        reach === null ? null : reach.kind === 'beyond' ? reach.why : `the solver does not say: ${reach.why}`;
      for (const finding of findings) left.push(said === null ? finding : { ...finding, help: said });
    }
    return left;
  } finally {
    await prover.close();
  }
}

function sarifResults(result: ProvedSet | Findings): unknown {
  const results =
    'findings' in result
      ? result.findings.map((finding) => ({ rule: 'invalid', level: 'error', finding }) as const)
      : result.warnings.map((finding) => ({ rule: 'suspicious', level: 'warning', finding }) as const);
  return sarifOf(results, RULES);
}

function summaryOf(folder: string, result: ProvedSet | Findings): unknown {
  if ('findings' in result) return { valid: false, folder, findings: result.findings, warnings: [] };
  const { hash, policies, catalog, limits, warnings } = result;
  const counts = {
    policies: policies.length,
    actions: catalog.actions.size,
    servers: catalog.servers.size,
    limits: limits.length,
  };
  return { valid: true, folder, hash, ...counts, shadow: shadowIds(result), findings: [], warnings };
}

function print(
  io: Io,
  folder: string,
  { result, files }: { readonly result: ProvedSet | Findings; readonly files: ShownFiles },
): void {
  const isValid = !('findings' in result);
  for (const finding of isValid ? result.warnings : result.findings) {
    for (const line of findingLines(finding, { files, prefix: isValid ? 'warning: ' : '' })) io.out(line);
  }
  io.out(
    isValid
      ? `${folder}: ${countsOf(result)}: valid`
      : `${folder}: ${findingCounts(result.findings.length, 'finding')}`,
  );
}

function countsOf(set: ProvedSet): string {
  const inShadow = shadowIds(set).length;
  const shadow = inShadow === 0 ? '' : ` (${inShadow} in shadow)`;
  return [
    `${findingCounts(set.policies.length, 'policy', 'policies')}${shadow}`,
    findingCounts(set.catalog.actions.size, 'action'),
    findingCounts(set.catalog.servers.size, 'server'),
    ...(set.limits.length === 0 ? [] : [findingCounts(set.limits.length, 'limit')]),
  ].join(', ');
}

const shadowIds = ({ policies }: ProvedSet): readonly string[] =>
  policies.flatMap(({ id, shadow }) => (shadow ? [id] : [])).sort();

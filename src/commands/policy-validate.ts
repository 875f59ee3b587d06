import type { Finding } from '../action/finding.ts';
import { policySetFrom } from '../policy/load.ts';
import type { Findings, PolicySet } from '../policy/load.ts';
import { readPolicySource } from '../policy/source.ts';
import type { PolicySource } from '../policy/source.ts';
import { EXIT } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { excerptOf } from './excerpt.ts';
import { optionsFrom } from './options.ts';

const help = `remit policy validate: is this folder a policy set that remit would load?

usage: remit policy validate [FOLDER] [--json]

  FOLDER    with actions.yaml, base.cedarschema, *.cedarentities.json, *.cedar and policies/*.cedar;
            default \`cedar-policies\`
  --json    one object: valid, hash, policies, actions, servers, findings, warnings

Prints every finding as \`file:line:column: message\` with the line it is about. Warnings do not stand in the way.

  remit policy validate
  remit policy validate /etc/remit/policies --json

exit: 0 valid, 1 findings, 2 bad use or an unreadable folder`;

/** `remit policy validate`. */
export const policyValidateCommand: Command = {
  name: 'policy validate',
  help,
  run: policyValidate,
};

type Io = Pick<CommandIo, 'out' | 'err'>;

/** Checks a policy folder and prints what it finds; the exit code is the answer. */
export async function policyValidate(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(args, { json: { type: 'boolean', default: false } }, 1);
  if (typeof options === 'string') return refused(io, options);
  const folder = options.operands[0] ?? 'cedar-policies';
  const source = await readPolicySource(folder);
  if ('unreadable' in source)
    return refused(io, `the policy folder \`${folder}\` could not be read: ${source.unreadable}`);
  const result = 'findings' in source ? source : await policySetFrom(source);
  if (options.values.json) io.out(JSON.stringify(summaryOf(folder, result)));
  else print(io, folder, { result, source: 'findings' in source ? null : source });
  return 'findings' in result ? EXIT.no : EXIT.good;
}

function refused(io: Io, problem: string): number {
  io.err(`remit policy validate: ${problem}`);
  return EXIT.bad;
}

function summaryOf(folder: string, result: PolicySet | Findings): unknown {
  if ('findings' in result) return { valid: false, folder, findings: result.findings, warnings: [] };
  const { hash, policyCount, shadowIds, catalog, warnings } = result;
  const counts = {
    policies: policyCount + shadowIds.length,
    actions: catalog.actions.size,
    servers: catalog.servers.size,
  };
  return { valid: true, folder, hash, ...counts, shadow: shadowIds, findings: [], warnings };
}

function print(
  io: Io,
  folder: string,
  checked: { readonly result: PolicySet | Findings; readonly source: PolicySource | null },
): void {
  const { result, source } = checked;
  const isValid = !('findings' in result);
  for (const finding of isValid ? result.warnings : result.findings) {
    for (const line of linesOf(finding, source, isValid ? 'warning: ' : '')) io.out(line);
  }
  io.out(
    isValid ? `${folder}: ${countsOf(result)}: valid` : `${folder}: ${counted(result.findings.length, 'finding')}`,
  );
}

function linesOf(finding: Finding, source: PolicySource | null, prefix: string): readonly string[] {
  const { file, line, column, message, help } = finding;
  const files = source === null ? [] : [source.catalog, source.schema, ...source.policies, ...source.entities];
  const text = files.find((candidate) => candidate.file === file)?.text;
  return [
    `${file}:${line}:${column}: ${prefix}${message}`,
    ...(text === undefined ? [] : excerptOf(text, { line, column })),
    ...(help === null ? [] : [`  help: ${help}`]),
  ];
}

function countsOf({ policyCount, shadowIds, catalog }: PolicySet): string {
  const shadow = shadowIds.length === 0 ? '' : ` (${shadowIds.length} in shadow)`;
  return [
    `${counted(policyCount + shadowIds.length, 'policy', 'policies')}${shadow}`,
    counted(catalog.actions.size, 'action'),
    counted(catalog.servers.size, 'server'),
  ].join(', ');
}

const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

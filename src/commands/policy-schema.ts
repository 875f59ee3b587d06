import { catalogFrom } from '../action/catalog.ts';
import { schemaJson } from '../policy/schema-json.ts';
import { schemaFrom } from '../policy/schema.ts';
import { readPolicySource } from '../policy/source.ts';
import { EXIT } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { counted, findingLines, shownFiles } from './finding-lines.ts';
import { optionsFrom } from './options.ts';

const help = `remit policy schema: the Cedar schema that policies are checked against, for editors

usage: remit policy schema [FOLDER] [--json]

  FOLDER    with actions.yaml and base.cedarschema; default \`cedar-policies\`
  --json    in Cedar's JSON form

Prints the base schema with one action for each entry of the catalog. The policies of the folder need not be good. The Cedar
extension of VS Code reads the file that \`cedar.schemaFile\` names; keep it out of the policy folder.

  remit policy schema > remit.cedarschema
  remit policy schema --json > remit.cedarschema.json

exit: 0 printed, 1 catalog or base schema have findings, 2 bad use or an unreadable folder`;

/** `remit policy schema`. */
export const policySchema: Command = { name: 'policy schema', help, run: printSchema };

type Io = Pick<CommandIo, 'out' | 'err'>;

async function printSchema(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(args, { json: { type: 'boolean', default: false } }, 1);
  if (typeof options === 'string') return refused(io, options);
  const folder = options.operands[0] ?? 'cedar-policies';
  const source = await readPolicySource(folder);
  if ('unreadable' in source)
    return refused(io, `the policy folder \`${folder}\` could not be read: ${source.unreadable}`);
  if ('findings' in source) return found(io, source.findings, new Map());
  const files = shownFiles(source);
  const catalog = catalogFrom(source.catalog.text, source.catalog.file, source.descriptorSets);
  if ('findings' in catalog) return found(io, catalog.findings, files);
  const schema = schemaFrom(source.schema.text, catalog);
  const base = { file: source.schema.file, line: 1, column: 1 };
  if ('problem' in schema) return found(io, [{ ...base, message: schema.problem, help: null }], files);
  const json = schemaJson(source.schema, schema);
  if ('findings' in json) return found(io, json.findings, files);
  io.out(options.values.json ? JSON.stringify(json.json, null, 2) : schema.text.trimEnd());
  return EXIT.good;
}

function found(
  io: Io,
  findings: readonly Parameters<typeof findingLines>[0][],
  files: ReadonlyMap<string, string>,
): number {
  // Not among the data: who redirects the schema into a file reads them all the same.
  for (const finding of findings) for (const line of findingLines(finding, { files })) io.err(line);
  io.err(counted(findings.length, 'finding'));
  return EXIT.no;
}

function refused(io: Io, problem: string): number {
  io.err(`remit policy schema: ${problem}`);
  return EXIT.bad;
}

/** `remit policy schema`: print the schema that policies are checked against, for editors. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generatedSchemaText } from '../../core/policy/generated-schema.ts';
import { schemaJson } from '../../core/policy/schema-json.ts';
import { schemaFrom } from '../../core/policy/schema.ts';
import { catalogOf } from '../../core/policy/loading/source-catalog.ts';
import { GENERATED_SCHEMA } from '../../core/policy/loading/source-names.ts';
import { readPolicySource } from '../../core/policy/loading/source.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { findingCounts, findingLines, shownFiles } from './finding-lines.ts';
import type { ShownFiles } from './finding-lines.ts';
import { optionsFrom } from '../options.ts';

const help = `remit policy schema: print the Cedar schema that policies are checked against, for editors

usage: remit policy schema [FOLDER] [--json | --write | --check]

  FOLDER    a folder with actions.yaml or actions/*.yaml, and base.cedarschema; default \`cedar-policies\`
  --json    print it in Cedar's JSON form
  --write   write FOLDER/remit.cedarschema, beside the base, for \`cedar validate\` and editors; remit itself does not read it
  --check   check whether that file is up to date; \`remit policy validate\` and \`remit serve --check\` warn if it is not

Prints the base schema with one action for each entry of the catalog. The policies of the folder need not be valid. The Cedar
extension of VS Code reads the file that \`cedar.schemaFile\` names.

  remit policy schema --write
  remit policy schema --json > remit.cedarschema.json

exit codes: 0 printed, written or up to date, 1 catalog or base schema have findings, or the file is stale, 2 bad use or an
unreadable folder`;

/** `remit policy schema`. */
export const policySchema: Command = { name: 'policy schema', help, run: printSchema };

type Io = Pick<CommandIo, 'out' | 'err'>;

async function printSchema(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(args, { json: flag, write: flag, check: flag }, 1);
  if (typeof options === 'string') return refused(io, 'remit policy schema', options);
  const { json: isJson, write, check } = options.values;
  if (Number(isJson) + Number(write) + Number(check) > 1)
    return refused(io, 'remit policy schema', '`--json`, `--write` and `--check` exclude each other');
  const folder = options.operands[0] ?? 'cedar-policies';
  const source = await readPolicySource(folder);
  if ('unreadable' in source)
    return refused(
      io,
      'remit policy schema',
      `the policy folder \`${folder}\` could not be read: ${source.unreadable}`,
    );
  if ('findings' in source) return found(io, source.findings, new Map());
  const files = shownFiles(source);
  const catalog = await catalogOf(source);
  if ('findings' in catalog) return found(io, catalog.findings, files);
  const schema = schemaFrom(source.schema.text, catalog);
  const base = { file: source.schema.file, line: 1, column: 1 };
  if ('problem' in schema) return found(io, [{ ...base, message: schema.problem, help: null }], files);
  const json = schemaJson(source.schema, schema);
  if ('findings' in json) return found(io, json.findings, files);
  const file = join(folder, GENERATED_SCHEMA);
  const text = generatedSchemaText(schema);
  if (write) return written(io, file, text);
  if (check) return checked(io, file, text);
  io.out(isJson ? JSON.stringify(json.json, null, 2) : schema.text.trimEnd());
  return EXIT.good;
}

const flag = { type: 'boolean', default: false } as const;

async function written(io: Io, file: string, text: string): Promise<number> {
  const failed = await writeFile(file, text).catch((error: NodeJS.ErrnoException) => error);
  if (failed !== undefined) return refused(io, 'remit policy schema', `cannot write \`${file}\`: ${failed.code}`);
  io.out(`${file}: written`);
  return EXIT.good;
}

async function checked(io: Io, file: string, text: string): Promise<number> {
  const is = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => error);
  if (is === text) {
    io.out(`${file}: up to date`);
    return EXIT.good;
  }
  const cause =
    typeof is === 'string' ? 'does not match the catalog and the base schema' : `cannot be read: ${is.code}`;
  io.err(`${file}: ${cause}; run \`remit policy schema --write\``);
  return EXIT.no;
}

function found(io: Io, findings: readonly Parameters<typeof findingLines>[0][], files: ShownFiles): number {
  // On standard error, so that they show when the schema is redirected to a file.
  for (const finding of findings) for (const line of findingLines(finding, { files })) io.err(line);
  io.err(findingCounts(findings.length, 'finding'));
  return EXIT.no;
}

/** `remit policy fmt`: formats each policy to 80 columns as the Cedar formatter does. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SourceFinding } from '../../core/action/catalog/finding.ts';
import { freshCedar } from '../../core/policy/cedar.ts';
import { policyTree } from '../../core/policy/loading/policy-tree.ts';
import { formatted } from '../../tools/policy/write/format.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { textWithLines } from './excerpt.ts';
import type { ShownText } from './excerpt.ts';
import { findingCounts, findingLines } from './finding-lines.ts';
import { optionsFrom } from '../options.ts';
import { replaceFile } from '../replaced-file.ts';

const help = `remit policy fmt: format policies in Cedar's own style

usage: remit policy fmt [PATH ...] [--check] [--json]

  PATH      a \`.cedar\` file, or a folder with *.cedar and policies/**/*.cedar; default \`cedar-policies\`
  --check   change nothing; exit 1 if a file would change
  --json    one object: files, changed (their names), findings

Formats each policy to 80 columns as the Cedar formatter does. Comments and text between policies are kept, and no policy
changes its meaning. Prints the name of each changed file. A file that does not parse is reported and left unchanged.

  remit policy fmt
  remit policy fmt --check policies/payments.cedar

exit codes: 0 success, 1 a file would change (\`--check\`) or does not parse, 2 bad use or an unreadable path`;

/** `remit policy fmt`. */
export const policyFmt: Command = { name: 'policy fmt', help, run: format };

type Io = Pick<CommandIo, 'out' | 'err'>;

const MAX_PATHS = 1000;
const MAX_BYTES = 8 * 1024 * 1024;
const flag = { type: 'boolean', default: false } as const;

async function format(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(args, { check: flag, json: flag }, MAX_PATHS);
  if (typeof options === 'string') return refused(io, 'remit policy fmt', options);
  const paths = options.operands.length === 0 ? ['cedar-policies'] : options.operands;
  const { check, json } = options.values;
  const cedar = freshCedar();
  const files = new Map<string, ShownText>();
  const changed: string[] = [];
  const findings: SourceFinding[] = [];
  try {
    for (const file of (await Promise.all(paths.map(cedarFiles))).flat()) {
      const text = await readUtf8(file);
      files.set(file, textWithLines(text));
      const result = formatted({ name: file, file, text }, cedar);
      if ('findings' in result) findings.push(...result.findings);
      else if (result.text !== text) {
        changed.push(file);
        if (!check) await replaceFile(file, result.text, '.remit-fmt');
      }
    }
  } catch (error) {
    return refused(io, 'remit policy fmt', pathProblem(error));
  }
  if (json) io.out(JSON.stringify({ files: files.size, changed, findings }));
  else {
    for (const file of changed) io.out(file);
    for (const finding of findings) for (const line of findingLines(finding, { files })) io.out(line);
    const said = `${findingCounts(files.size, 'file')}, ${changed.length} ${check ? 'would change' : 'changed'}`;
    io.err(findings.length === 0 ? said : `${said}, ${findingCounts(findings.length, 'finding')}`);
  }
  return findings.length > 0 || (check && changed.length > 0) ? EXIT.no : EXIT.good;
}

async function cedarFiles(path: string): Promise<readonly string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const { names } = await policyTree(path, (folder) => readdir(folder));
  return names.filter((name) => name.endsWith('.cedar')).map((name) => join(path, name));
}

async function readUtf8(file: string): Promise<string> {
  const bytes = await readFile(file);
  if (bytes.length > MAX_BYTES) throw new Error(`\`${file}\` is larger than ${MAX_BYTES} bytes`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`\`${file}\` must be valid UTF-8`);
  }
}

function pathProblem(error: unknown): string {
  // By shape: under a test runner the error is of another realm.
  const { code, path, message } = error as NodeJS.ErrnoException;
  return code === undefined ? message : `\`${path ?? ''}\`: ${code}`;
}

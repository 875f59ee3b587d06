/** `remit policy owners`: write CODEOWNERS from `owners.yaml`. */
import { readFile } from 'node:fs/promises';
import { codeownersText } from '../../tools/policy/owners/ownership.ts';
import { OWNERS, ownersIn } from '../../tools/policy/owners/owners-file.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { findingLines } from './finding-lines.ts';
import { optionsFrom } from '../options.ts';

const help = `remit policy owners: write CODEOWNERS from the owners of policies

usage: remit policy owners [FOLDER] [--prefix PATH] [--check FILE]

  FOLDER         a policy folder with \`${OWNERS}\`; default \`cedar-policies\`
  --prefix PATH  the folder from the root of the repository; default FOLDER
  --check FILE   print nothing, and say whether this file has the lines

\`${OWNERS}\` names for each team its paths, its reviewers, and the servers, actions, agents and groups that its policies may speak of.
\`remit policy validate\` refuses a policy whose head reaches beyond them.

  remit policy owners > .github/CODEOWNERS
  remit policy owners --check .github/CODEOWNERS

exit codes: 0 success, 1 the file to check differs, or \`${OWNERS}\` has findings, 2 bad use or no \`${OWNERS}\``;

/** `remit policy owners`. */
export const policyOwners: Command = { name: 'policy owners', help, run: owners };

const NAME = 'remit policy owners';

type Io = Pick<CommandIo, 'out' | 'err'>;

async function owners(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(args, { prefix: { type: 'string' }, check: { type: 'string' } }, 1);
  if (typeof options === 'string') return refused(io, NAME, options);
  const folder = options.operands[0] ?? 'cedar-policies';
  const { prefix = folder, check } = options.values;
  const read = await ownersIn(folder);
  if (read === null) return refused(io, NAME, `\`${folder}\` has no \`${OWNERS}\``);
  if (read.findings.length > 0) {
    for (const finding of read.findings) for (const line of findingLines(finding, { files: new Map() })) io.out(line);
    return EXIT.no;
  }
  const path = prefix.split('/').filter((part) => part !== '' && part !== '.');
  const text = codeownersText(read.owners, path.map((part) => `${part}/`).join(''));
  if (check === undefined) {
    io.out(text.trimEnd());
    return EXIT.good;
  }
  const written = await readFile(check, 'utf8').catch((error: NodeJS.ErrnoException) => error);
  if (typeof written !== 'string') return refused(io, NAME, `\`${check}\` could not be read: ${written.code}`);
  const lines = new Set(written.split('\n'));
  const missing = text.split('\n').filter((line) => !lines.has(line));
  for (const line of missing) io.out(`missing in ${check}: ${line}`);
  return missing.length === 0 ? EXIT.good : EXIT.no;
}

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
  --check FILE   say whether the rules of this file end with these lines, in this order: the last rule that has a file counts

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
  const misplaced = misplacedLines(ruleLines(written), ruleLines(text));
  for (const line of misplaced) io.out(`${check}: ${line}`);
  return misplaced.length === 0 ? EXIT.good : EXIT.no;
}

/** The lines of a CODEOWNERS file without blank lines and comments. */
const ruleLines = (text: string): readonly string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

/** Why the rules do not end with the wanted lines: the last matching rule wins, so any rule between or after them could win. */
function misplacedLines(rules: readonly string[], wanted: readonly string[]): readonly string[] {
  const missing = wanted.filter((line) => !rules.includes(line));
  if (missing.length > 0) return missing.map((line) => `missing: ${line}`);
  // Backwards: the last differing rule is the one that wins.
  const found = rules.slice(rules.length - wanted.length).findLast((line, at) => line !== wanted[at]);
  return found === undefined ? [] : [`out of place: ${found}: the lines must be the last rules, together and in order`];
}

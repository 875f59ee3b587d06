/** What a verification of a ledger trusts: keys and anchors that the options name. */
import { readFile, stat } from 'node:fs/promises';
import { anchorsIn, type NamedAnchor } from '../../core/ledger/proof/anchor-file.ts';
import {
  noteKeyFrom,
  witnessKeyFrom,
  witnessKeyText,
  type NoteKey,
  type WitnessKey,
} from '../../core/ledger/proof/note-key.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/** Largest files of keys and anchors, which are held in memory. */
const MAX_KEY_BYTES = 65_536;
const MAX_ANCHOR_BYTES = 256 * 1024 ** 2;

/** The help for `--key`. */
export const KEY_HELP = `  --key VKEY|@FILE    the verifier key you pinned, \`name+id+base64\`, or a file with a key on each line; \`remit serve\` prints it
                      when it starts a ledger. Never take it from where the ledger comes from. Repeatable, for several ledgers`;

/** The pinned keys in the values of `--key`. */
export async function keysFrom(words: readonly string[]): Promise<readonly NoteKey[] | CommandRefusal> {
  if (words.length === 0) {
    return taskRefusal(
      '--key is required: the verifier key of the ledger, which `remit serve` prints at its start and you kept elsewhere',
    );
  }
  return readKeys('key', words, noteKeyFrom);
}

/** Most witnesses that a verification asks for. */
const MAX_WITNESSES = 64;

/** The keys of witnesses in the values of `--witness`; none without values. */
export async function witnessesFrom(words: readonly string[]): Promise<readonly WitnessKey[] | CommandRefusal> {
  if (words.length === 0) return [];
  const keys = await readKeys('witness', words, witnessKeyFrom);
  if (isCommandRefusal(keys)) return keys;
  // A cosignature does not say by which name it was made: one key under two names would count twice.
  if (new Set(keys.map((key) => witnessKeyText(key).slice(-44))).size < keys.length)
    return taskRefusal('--witness has a key twice');
  return keys.length <= MAX_WITNESSES ? keys : taskRefusal(`--witness names more than ${MAX_WITNESSES} witnesses`);
}

async function readKeys<K>(
  what: 'key' | 'witness',
  words: readonly string[],
  keyFrom: (line: string) => K | Problem,
): Promise<readonly K[] | CommandRefusal> {
  const keys: K[] = [];
  for (const word of words) {
    const text = word.startsWith('@') ? await trustFileText(word.slice(1), { what, maxBytes: MAX_KEY_BYTES }) : word;
    if (isCommandRefusal(text)) return text;
    for (const line of text.split('\n').map((each) => each.trim())) {
      if (line === '' || line.startsWith('#')) continue;
      const key = keyFrom(line);
      if (isProblem(key)) return taskRefusal(`--${what} ${key.problem}`);
      keys.push(key);
    }
  }
  return keys.length > 0 ? keys : taskRefusal(`--${what} contains no key`);
}

/** The anchors in files, with notices. */
export async function anchorsFrom(
  files: readonly string[],
): Promise<{ readonly anchors: readonly NamedAnchor[]; readonly notices: readonly string[] } | CommandRefusal> {
  const anchors: NamedAnchor[] = [];
  const notices: string[] = [];
  for (const file of files) {
    const text = await trustFileText(file, { what: 'anchors', maxBytes: MAX_ANCHOR_BYTES });
    if (isCommandRefusal(text)) return text;
    const read = anchorsIn(text);
    if (read.anchors.length === 0) return taskRefusal(`the anchor file \`${file}\` contains no signed note`);
    if (read.isCut) notices.push(`the end of \`${file}\` is an incomplete note and is skipped`);
    anchors.push(...read.anchors);
  }
  return { anchors, notices };
}

/** The text of a file, read whole; a refusal if it is larger than `maxBytes` or cannot be read. */
export async function trustFileText(
  file: string,
  { what, maxBytes }: { readonly what: string; readonly maxBytes: number },
): Promise<string | CommandRefusal> {
  try {
    const { size } = await stat(file);
    if (size > maxBytes) return taskRefusal(`the ${what} \`${file}\` has ${size} bytes, more than ${maxBytes}`);
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = errorCode(error) ?? String(error);
    return taskRefusal(`the ${what} \`${file}\` cannot be read: ${code}`);
  }
}

/** `remit why`: from a value in the log of an upstream to who, by which intent, by which policies, and what else. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { provedChain } from '../../authority/records/received-proof.ts';
import type { NoteKey } from '../../core/ledger/proof/note-key.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import type { PolicySource } from '../../core/policy/loading/source.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import { PRIVATE_MODE } from '../../core/runtime/system/private-file.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { filterFrom, filterWords, LEDGER_HELP, ledgerOptions } from '../ledger/ledger-source.ts';
import { KEY_HELP, keysFrom } from '../ledger/ledger-trust.ts';
import { sourcesIn } from '../ledger/policy-folders.ts';
import { RECEIVED_HELP, receivedOptions } from '../ledger/received-source.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { investigated } from './investigation.ts';
import type { Investigation, ProvedPart } from './investigation.ts';
import { whyJson } from './investigation-json.ts';
import { investigationLines, matchLines } from './investigation-text.ts';
import { withSearchedLogs } from './searched-logs.ts';
import type { SearchedLogs } from './searched-logs.ts';
import { matchesOf, meantOf } from './value-matches.ts';
import type { AskedValue, Matches } from './value-matches.ts';

const help = `remit why: from a value in the log of an upstream to who, by which intent, by which policies, and what else

usage: remit why VALUE [OPTION ...]

  VALUE               what the upstream has: the value of a recorded argument, or a segment of a path (\`p-77\`); or an id that a client was
                      shown: of a decision, a trace or a task
  --argument NAME     only calls whose recorded argument of this name has the value
  --since TIME        only calls from here on: 2026-01-02T03:04:05Z, 2026-01-02, or -2h for two hours ago (s, m, h, d)
  --until TIME        only calls before
${LEDGER_HELP}
${RECEIVED_HELP}
  --policies FOLDER   a policy folder, whose text is used if a set has its very hash: for sidecars with policies of their own, of which an authority
                      has the hash alone. Repeatable
  --proofs DIR        write the proofs into this folder, one new file for each record, for \`remit ledger check-proof\`
${KEY_HELP}; the proofs are then checked with it
  --json              one object: value, matches, isMore, found (call, why, fate, outcome, chain, token, policies, inForce, granting, rest, sightings,
                      areSightingsCut, proofs) or null, faults

Prints the call and what became of it; who made it; the intent of its task, and the tasks above by whose delegation it was; the policies
that decided, by their text of that day; what else the task did; whether its token was used elsewhere; and for each of these records
under which signed checkpoint it is. If several calls of one task have the value, the newest that was allowed is explained and the others are
named. If they are of several tasks, all are listed with decision id, time and agent: name one by its id.

An argument is found only if the catalog marks it \`record: true\`. \`remit ledger verify\` verifies the whole ledger.

  remit why p-77
  remit why p-77 --argument payment --since -2d --proofs evidence/
  remit why 019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55 --ledger /mnt/copy/ledger --json

exit codes: 0 found; 1 no call has the value; 2 bad use, or a ledger that cannot be read or is not as it was written`;

/** `remit why`. */
export const whyCommand: Command = { name: 'why', help, run: why };

const NAME = 'remit why';
/** Longest value, in characters: records keep no longer path or argument whole. */
const MAX_VALUE = 8_192;

const OPTIONS = {
  ...ledgerOptions,
  ...receivedOptions,
  argument: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
  policies: { type: 'string', multiple: true },
  proofs: { type: 'string' },
  key: { type: 'string', multiple: true },
  json: { type: 'boolean', default: false },
} as const;

type Io = Pick<CommandIo, 'out' | 'err' | 'environment'>;
type Values = Exclude<ReturnType<typeof optionsFrom<typeof OPTIONS>>, string>['values'];

async function why(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(filterWords(args), OPTIONS, 1);
  if (typeof options === 'string') return refused(io, NAME, options);
  const asked = askedIn(options.operands[0], options.values);
  if (isCommandRefusal(asked)) return refused(io, NAME, asked);
  const keys = options.values.key === undefined ? [] : await keysFrom(options.values.key);
  if (isCommandRefusal(keys)) return refused(io, NAME, keys);
  const given = await sourcesIn(options.values.policies ?? []);
  if (isCommandRefusal(given)) return refused(io, NAME, given);
  const exit = await withSearchedLogs<number>(options.values, io, (logs) =>
    answer(asked, logs, { values: options.values, keys, given, io }),
  );
  return isCommandRefusal(exit) ? refused(io, NAME, exit) : exit;
}

function askedIn(value: string | undefined, { argument, since, until }: Values): AskedValue | CommandRefusal {
  if (value === undefined || value === '') return taskRefusal('a value is required, such as `p-77`');
  if (value.length > MAX_VALUE) return taskRefusal(`a value has at most ${MAX_VALUE} characters`);
  const within = filterFrom({ since, until }, systemPorts.nowMs());
  if (isCommandRefusal(within)) return within;
  const { sinceMs, untilMs } = within;
  return { value, argument: argument ?? null, within: { sinceMs, untilMs } };
}

interface Answering {
  readonly values: Values;
  readonly keys: readonly NoteKey[];
  readonly given: readonly PolicySource[];
  readonly io: Io;
}

async function answer(
  asked: AskedValue,
  logs: SearchedLogs,
  { values, keys, given, io }: Answering,
): Promise<number | CommandRefusal> {
  const matches = matchesOf(asked, logs);
  const meant = meantOf(matches);
  const found = meant === null ? null : investigated(meant, logs, given);
  const wrong = wrongProofs(found?.proofs ?? [], keys);
  for (const each of wrong) logs.fault(each);
  if (values.proofs !== undefined && found !== null) {
    const problem = await writtenProofs(values.proofs, found.proofs);
    if (problem !== null) return problem;
  }
  // What was not found may be in a file that cannot be read.
  if (matches.calls.length === 0) logs.findDamage();
  const { faults } = logs;
  if (values.json) io.out(printableJson(whyJson(asked.value, { matches, found, faults })));
  else for (const line of linesOf(asked, { matches, found })) io.out(printable(line));
  for (const problem of logs.indexProblems())
    io.err(printable(`${NAME}: ${problem}: records were read instead; \`remit ledger index\` makes it again`));
  for (const fault of faults) io.err(printable(`${NAME}: ${fault}: run \`remit ledger verify\``));
  if (faults.length > 0) return EXIT.bad;
  return matches.calls.length === 0 ? EXIT.no : EXIT.good;
}

function linesOf(
  { value }: AskedValue,
  { matches, found }: { readonly matches: Matches; readonly found: Investigation | null },
): readonly string[] {
  if (found !== null) return investigationLines(found, matches);
  return matches.calls.length === 0
    ? [
        `no recorded call has \`${value}\`: as an argument it is recorded only if the catalog marks it \`record: true\`; denials of an intent are explained by \`remit explain\``,
      ]
    : matchLines(value, matches);
}

/** One line for each proof that none of the pinned keys verifies; none without keys. */
const wrongProofs = (proofs: readonly ProvedPart[], keys: readonly NoteKey[]): readonly string[] =>
  keys.length === 0
    ? []
    : proofs.flatMap(({ what, placed: { seq, log }, proof }) => {
        if (proof.kind !== 'proof') return [];
        const tried = keys.map((key) => provedChain(proof.text, key));
        const problem = tried.find(isProblem)?.problem ?? '';
        return tried.every(isProblem)
          ? [`${what}, record ${seq} of \`${log}\`, is NOT proved by the key: its proof ${problem}`]
          : [];
      });

/** Writes each proof into a new file of a folder, which is made if it is missing. */
async function writtenProofs(folder: string, proofs: readonly ProvedPart[]): Promise<CommandRefusal | null> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const { what, proof } of proofs) {
      if (proof.kind !== 'proof') continue;
      await writeFile(join(folder, `${what}.tlog-proof`), proof.text, { flag: 'wx', mode: PRIVATE_MODE });
    }
    return null;
  } catch (error) {
    return taskRefusal(`the proofs cannot be written into \`${folder}\`: ${errorCode(error) ?? String(error)}`);
  }
}

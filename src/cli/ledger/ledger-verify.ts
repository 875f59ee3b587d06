/** `remit ledger verify`: verify the ledger: which records are anchored, signed, bare or broken. */
import { printableJson } from '../../core/ledger/printable-json.ts';
import type { NamedAnchor } from '../../core/ledger/proof/anchor-file.ts';
import { openedAnchors } from '../../core/ledger/proof/head-check.ts';
import type { LedgerLeaf } from '../../core/ledger/proof/leaf.ts';
import type { NoteKey } from '../../core/ledger/proof/note-key.ts';
import { lostToAll } from '../../core/ledger/relayed.ts';
import type { EmitterVerdict } from '../../authority/records/emitter-verdict.ts';
import { broken, coveredUpTo } from '../../core/ledger/proof/verdict.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { storedExport } from '../../core/ledger/log/exported-log.ts';
import { folderVerdict } from '../../core/ledger/log/folder-verdict.ts';
import { refused, type CommandIo, type Command } from '../command.ts';
import { LEDGER_HELP, ledgerFolderOf, ledgerOptions } from './ledger-source.ts';
import { anchorsFrom, KEY_HELP, keysFrom } from './ledger-trust.ts';
import { WITNESS_HELP, witnessedOf, witnessOptions, witnessTrustFrom, type WitnessTrust } from './ledger-witnesses.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';
import { RECEIVED_HELP, receivedFolderOf, receivedOptions, receivedVerdicts } from './received-source.ts';
import {
  emitterLines,
  isUnanchored,
  isUnwitnessed,
  type LedgerVerdict,
  lostLines,
  verdictLines,
} from './verdict-text.ts';

/** Exit codes of this command only. 2 has another meaning here, so invalid usage is that of `sysexits.h`. */
const VERIFY_EXIT = { whole: 0, bareTail: 2, broken: 3, bad: 64 } as const;

const help = `remit ledger verify: is the ledger unchanged?

usage: remit ledger verify --key VKEY|@FILE [--ledger DIR ...] [--anchors FILE ...] [--received DIR] [--json]
                           [--witness VKEY|@FILE ... --witnessed FILE ... [--quorum N]]
       remit ledger verify --key VKEY|@FILE --jsonl FILE --anchors FILE

${KEY_HELP}
  --anchors FILE      checkpoints kept elsewhere, preferably on another machine: the file of \`ledger.checkpoints\`, with a line
                      \`# received 2026-01-02T03:04:05Z\` before a note if you know when it was received; or the
                      OTLP log records that a collector wrote as JSON. Repeatable
${WITNESS_HELP}
${LEDGER_HELP}
                      --ledger is repeatable
${RECEIVED_HELP}
  --jsonl FILE        the output of \`remit ledger export\` for a whole ledger, instead of --ledger
  --json              one object: exit, the ledgers with their verdicts, the received logs with theirs, and the missing records

Works off-line, beside a running \`remit serve\` or on a copy, and trusts nothing that it reads. Prints three ranges:
  anchored   covered by a checkpoint that you kept, or that --quorum witnesses have cosigned: not even the holder of the ledger's
             key can have changed it since
  signed     covered by a checkpoint of the ledger: nobody without that key can have changed it
  bare       covered by no checkpoint yet: anybody who can write the files can have changed it. While \`remit serve\` runs, this is
             the last 5 seconds
and the first wrong record, if there is one. A record of the database of several authorities that a ledger never got is missing, unless another
ledger has it that is named too. An anchor of a ledger that is missing here shows that a whole ledger is missing.

With --received the logs of sidecars are verified by what the ledger of their authority says of them: its key is all that is needed. For each
it prints how many records that ledger anchors, how many are here and how many are missing; a sidecar that was killed is LOST. A use of high
risk is in the ledger of the authority, and the log of the sidecar links to it: a record that is not what the sidecar sent is found.

  remit ledger verify --key @ledger.vkey --ledger /var/lib/remit/ledger --anchors /mnt/elsewhere/checkpoints.txt

exit codes: 0 whole, 2 sound but with a bare tail, with --anchors none of which covers a record that is here, or without any checkpoint of records that are here and that --quorum witnesses have cosigned, 3 broken or with missing records, 64 bad use or input that cannot be read`;

/** `remit ledger verify`. */
export const ledgerVerifyCommand: Command = { name: 'ledger verify', help, run: ledgerVerify };

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'isTerminal'>;

/** Runs `remit ledger verify`; the exit code is the answer. */
export async function ledgerVerify(args: readonly string[], io: Io): Promise<number> {
  const verified = await verify(args, io);
  if (isCommandRefusal(verified)) {
    refused(io, 'remit ledger verify', verified);
    return VERIFY_EXIT.bad;
  }
  const { verdicts, received, isJson } = verified;
  const missing = lostToAll(verdicts.map(({ verdict }) => (verdict.kind === 'sound' ? (verdict.relayed ?? []) : [])));
  const exit = missing.length > 0 ? VERIFY_EXIT.broken : exitOf([...verdicts, ...(received ?? [])]);
  if (isJson) io.out(printableJson({ exit, ledgers: verdicts, ...(received === null ? {} : { received }), missing }));
  else
    for (const line of [...verdictLines(verdicts), ...lostLines(missing), ...emitterLines(received ?? [])])
      io.out(line);
  return exit;
}

function exitOf(verdicts: readonly Pick<LedgerVerdict, 'verdict' | 'isAnchored' | 'witnessed'>[]): number {
  if (verdicts.some(({ verdict }) => verdict.kind === 'broken')) return VERIFY_EXIT.broken;
  const hasBareTail = verdicts.some(({ verdict }) => verdict.kind === 'sound' && verdict.bare !== null);
  const isUncovered = hasBareTail || verdicts.some(isUnanchored) || verdicts.some(isUnwitnessed);
  return isUncovered ? VERIFY_EXIT.bareTail : VERIFY_EXIT.whole;
}

interface Verified {
  readonly isJson: boolean;
  readonly verdicts: readonly LedgerVerdict[];
  /** `null` if they were not asked for. */
  readonly received: readonly EmitterVerdict[] | null;
}

async function verify(args: readonly string[], io: Io): Promise<Verified | CommandRefusal> {
  const own = {
    ledger: { type: 'string', multiple: true },
    key: { type: 'string', multiple: true },
    anchors: { type: 'string', multiple: true },
    jsonl: { type: 'string' },
    json: { type: 'boolean' },
  } as const;
  const options = optionsFrom(args, { ...ledgerOptions, ...receivedOptions, ...witnessOptions, ...own }, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const { jsonl, ledger: named = [], key = [], anchors: files = [], json: isJson = false, ...source } = options.values;
  if (jsonl !== undefined && (named.length > 0 || [source.config, source.state, source.received].some(isGiven)))
    return taskRefusal(
      '--jsonl takes the place of --ledger, --config, --state and --received: verify those by themselves',
    );
  const keys = await keysFrom(key);
  if (isCommandRefusal(keys)) return keys;
  // INVARIANT: anchors are read before the ledger, which may grow meanwhile, so that no anchor covers unread records.
  const outside = await anchorsFrom(files);
  if (isCommandRefusal(outside)) return outside;
  for (const notice of outside.notices) io.err(`remit ledger verify: ${notice}`);
  const unknown = outside.anchors.find(({ origin }) => keys.every(({ name }) => name !== origin));
  if (unknown !== undefined)
    return taskRefusal(`the anchors of \`${unknown.origin}\` cannot be verified: add its --key`);

  const witnesses = await witnessTrustFrom(source);
  if (isCommandRefusal(witnesses)) return witnesses;
  for (const notice of witnesses.notices) io.err(`remit ledger verify: ${notice}`);
  const trust = trustedOf(keys, outside.anchors, witnesses);
  const { anchors } = trust;
  const verdicts: LedgerVerdict[] = [];
  if (jsonl !== undefined) {
    const found = verdictOnExport(jsonl, trust);
    if (isCommandRefusal(found)) return found;
    verdicts.push(found);
  } else {
    const folder = named.length > 0 ? '' : await ledgerFolderOf(source, io);
    if (isCommandRefusal(folder)) return folder;
    for (const each of named.length > 0 ? named : [folder]) {
      const found = verdictOnFolder(each, trust, progressOf(io));
      if (isCommandRefusal(found)) return found;
      if (found !== null) verdicts.push(found);
      else if (anchors.size === 0) return taskRefusal(`no ledger in \`${each}\``);
    }
  }
  const sound = verdicts.flatMap(({ ledger, verdict }) =>
    ledger !== null && verdict.kind === 'sound' ? [ledger] : [],
  );
  const place = jsonl !== undefined || named.length > 0 ? source.received : await receivedFolderOf(source, io);
  if (isCommandRefusal(place)) return place;
  const received = place === undefined ? null : receivedVerdicts(place, sound);
  if (isCommandRefusal(received)) return received;
  const all = [...verdicts, ...lostLogs(verdicts, trust)]
    .map((found) => withAnchors(found, trust))
    .map((found) => withWitnesses(found, trust));
  return { isJson, verdicts: all, received };
}

const isGiven = (value: string | undefined): boolean => value !== undefined;

interface Trusted {
  readonly keys: readonly NoteKey[];
  /** By the origin of the log: those kept elsewhere, and those that witnesses have cosigned. */
  readonly anchors: ReadonlyMap<string, readonly NamedAnchor[]>;
  /** The origins of those kept elsewhere. */
  readonly anchored: ReadonlySet<string>;
  readonly witnesses: WitnessTrust;
}

function trustedOf(keys: readonly NoteKey[], outside: readonly NamedAnchor[], witnesses: WitnessTrust): Trusted {
  const kept = Map.groupBy(outside, ({ origin }) => origin);
  const anchors = new Map<string, readonly NamedAnchor[]>(kept);
  for (const { name } of keys) {
    const found = witnessedOf(witnesses, name);
    if (found !== null && !isProblem(found) && found.anchors.length > 0)
      anchors.set(name, [...(kept.get(name) ?? []), ...found.anchors]);
  }
  return { keys, anchors, anchored: new Set(kept.keys()), witnesses };
}

/** Adds whether the anchors that were named cover any record that is here. */
function withAnchors(found: LedgerVerdict, { anchored }: Trusted): LedgerVerdict {
  if (found.verdict.kind === 'broken' || !anchored.has(found.origin)) return found;
  const { anchored: covered, pruned, size } = found.verdict;
  return { ...found, isAnchored: covered !== null || size === pruned };
}

/** Adds what witnesses say of a ledger; a wrong cosignature breaks it. */
function withWitnesses(found: LedgerVerdict, { witnesses }: Trusted): LedgerVerdict {
  const said = witnessedOf(witnesses, found.origin);
  if (said === null || found.verdict.kind === 'broken') return found;
  if (isProblem(said)) return { ...found, verdict: broken('anchor', null, said.problem) };
  const { reach, size } = said;
  const { pruned } = found.verdict;
  // INVARIANT: in a sound ledger each head from the pruned size on was compared; the heads below it were not.
  const isCompared = size > 0 && size >= pruned;
  const following = coveredUpTo(found.verdict) - Math.max(size, pruned);
  return { ...found, witnessed: { reach, size, quorum: witnesses.quorum, isCompared, following } };
}

/** `null` if the folder contains no ledger. */
function verdictOnFolder(
  folder: string,
  { keys, anchors }: Trusted,
  onLeaf: (leaf: LedgerLeaf) => void,
): LedgerVerdict | CommandRefusal | null {
  const trustOf = (origin: string) => ({
    // The key of another log leads to a verdict that says so.
    key: keys.find(({ name }) => name === origin) ?? keys[0],
    anchors: anchors.get(origin) ?? [],
  });
  const found = folderVerdict(folder, trustOf, onLeaf);
  if (found === null) return null;
  return 'problem' in found ? taskRefusal(found.problem) : { ledger: folder, ...found };
}

function verdictOnExport(file: string, { keys, anchors }: Trusted): LedgerVerdict | CommandRefusal {
  const [key, other] = keys;
  if (key === undefined || other !== undefined)
    return taskRefusal('--jsonl needs exactly one --key: an export does not name its log');
  const verdict = storedExport(file, { key, anchors: anchors.get(key.name) ?? [] });
  return 'problem' in verdict && !('kind' in verdict)
    ? taskRefusal(verdict.problem)
    : { ledger: file, origin: key.name, verdict };
}

/** Ledgers that anchors cover but that were not found. */
const lostLogs = (verdicts: readonly LedgerVerdict[], { keys, anchors }: Trusted): readonly LedgerVerdict[] =>
  keys
    .filter(({ name }) => verdicts.every(({ origin }) => origin !== name))
    .flatMap((key) => {
      const kept = anchors.get(key.name) ?? [];
      if (kept.length === 0) return [];
      const opened = openedAnchors(kept, key);
      const size = 'kind' in opened ? null : (opened.at(-1)?.size ?? 0);
      const verdict =
        'kind' in opened ? opened : broken('log', null, `an anchor covers ${size} records, but the ledger is missing`);
      return [{ ledger: null, origin: key.name, verdict }];
    });

const PROGRESS_RECORDS = 10_000;
const PROGRESS_MS = 2_000;

/** Prints a line every two seconds on a terminal. */
function progressOf(io: Io): (leaf: LedgerLeaf) => void {
  if (io.isTerminal !== true) return () => undefined;
  let saidMs = systemPorts.monotonicMs();
  return ({ seq }) => {
    if (seq % PROGRESS_RECORDS !== 0 || systemPorts.monotonicMs() - saidMs < PROGRESS_MS) return;
    saidMs = systemPorts.monotonicMs();
    io.err(`remit ledger verify: ${seq} records`);
  };
}

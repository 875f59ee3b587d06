/** `remit learn`: write catalog, policies, intents and tests from recorded calls, for review. */
import { systemPorts } from '../core/runtime/ports.ts';
import { isProblem } from '../core/runtime/problem.ts';
import { printable } from '../core/ledger/timeline-text.ts';
import { learn } from '../tools/learn/learn.ts';
import type { Learnt } from '../tools/learn/learn.ts';
import { learnMarkdown } from '../tools/learn/learn-markdown.ts';
import { learnReport } from '../tools/learn/learn-report.ts';
import { readDescriptions } from '../tools/learn/descriptions/read-descriptions.ts';
import type { ReadDescriptions } from '../tools/learn/descriptions/read-descriptions.ts';
import { boundsOf, bothSpans, ledgerBounds, ledgerSource, receivedSource } from '../tools/learn/record-window.ts';
import type { RecordSource, Span } from '../tools/learn/record-window.ts';
import { folderPatch } from '../tools/learn/folder-patch.ts';
import { filesToWrite, writeLearntFolder } from '../tools/learn/write-folder.ts';
import { copiedFiles, KnownSet } from '../tools/learn/beside/known-set.ts';
import { suiteTexts } from '../tools/policy/cases/suite-source.ts';
import { policySetAt } from './policy/policy-operand.ts';
import { EXIT, refused } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { LEDGER_HELP, ledgerFolderOf, ledgerOptions, withLedger } from './ledger/ledger-source.ts';
import { RECEIVED_HELP, receivedOf, receivedOptions } from './ledger/received-source.ts';
import { optionsFrom } from './options.ts';
import { instantFrom, INSTANT_RULE, withInstants } from './task/instant.ts';
import { isCommandRefusal, taskRefusal } from './task/task-source.ts';
import type { CommandRefusal } from './task/task-source.ts';

const DEFAULT_SINCE = '14d';
const MAX_PATTERNS = 64;

const help = `remit learn: write catalog, policies, intents and tests from recorded calls, for review

usage: remit learn --out DIR | --patch [--since TIME] [--until TIME] [--agents PATTERN]... [OPTION ...]

  --out DIR           where to write; it is made if it is missing. No file is overwritten
  --patch             print a patch that makes these files instead, as \`git apply\` takes it in an empty folder: for records that
                      are elsewhere, such as in the pod of an authority
  --since TIME        start, inclusive: 2026-01-02T03:04:05Z, 2026-01-02, or 14d for fourteen days ago (s, m, h, d);
                      default ${DEFAULT_SINCE}
  --until TIME        end, exclusive; default now
  --agents PATTERN    learn from the calls of these agents alone, repeatable: a SPIFFE ID in which \`*\` stands for any
                      characters and \`?\` for one
  --openapi FILE      an OpenAPI 3 document, or \`HOST=FILE\` if it names no host; repeatable
  --tools FILE        the answer of an MCP server to \`tools/list\`, JSON; repeatable
  --proto FILE        a .proto file, repeatable; one of them may be a descriptor set, which also has the arguments
  --policies FOLDER   learn beside a policy folder: what its catalog has is not learnt anew, and what its policies permit gets
                      no further permit. DIR gets all of its files, with what was learnt added
${LEDGER_HELP}
${RECEIVED_HELP}
  --json              print the report as one object: from, to, judgedFrom, read, judged, toDecide, alone, widened, groups,
                      servers, refusedServers, agents, files

Writes a policy folder of what was seen: \`actions.yaml\`, groups of agents that do alike, permits by group, an intent for each
agent with half as many calls again as it ever made, test cases, and \`report.md\`, which takes five minutes to read. Each line
says how often it was seen, first and last. A permit is never wider than what was seen, except for a parameter of a path whose
kind is stated. What was seen fewer than three times, is of high risk, or has a parameter of unknown or guessed kind is a
comment that begins with \`decide:\`: it is denied until a person takes these words away.

What a description has wins over guesses: path, arguments, risk. Only what was called is written.

The last fifth of the time is not learnt but judged by what was written. Records are read beside a running \`remit serve\`, and
not verified; gaps and records that cannot be parsed are counted and said.

  remit learn --out learnt
  remit learn --since 14d --agents 'spiffe://acme.test/ns/legacy/*' --out learnt --received /var/lib/remit/received
  kubectl -n remit exec remit-authority-0 -- remit learn --patch | git apply

exit codes: 0 written, 1 nothing to learn from, 2 bad use, a file that exists, or a ledger that cannot be read`;

/** `remit learn`. */
export const learnCommand: Command = { name: 'learn', help, run: runLearn };

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

const NAME = 'remit learn';

const OPTIONS = {
  ...ledgerOptions,
  ...receivedOptions,
  out: { type: 'string' },
  patch: { type: 'boolean', default: false },
  since: { type: 'string', default: DEFAULT_SINCE },
  until: { type: 'string' },
  agents: { type: 'string', multiple: true },
  openapi: { type: 'string', multiple: true },
  tools: { type: 'string', multiple: true },
  proto: { type: 'string', multiple: true },
  policies: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

/** Runs `remit learn`; the exit code is the answer. */
export async function runLearn(args: readonly string[], io: Io): Promise<number> {
  const problem = await learnt(args, io);
  io.progress?.('');
  return problem === null ? EXIT.good : refused(io, NAME, problem);
}

async function learnt(args: readonly string[], io: Io): Promise<CommandRefusal | null> {
  const options = optionsFrom(withInstants(args, ['--since', '--until']), OPTIONS, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const {
    out,
    patch,
    since,
    until,
    agents = [],
    openapi = [],
    tools = [],
    proto = [],
    policies,
    json,
  } = options.values;
  if ((out === undefined) !== patch)
    return taskRefusal('one of --out, the folder to write, and --patch, for standard output, is required');
  if (patch && json) return taskRefusal('--patch and --json both write to standard output: leave one of them away');
  if (agents.length > MAX_PATTERNS) return taskRefusal(`--agents can be given at most ${MAX_PATTERNS} times`);
  const asked = spanFrom({ since, until });
  if (isCommandRefusal(asked)) return asked;
  const folder = await ledgerFolderOf(options.values, io);
  if (isCommandRefusal(folder)) return folder;
  const received = await receivedOf(options.values, io);
  if (isCommandRefusal(received)) return received;
  const read = await readDescriptions({ openapi, tools, proto });
  if (isProblem(read)) return taskRefusal(read.problem);
  const beside = policies === undefined ? null : await knownSetAt(policies);
  if (isCommandRefusal(beside)) return beside;
  return withLedger<null>(folder, async (log) => {
    const others = [...received.values()].map(receivedSource);
    const sources: readonly RecordSource[] = [ledgerSource(log), ...others];
    const span = bothSpans(ledgerBounds(log, asked), boundsOf(others, asked));
    if (span === null) return taskRefusal('no call was recorded in that time', EXIT.no);
    const made = await learn({
      sources,
      span,
      agents,
      ...read,
      beside,
      onProgress: progressOf(io),
    });
    if (isProblem(made)) return taskRefusal(made.problem, EXIT.no);
    return write(made, { out, isJson: json, io, read, beside });
  });
}

/** The existing policy folder that learning adds to. */
async function knownSetAt(folder: string): Promise<KnownSet | CommandRefusal> {
  const set = await policySetAt(folder, undefined);
  return isCommandRefusal(set) ? set : new KnownSet(set, await suiteTexts(folder));
}

function spanFrom({
  since,
  until,
}: {
  readonly since: string;
  readonly until: string | undefined;
}): Span | CommandRefusal {
  const nowMs = systemPorts.nowMs();
  const fromMs = instantFrom(since, nowMs);
  const toMs = until === undefined ? nowMs : instantFrom(until, nowMs);
  if (fromMs === null) return taskRefusal(`--since must be ${INSTANT_RULE}`);
  if (toMs === null) return taskRefusal(`--until must be ${INSTANT_RULE}`);
  return toMs > fromMs ? { fromMs, toMs } : taskRefusal('--until must be after --since');
}

const PROGRESS_EVERY = 10_000;

const progressOf =
  ({ progress }: Io) =>
  (what: string, records: number): void => {
    if (records % PROGRESS_EVERY === 0) progress?.(`${what} record ${records}`);
  };

interface Written {
  /** The folder to write; `undefined` for a patch on standard output. */
  readonly out: string | undefined;
  readonly isJson: boolean;
  readonly io: Io;
  readonly read: ReadDescriptions;
  readonly beside: KnownSet | null;
}

async function write(
  made: Learnt,
  { out, isJson, io, read: { descriptorFiles }, beside }: Written,
): Promise<CommandRefusal | null> {
  const report = learnReport(made);
  const files = new Map<string, string | Uint8Array>([
    ...made.folder.files,
    ...([...made.folder.accepted.files.values()].some((text) => text.includes('descriptorSet:'))
      ? descriptorFiles
      : []),
    ['report.md', learnMarkdown(report)],
    ['report.json', `${JSON.stringify(report, null, 2)}\n`],
  ]);
  const copied = beside === null ? undefined : copiedFiles(beside, new Set(files.keys()));
  const all = filesToWrite(files, copied);
  if (isProblem(all)) return taskRefusal(all.problem);
  const written = out === undefined ? folderPatch(all) : await writeLearntFolder(out, all);
  if (isProblem(written)) return taskRefusal(written.problem);
  io.progress?.('');
  if (isJson) {
    io.out(JSON.stringify({ ...report, files: [...files.keys()] }));
    return null;
  }
  // A patch has standard output for itself.
  const say = written === null ? io.out : io.err;
  if (written !== null) io.out(written);
  const { judged, read, toDecide } = report;
  say(printable(`wrote ${files.size} files ${out === undefined ? 'as a patch' : `to ${out}`}: read report.md first`));
  say(`learnt from ${read.learnt} calls of ${report.agents.length} agents at ${report.servers.length} servers`);
  say(`to decide: ${toDecide.length}`);
  say(`judged: of ${judged.calls} calls ${judged.allowed} would be allowed`);
  if (read.missing > 0) io.err(`${NAME}: ${read.missing} records are missing between others`);
  if (read.foreign > 0) io.err(`${NAME}: ${read.foreign} records could not be parsed`);
  return null;
}

/** `remit ledger evidence`: report what the ledger shows for the controls of a framework. */
import { printableJson } from '../../core/ledger/printable-json.ts';
import { accountName } from '../../core/runtime/system/account-name.ts';
import type { LedgerPlace } from '../../tools/evidence/counted.ts';
import { assuranceOf } from '../../tools/evidence/assurance.ts';
import { anchorsSeen, headOf, sampledIn } from '../../tools/evidence/ledger-reading.ts';
import { OpenPermits } from '../../tools/evidence/open-permits.ts';
import { PolicyLoadsSeen, policySetsIn } from '../../tools/evidence/policy-sets.ts';
import { frameworks } from '../../tools/evidence/frameworks.ts';
import type { Framework } from '../../tools/evidence/framework.ts';
import { htmlFrom } from '../../tools/evidence/document/html.ts';
import { markdownFrom } from '../../tools/evidence/document/markdown.ts';
import { documentOf } from '../../tools/evidence/document/report-document.ts';
import { SetTexts } from '../../tools/evidence/set-texts.ts';
import type { PolicySource } from '../../core/policy/loading/source.ts';
import { oscalOf } from '../../tools/evidence/oscal.ts';
import {
  classesOf,
  controlsOf,
  type EvidenceReport,
  REPORT_LIMITS,
  namedOf,
  oversightOf,
} from '../../tools/evidence/report.ts';
import { tally, type Tally } from '../../tools/evidence/tally.ts';
import type { LedgerLeaf } from '../../core/ledger/proof/leaf.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { folderVerdict } from '../../core/ledger/log/folder-verdict.ts';
import type { FolderVerdict } from '../../core/ledger/log/folder-verdict.ts';
import { coveredUpTo } from '../../core/ledger/proof/verdict.ts';
import type { ReceivedLog } from '../../authority/records/received-logs.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { resultsIn } from './evidence-results.ts';
import { judgedIn, type JudgedPeriod, type ResultOptions } from './evidence-sets.ts';
import { sourcesIn } from './policy-folders.ts';
import { fileSink, streamSink, writtenTo } from './export-sink.ts';
import { INSTANT_RULE, instantFrom, withInstants } from '../task/instant.ts';
import { LEDGER_HELP, ledgerFolderOf, ledgerOptions, withLedger } from './ledger-source.ts';
import { anchorsFrom, KEY_HELP, keysFrom } from './ledger-trust.ts';
import { optionsFrom } from '../options.ts';
import { countedIn, receivedEvidence } from './received-evidence.ts';
import type { ReceivedEvidence } from './received-evidence.ts';
import { RECEIVED_HELP, receivedFolderOf, receivedOptions } from './received-source.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';

const NAME = 'remit ledger evidence';
const MAX_SAMPLE = 20;
const DEFAULT_SAMPLE = '2';

const help = `remit ledger evidence: report what the ledger shows for the controls of a framework

usage: remit ledger evidence --framework NAME --from TIME [--to TIME] --key VKEY|@FILE [OPTION ...]

  --framework NAME    ${[...frameworks.keys()].join(', ')}
  --from TIME         start, inclusive: 2026-01-02T03:04:05Z, 2026-01-02, or -30d for thirty days ago (s, m, h, d)
  --to TIME           end, exclusive; default now
${KEY_HELP}
  --anchors FILE      checkpoints kept elsewhere, as for \`remit ledger verify\`. Repeatable
${LEDGER_HELP}
                      Repeatable: the first is reported, the others are those of other authorities of the same sidecars
${RECEIVED_HELP}
  --policies FOLDER   a policy folder, whose text is used if a set of the period has its very hash: for the sets of sidecars, which are not
                      kept beside the ledger of their authority, and for the teams of \`owners.yaml\`. Repeatable
  --result FILE       what \`remit policy analyze SET --spec FILE --json\` or \`remit policy test --mutate --json\` printed; it is claimed for a
                      set of the period with the very hash that it names, and for no other. Repeatable
  --spec FILE         hold each set of the period to these invariants now, as \`remit policy analyze --spec\` does; --engine FOLDER as there
  --format FORMAT     markdown (default): for people; html: the same as a page that prints, without scripts and anything from elsewhere;
                      json: everything found; oscal: OSCAL assessment results
  --sample N          records drawn at random for each class of evidence, 0 to ${MAX_SAMPLE}; default ${DEFAULT_SAMPLE}
  --seed TEXT         the seed of the sample, which makes it reproducible; default the root of the ledger's head
  --out FILE          write a new file, mode 0600; default standard output

Verifies the whole ledger, and counts the records of the period as they are verified: none after the first wrong one, and none after the last checkpoint or anchor. For each
control it says what was enforced and how often, the exceptions, the first and the last record, and what the evidence does not show; then the policy sets with their texts
and who put them in force, who acted, sums of recorded arguments, and drawn records with their proofs. It provides evidence for
controls and states no conformity.

With --received the logs of sidecars are verified by what the ledger says of them, and what its authority kept of the sound ones is counted too:
the key of the ledger is all that is needed. Where several authorities share the sidecars, report on each, and name the ledgers of all.

  remit ledger evidence --framework csf-2.0 --from 2026-01-01 --to 2026-04-01 --key @ledger.vkey --anchors anchors.txt --out q1.md

exit codes: 0 success, 1 the ledger or a log of a sidecar is broken, as the head of the report says, 2 bad use or input that cannot be read`;

/** `remit ledger evidence`. */
export const ledgerEvidenceCommand: Command = { name: 'ledger evidence', help, run: ledgerEvidence };

type Io = Pick<CommandIo, 'err' | 'stdout' | 'environment' | 'progress'>;

/** Runs `remit ledger evidence`; the exit code is the answer. */
export async function ledgerEvidence(args: readonly string[], io: Io): Promise<number> {
  const asked = await askedBy(args, io);
  if (isCommandRefusal(asked)) return refused(io, NAME, asked);
  const report = await reportOn(asked, io);
  if (isCommandRefusal(report)) return refused(io, NAME, report);
  const sink = asked.out === undefined ? streamSink(io.stdout) : fileSink(asked.out);
  if (isCommandRefusal(sink)) return refused(io, NAME, sink);
  const problem = await writtenTo(sink, [formats[asked.format](report)]);
  if (problem !== null) return refused(io, NAME, taskRefusal(problem, EXIT.no));
  const verdicts = [report.ledger, ...(report.received ?? [])];
  return verdicts.some(({ verdict }) => verdict.kind === 'broken') ? EXIT.no : EXIT.good;
}

const formats = {
  markdown: (report: EvidenceReport) => markdownFrom(documentOf(report)),
  html: (report: EvidenceReport) => htmlFrom(documentOf(report)),
  json: (report: EvidenceReport) => `${printableJson(report, 2)}\n`,
  oscal: (report: EvidenceReport) => `${printableJson(oscalOf(report), 2)}\n`,
} as const;

const isFormat = (text: string): text is keyof typeof formats => Object.hasOwn(formats, text);

interface EvidenceOptions extends ResultOptions {
  readonly framework: Framework;
  readonly fromMs: number;
  readonly format: keyof typeof formats;
  readonly size: number;
  readonly seed: string | undefined;
  readonly out: string | undefined;
  readonly folder: string;
  /** Ledgers of other authorities. */
  readonly others: readonly string[];
  /** The content of policy folders, for sets whose texts are not kept beside the ledger, and for owners. */
  readonly policies: readonly PolicySource[];
  /** The folder of the records of sidecars. */
  readonly received: string | undefined;
  readonly keys: Exclude<Awaited<ReturnType<typeof keysFrom>>, CommandRefusal>;
  readonly anchors: Exclude<Awaited<ReturnType<typeof anchorsFrom>>, CommandRefusal>['anchors'];
}

async function askedBy(args: readonly string[], io: Io): Promise<EvidenceOptions | CommandRefusal> {
  const own = {
    ledger: { type: 'string', multiple: true },
    framework: { type: 'string' },
    from: { type: 'string' },
    to: { type: 'string' },
    key: { type: 'string', multiple: true },
    anchors: { type: 'string', multiple: true },
    format: { type: 'string' },
    sample: { type: 'string' },
    seed: { type: 'string' },
    out: { type: 'string' },
    policies: { type: 'string', multiple: true },
    result: { type: 'string', multiple: true },
    spec: { type: 'string' },
    engine: { type: 'string' },
  } as const;
  const options = optionsFrom(
    withInstants(args, ['--from', '--to']),
    { ...ledgerOptions, ...receivedOptions, ...own },
    0,
  );
  if (typeof options === 'string') return taskRefusal(options);
  const { framework: name = '', from, to, format = 'markdown', sample = DEFAULT_SAMPLE, seed, out } = options.values;
  const framework = frameworks.get(name);
  if (framework === undefined) return taskRefusal(`--framework must be one of ${[...frameworks.keys()].join(', ')}`);
  if (!isFormat(format)) return taskRefusal(`--format must be one of ${Object.keys(formats).join(', ')}`);
  const nowMs = systemPorts.nowMs();
  const fromMs = from === undefined ? null : instantFrom(from, nowMs);
  if (fromMs === null) return taskRefusal(`--from must be ${INSTANT_RULE}`);
  const toMs = to === undefined ? nowMs : instantFrom(to, nowMs);
  if (toMs === null) return taskRefusal(`--to must be ${INSTANT_RULE}`);
  if (toMs <= fromMs) return taskRefusal('--to must be after --from');
  if (!/^\d{1,2}$/.test(sample) || Number(sample) > MAX_SAMPLE) {
    return taskRefusal(`--sample must be a whole number from 0 to ${MAX_SAMPLE}`);
  }
  if (seed !== undefined && (seed === '' || seed.length > 256))
    return taskRefusal('--seed must have 1 to 256 characters');
  const { spec, engine } = options.values;
  if (engine !== undefined && spec === undefined) return taskRefusal('--engine goes with --spec');
  const keys = await keysFrom(options.values.key ?? []);
  if (isCommandRefusal(keys)) return keys;
  // INVARIANT: anchors are read before the ledger, which may grow meanwhile.
  const outside = await anchorsFrom(options.values.anchors ?? []);
  if (isCommandRefusal(outside)) return outside;
  for (const notice of outside.notices) io.err(`${NAME}: ${notice}`);
  const { ledger: [named, ...others] = [], config, state, received: place } = options.values;
  const source = { ledger: named, config, state, received: place };
  const folder = await ledgerFolderOf(source, io);
  if (isCommandRefusal(folder)) return folder;
  const received = await receivedFolderOf(source, io);
  if (isCommandRefusal(received)) return received;
  const policies = await sourcesIn(options.values.policies ?? []);
  if (isCommandRefusal(policies)) return policies;
  const results = await resultsIn(options.values.result ?? []);
  if (isCommandRefusal(results)) return results;
  const size = Number(sample);
  const { anchors } = outside;
  const about = { framework, fromMs, toMs, format, size, seed, out, results, spec, engine };
  return { ...about, folder, others, received, policies, keys, anchors };
}

const PROGRESS_RECORDS = 10_000;

async function reportOn(asked: EvidenceOptions, io: Io): Promise<EvidenceReport | CommandRefusal> {
  const { folder, others } = asked;
  const showProgress = (seq: number): void =>
    void (seq % PROGRESS_RECORDS === 0 && io.progress?.(`verified record ${seq}`));
  const before = await withLedger(folder, async (log) => ({ head: headOf(log), origin: log.origin }));
  if (isCommandRefusal(before)) return before;
  const { head, origin } = before;
  const seed = { text: asked.seed ?? head?.root ?? origin, isGiven: asked.seed !== undefined };
  const texts = new SetTexts([folder], asked.policies);
  const counting = tally({ seed: seed.text, perClass: asked.size, openPermits: new OpenPermits(texts) });
  const loads = new PolicyLoadsSeen(asked.toMs);
  // INVARIANT: only verified records are counted: each is counted in the pass that verifies its log, by its own instant.
  // INVARIANT: in a sound ledger every head is valid, so the largest covers each record up to it. Anybody may have appended more.
  const coveredTo = Math.max(head?.size ?? 0, anchorsSeen(asked.anchors, asked.keys, origin).at(-1)?.size ?? 0);
  let hasBefore = false;
  let leftOut = 0;
  const found = verdictIn(folder, asked, ({ seq, record }) => {
    showProgress(seq);
    const place = { log: null, seq, at: record['at'] };
    if (!isPlaced(place)) return;
    const isOfPeriod = place.at >= asked.fromMs && place.at < asked.toMs;
    if (seq > coveredTo) {
      leftOut += Number(isOfPeriod);
      return;
    }
    hasBefore ||= place.at < asked.fromMs;
    loads.see(place, record);
    if (isOfPeriod) counting.add(place, record);
  });
  if (isCommandRefusal(found)) return found;
  const vouching = new Map<string, number>();
  if (found.verdict.kind === 'sound') vouching.set(folder, coveredUpTo(found.verdict));
  if ((vouching.get(folder) ?? coveredTo) < coveredTo)
    return taskRefusal(`the ledger \`${folder}\` was changed while it was read: run this again`, EXIT.no);
  for (const other of others) {
    const verified = verdictIn(other, asked, ({ seq }) => showProgress(seq));
    if (isCommandRefusal(verified)) return verified;
    if (verified.verdict.kind === 'broken')
      return taskRefusal(`the ledger \`${other}\` is broken: run \`remit ledger verify\``, EXIT.no);
    vouching.set(other, coveredUpTo(verified.verdict));
  }
  const received = asked.received === undefined ? null : receivedEvidence(asked.received, folder, vouching);
  if (isCommandRefusal(received)) return received;
  for (const { place, record } of received === null ? [] : countedIn(received)) {
    loads.see(place, record);
    if (place.at >= asked.fromMs && place.at < asked.toMs) counting.add(place, record);
  }
  const counts = counting.found();
  const sets = policySetsIn({ counts, loads, fromMs: asked.fromMs }, (hash) => texts.of(hash));
  const judged = await judgedIn(sets, counts, { asked, texts, io });
  if (isCommandRefusal(judged)) return judged;
  const missing = missingIn(found.verdict, { hasBefore, received, counts });
  const seen = { ...found, leftOut, received, head, seed, counts, missing, ...judged };
  const report = await withLedger(folder, (log) => readingOf(log, asked, seen));
  io.progress?.('');
  return report;
}

/** Which records of the period may be missing, in words. */
function missingIn(
  verdict: FolderVerdict['verdict'],
  {
    hasBefore,
    received,
    counts,
  }: { readonly hasBefore: boolean; readonly received: ReceivedEvidence | null; readonly counts: Tally },
): readonly string[] {
  const short = (received?.seen ?? []).filter(({ state, missing, pruned }) => state === 'lost' || missing + pruned > 0);
  return [
    ...(verdict.kind === 'sound' && verdict.pruned > 0 && !hasBefore
      ? [`the retention deleted ${verdict.pruned} records of the ledger, perhaps some of the period`]
      : []),
    ...(short.length === 0 ? [] : [`records of ${short.length} logs of sidecars are missing, deleted or lost`]),
    ...(counts.gaps.count === 0 ? [] : [`${counts.gaps.count} records say that records of a database are missing`]),
  ];
}

const isPlaced = (place: Omit<LedgerPlace, 'at'> & { readonly at: unknown }): place is LedgerPlace =>
  typeof place.at === 'number';

function verdictIn(
  folder: string,
  { keys, anchors }: Pick<EvidenceOptions, 'keys' | 'anchors'>,
  onLeaf: (leaf: LedgerLeaf) => void,
): FolderVerdict | CommandRefusal {
  const trustOf = (origin: string) => ({
    key: keys.find(({ name }) => name === origin) ?? keys[0],
    anchors: anchors.filter((anchor) => anchor.origin === origin),
  });
  const found = folderVerdict(folder, trustOf, onLeaf);
  if (found === null) return taskRefusal(`no ledger in \`${folder}\``);
  return isProblem(found) ? taskRefusal(found.problem) : found;
}

interface Seen
  extends
    Pick<EvidenceReport['ledger'], 'origin' | 'verdict' | 'head' | 'leftOut'>,
    Pick<EvidenceReport, 'seed'>,
    JudgedPeriod {
  readonly received: ReceivedEvidence | null;
  readonly counts: Tally;
  readonly missing: readonly string[];
}

async function readingOf(
  log: LogReader,
  asked: EvidenceOptions,
  { origin, verdict, leftOut, received, head, seed, counts, missing, judged, results, policySets, exceptions }: Seen,
): Promise<EvidenceReport> {
  const { framework, fromMs, toMs, folder, keys } = asked;
  const { id, title, version, source, date } = framework;
  const logs = received?.logs ?? new Map<string, ReceivedLog>();
  return {
    framework: { id, title, version, source, date },
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    madeAt: new Date(systemPorts.nowMs()).toISOString(),
    madeBy: `account ${accountName()}`,
    ledger: {
      folder,
      origin,
      verdict,
      leftOut,
      anchors: anchorsSeen(asked.anchors, keys, origin),
      head,
      keyId: keys.find(({ name }) => name === origin)?.name ?? 'of another ledger',
    },
    received: received?.seen ?? null,
    records: counts.records,
    observed: counts.observed,
    classes: classesOf(counts),
    controls: controlsOf(framework, counts, {
      verdicts: [verdict, ...(received?.seen ?? []).map((log) => log.verdict)],
      missing,
      sets: judged,
      results,
      assurance: assuranceOf(policySets),
    }),
    policySets,
    oversight: oversightOf(counts),
    heldExceptions: exceptions,
    actors: namedOf(counts.actors),
    agents: namedOf(counts.agents),
    actions: namedOf(counts.actions),
    args: counts.args,
    uses: counts.uses,
    seed,
    sample: sampledIn(log, counts, logs),
    limits: REPORT_LIMITS,
  };
}

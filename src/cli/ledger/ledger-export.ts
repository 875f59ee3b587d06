/** `remit ledger export`: export records as JSON Lines or OTLP logs, to a file or a collector. */
import { setTimeout as sleep } from 'node:timers/promises';
import { systemPorts } from '../../core/runtime/ports.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import type { RecordFilter } from '../../core/ledger/log/segment/record-filter.ts';
import { otlpLogsRequest } from '../../core/telemetry/ledger-logs.ts';
import { otlpHeaders, postOtlp } from '../../core/telemetry/spans/otlp-post.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { fileSink, streamSink, writtenTo } from './export-sink.ts';
import {
  FILTER_HELP,
  filterFrom,
  filterOptions,
  filterWords,
  LEDGER_HELP,
  ledgerFolderOf,
  ledgerOptions,
  withLedger,
} from './ledger-source.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';

const help = `remit ledger export: export the records for other systems

usage: remit ledger export [--format jsonl|otlp|notes] [--out FILE] [OPTION ...]
       remit ledger export --to URL [OPTION ...]

  --format FORMAT     jsonl (default): one line for each record, the exact bytes that are hashed
                      otlp: OTLP log records in JSON, one request of up to 512 records a line, as in a collector's file
                      notes: the signed checkpoints, in the form of the file \`ledger.checkpoints\`; takes no filter
  --out FILE          write a new file, mode 0600; default standard output
  --to URL            post OTLP log records to a collector, such as http://127.0.0.1:4318; headers from OTEL_EXPORTER_OTLP_HEADERS
  --from N            begin at this record number, to continue where a post ended
${LEDGER_HELP}
${FILTER_HELP}

Records come oldest first. A jsonl export of a ledger that still has all of its records can be verified off-line with
\`remit ledger verify --jsonl FILE\` and the notes. Log records carry the attributes of spans (remit.task.id, remit.agent …), the
trace and span of the record, and the severity WARN for denials and findings, else INFO; their body is the record as hashed.
A busy collector is retried five times, with back-off.

  remit ledger export --out ledger.jsonl
  remit ledger export --since -1d --decision deny --to http://127.0.0.1:4318

exit codes: 0 everything was written or accepted, 1 it was not, 2 bad use or a ledger that cannot be read`;

/** `remit ledger export`. */
export const ledgerExportCommand: Command = { name: 'ledger export', help, run: ledgerExport };

type Io = Pick<CommandIo, 'err' | 'stdout' | 'environment'>;

/** Runs `remit ledger export`; the exit code is the answer. */
export async function ledgerExport(args: readonly string[], io: Io): Promise<number> {
  const problem = await exported(args, io);
  if (problem === null) return EXIT.good;
  return refused(io, 'remit ledger export', problem);
}

const formats = ['jsonl', 'otlp', 'notes'] as const;

/** The options that go with `--format notes`: no filter of records. */
const OF_NOTES: ReadonlySet<string> = new Set([...Object.keys(ledgerOptions), 'format', 'out']);

async function exported(args: readonly string[], io: Io): Promise<CommandRefusal | null> {
  const own = {
    format: { type: 'string' },
    out: { type: 'string' },
    to: { type: 'string' },
    from: { type: 'string' },
  } as const;
  const options = optionsFrom(filterWords(args), { ...ledgerOptions, ...filterOptions, ...own }, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const { to, out, from = '1' } = options.values;
  const asked = options.values.format ?? (to === undefined ? 'jsonl' : 'otlp');
  const format = formats.find((known) => known === asked);
  if (format === undefined) return taskRefusal(`--format must be one of ${formats.join(', ')}`);
  if (to !== undefined && (format !== 'otlp' || out !== undefined)) {
    return taskRefusal('--to posts OTLP log records: it takes neither --out nor another --format');
  }
  const filtered = format === 'notes' ? Object.keys(options.values).find((name) => !OF_NOTES.has(name)) : undefined;
  if (filtered !== undefined) return taskRefusal(`--format notes exports all checkpoints: it takes no --${filtered}`);
  if (!/^[1-9]\d{0,15}$/.test(from)) return taskRefusal('--from must be the number of a record');
  const filter = filterFrom(options.values, systemPorts.nowMs());
  if (isCommandRefusal(filter)) return filter;
  const url = to === undefined ? null : collectorUrl(to);
  if (to !== undefined && url === null)
    return taskRefusal('--to must be an http or https URL without user and password');
  const folder = await ledgerFolderOf(options.values, io);
  if (isCommandRefusal(folder)) return folder;
  return withLedger<null>(folder, async (log) => {
    const records = { ...filter, fromSeq: Number(from) };
    if (url !== null) return posted(log, records, { url, io });
    const sink = out === undefined ? streamSink(io.stdout) : fileSink(out);
    if (isCommandRefusal(sink)) return sink;
    const problem = await writtenTo(sink, textsOf(log, { format, filter: records }));
    return problem === null ? null : taskRefusal(problem, EXIT.no);
  });
}

/** The endpoint of a collector; the default path is added if the URL has none. */
function collectorUrl(text: string): URL | null {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '')
    return null;
  if (url.pathname === '/') url.pathname = '/v1/logs';
  return url;
}

interface Batch {
  readonly text: string;
  /** Number of its first record. */
  readonly first: number;
  readonly count: number;
}

const MAX_BATCH = 512;
/** A batch is full at this many bytes of leaves: collectors refuse requests of a few MiB. */
const MAX_BATCH_BYTES = 1024 ** 2;

function* batchesOf(log: LogReader, filter: RecordFilter): Generator<Batch> {
  let leaves: { readonly seq: number; readonly bytes: Uint8Array }[] = [];
  let bytes = 0;
  const batch = (): Batch => ({
    text: otlpLogsRequest(leaves, log.origin),
    first: leaves[0]?.seq ?? 0,
    count: leaves.length,
  });
  for (const leaf of log.found(filter, { isNewestFirst: false })) {
    if (leaves.length === MAX_BATCH || (leaves.length > 0 && bytes + leaf.bytes.length > MAX_BATCH_BYTES)) {
      yield batch();
      leaves = [];
      bytes = 0;
    }
    leaves.push(leaf);
    bytes += leaf.bytes.length;
  }
  if (leaves.length > 0) yield batch();
}

function* textsOf(
  log: LogReader,
  { format, filter }: { readonly format: (typeof formats)[number]; readonly filter: RecordFilter },
): Generator<string> {
  if (format === 'notes') {
    for (const { note } of log.checkpoints()) yield `${note}\n`;
  } else if (format === 'otlp') {
    for (const { text } of batchesOf(log, filter)) yield `${text}\n`;
  } else {
    for (const { bytes } of log.found(filter, { isNewestFirst: false }))
      yield `${Buffer.from(bytes).toString('utf8')}\n`;
  }
}

async function posted(
  log: LogReader,
  filter: RecordFilter,
  { url, io }: { readonly url: URL; readonly io: Io },
): Promise<CommandRefusal | null> {
  const options = { url, headers: otlpHeaders(io.environment), sleep: (ms: number) => sleep(ms) };
  let taken = 0;
  for (const { text, first, count } of batchesOf(log, filter)) {
    const result = await postOtlp(text, options);
    if (result.kind === 'refused') {
      const rest = `it accepted ${taken} records; continue with --from ${first}`;
      return taskRefusal(`the collector \`${url.origin}\` rejected the records: ${result.detail}; ${rest}`, EXIT.no);
    }
    taken += count;
  }
  io.err(`remit ledger export: the collector accepted ${taken} records`);
  return null;
}

/** `remit trace`: show the next matching check stage by stage. */
import { FILTER_NAMES } from '../../sidecar/check/trace/trace-filter.ts';
import type { TracedCheck } from '../../sidecar/check/trace/traced-check.ts';
import { configuredAdmin } from '../../tools/doctor/collect/remit.ts';
import { DURATION_RULE, secondsFrom } from '../../agent/run/duration.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import { failureCode } from '../../core/runtime/system/http-exchange.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { DEFAULT_ADMIN } from '../admin-answer.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { jsonLines } from '../json-lines.ts';
import { optionsFrom } from '../options.ts';
import { fire, markedCall } from './trace-call.ts';
import type { CallToFire } from './trace-call.ts';
import { tracedCheckLine } from './traced-check-line.ts';
import { traceLines } from './trace-text.ts';
import { beginTrace } from './trace-wait.ts';
import type { TraceAnswer } from './trace-wait.ts';

const help = `remit trace: show the next matching check stage by stage, as a running Remit decides it

usage: remit trace [--admin ADDRESS | --config FILE] [filters] [--timeout DURATION] [--count N] [--json]
       remit trace [...] --url URL
       remit trace [...] -- COMMAND [ARGUMENT ...]
       remit trace --file FILE

  --admin ADDRESS    the admin address of a running Remit: \`http://127.0.0.1:PORT\`, or \`unix:/path\` for \`admin.socket\`;
                     default that of the configuration, else \`${DEFAULT_ADMIN}\`
  --config FILE      the configuration; default \`/etc/remit/remit.yaml\`, if it exists
  --agent SPIFFE-ID, --task ID, --action ID, --host NAME, --path PATH, --decision allow|deny, --reason CODE, --trace ID
                     which checks: all that are given must match; a value that ends in \`*\` matches what begins so
  --timeout DURATION how long to wait; default 30s, at most 10m
  --count N          how many checks; default 1, at most 100
  --url URL          fire a GET once Remit waits, and show its check alone
  -- COMMAND ...     fire a command once Remit waits; the check of \`curl\` alone is shown, by a \`traceparent\` header; its output
                     goes to the error output
  --json             one line of JSON for each check: decisionId, traceId, atMs, decision, reason, totalMs and stages, each {name,
                     result, ms, details}
  --file FILE        show what \`--json\` has printed, without asking a Remit

Stages: asked (what Envoy sent), identity, token, task, action, policy, answer; each with its input, its result and its time. \`√\` passed,
\`×\` denied, \`·\` was read and decided nothing, because an earlier stage had denied. Never shows a credential, an argument, or the value of
a header that may hold one. It works in a container without a shell: \`kubectl exec POD -c remit -- remit trace\`.

  remit trace --decision deny
  remit trace --path '/v1/payments/*' --count 5 --json > checks.jsonl
  remit trace --file checks.jsonl
  remit trace -- curl --silent --cert agent.pem --key agent.key --cacert ca.pem https://payments.acme.test:8443/v1/payments

exit codes: 0 as many checks as asked were shown, 1 fewer came in time, 2 bad use or no answer`;

/** `remit trace`. */
export const traceCommand: Command = { name: 'trace', help, run: trace };

const OPTIONS = {
  admin: { type: 'string' },
  config: { type: 'string', short: 'c' },
  agent: { type: 'string' },
  task: { type: 'string' },
  action: { type: 'string' },
  host: { type: 'string' },
  path: { type: 'string' },
  decision: { type: 'string' },
  reason: { type: 'string' },
  trace: { type: 'string' },
  timeout: { type: 'string', default: '30s' },
  count: { type: 'string', default: '1' },
  url: { type: 'string' },
  file: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

type Io = Pick<CommandIo, 'out' | 'err' | 'environment'>;

const MAX_SECONDS = 600;
const MAX_COUNT = 100;
/** How long a check may come after the answer to its call. */
const AFTER_CALL_MS = 2_000;

async function trace(args: readonly string[], io: Io): Promise<number> {
  const end = args.indexOf('--');
  const words = end === -1 ? null : args.slice(end + 1);
  const options = optionsFrom(end === -1 ? args : args.slice(0, end), OPTIONS, 0);
  if (typeof options === 'string') return refused(io, 'remit trace', options);
  const { values } = options;
  if (values.file !== undefined) {
    const other = words === null ? [...FILTER_NAMES, 'url' as const].find((name) => values[name] !== undefined) : '';
    return other === undefined
      ? shownFile(values.file, values, io)
      : refused(io, 'remit trace', `--file shows all checks of a file: it takes no --${other}`);
  }
  const seconds = secondsFrom(values.timeout);
  if (seconds === null || seconds > MAX_SECONDS)
    return refused(io, 'remit trace', `--timeout must be ${DURATION_RULE}, at most 10m`);
  const count = /^\d{1,3}$/.test(values.count) ? Number(values.count) : 0;
  if (count < 1 || count > MAX_COUNT) return refused(io, 'remit trace', `--count must be from 1 to ${MAX_COUNT}`);
  const call = callFrom(words, values.url);
  if (isProblem(call)) return refused(io, 'remit trace', call.problem);
  const marked = call === null ? null : markedCall(call, systemPorts);
  const filters = FILTER_NAMES.flatMap((name) => {
    const value = name === 'trace' ? (marked?.traceId ?? values.trace) : values[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const configured = values.admin ?? (await configuredAdmin(io.environment, values.config));
  if (configured === null && values.config !== undefined)
    return refused(
      io,
      'remit trace',
      `cannot read the configuration \`${values.config}\`: name another, or use --admin`,
    );
  const admin = configured ?? DEFAULT_ADMIN;
  const answer = await beginTrace({ admin, seconds, count, filters });
  if (isProblem(answer)) return refused(io, 'remit trace', answer.problem);
  io.err(`waiting for ${filters.map(([name, value]) => printable(`${name} ${value}`)).join(', ') || 'the next check'}`);
  const fired =
    marked === null
      ? null
      : firedCall(answer, () => fire(marked, { environment: io.environment, timeoutMs: seconds * 1_000 }));
  const shown = await showAll(answer.checks, values, io);
  if (isProblem(shown)) return refused(io, 'remit trace', shown.problem);
  if (fired !== null) io.err(printable(`the call ${await fired}`));
  if (shown >= count) return EXIT.good;
  io.err(missedText(shown, fired !== null));
  return EXIT.no;
}

function callFrom(words: readonly string[] | null, url: string | undefined): CallToFire | Problem | null {
  if (words !== null && url !== undefined) return { problem: '`--url` and `--` exclude each other' };
  if (words !== null)
    return words.length === 0 ? { problem: 'a command is required after `--`' } : { kind: 'command', words };
  if (url === undefined) return null;
  return URL.canParse(url) && /^https?:/.test(url) ? { kind: 'url', url } : { problem: `invalid URL \`${url}\`` };
}

/** Fires the call and stops the trace 2 s after it ended: a check of it comes before that. */
async function firedCall(answer: TraceAnswer, call: () => Promise<string>): Promise<string> {
  const ended = await call();
  setTimeout(answer.stop, AFTER_CALL_MS).unref();
  return ended;
}

const missedText = (shown: number, isFired: boolean): string => {
  if (shown > 0) return `no more came in time: ${shown} shown`;
  return isFired
    ? 'Remit was not asked about the call: it did not reach Envoy, Envoy asks another Remit, or it does not ask on that route. Run `remit doctor`'
    : 'no matching check came in time';
};

/** Shows all checks; returns how many, or what is wrong with them. */
async function showAll(
  checks: AsyncIterable<TracedCheck | Problem>,
  { json }: { readonly json: boolean },
  io: Io,
): Promise<number | Problem> {
  let shown = 0;
  for await (const check of checks) {
    if (isProblem(check)) return check;
    shown += 1;
    if (json) io.out(printableJson(check));
    else for (const line of [...traceLines(check), '']) io.out(printable(line));
  }
  return shown;
}

async function shownFile(file: string, values: { readonly json: boolean }, io: Io): Promise<number> {
  try {
    const shown = await showAll(checksOf(file), values, io);
    if (isProblem(shown)) return refused(io, 'remit trace', shown.problem);
    return shown > 0 ? EXIT.good : EXIT.no;
  } catch (error) {
    return refused(io, 'remit trace', `cannot read \`${file}\`: ${failureCode(error)}`);
  }
}

async function* checksOf(file: string): AsyncGenerator<TracedCheck | Problem> {
  for await (const { number, text } of jsonLines(file)) {
    const check = tracedCheckLine(text);
    yield isProblem(check) ? { problem: `${file}:${number}: ${check.problem}` } : check;
  }
}

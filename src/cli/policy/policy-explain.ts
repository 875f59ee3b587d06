/** `remit policy explain`: explain why a call is allowed or denied, and what would change that. */
import { isDeny } from '../../core/decision/decision.ts';
import type { Decision } from '../../core/decision/decision.ts';
import type { IntentRecord, UseRecord } from '../../core/ledger/record.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { pieceText } from '../../tools/policy/explain/explained-piece.ts';
import { borrowingDisk } from '../../core/policy/loading/borrowed-source.ts';
import { compileInWorker } from '../../core/policy/loading/compile.ts';
import type { CounterUse } from '../../tools/policy/cases/limited-case.ts';
import type { ExplainedPolicy } from '../../tools/policy/explain/explanation.ts';
import { loadPolicies } from '../../core/policy/loading/load.ts';
import { systemDisk } from '../../core/policy/loading/source.ts';
import { allowedReuse } from '../../tools/policy/cases/allowed-reuse.ts';
import type { Reuse } from '../../tools/policy/cases/allowed-reuse.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { explainedCase } from '../explain/explained-case.ts';
import type { ExplainedCase } from '../explain/explained-case.ts';
import { subjectOf } from '../explain/explain-subject.ts';
import type { RecordedAlone } from '../explain/explain-subject.ts';
import { whyLine, whyOf } from '../explain/why.ts';
import type { Why } from '../explain/why.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal } from '../task/task-source.ts';

const help = `remit policy explain: explain why a call is allowed or denied, and what would change that

usage: remit policy explain METHOD URL --agent SPIFFE-ID [--body JSON] [circumstances]
       remit policy explain (--action ID | --mcp TOOL | --a2a METHOD | --grpc METHOD) --agent SPIFFE-ID [--args JSON]
                            [circumstances]
       remit policy explain --issue ACTION --agent SPIFFE-ID [circumstances]
       remit policy explain --cases FILE [--filter TEXT]
       remit policy explain ID [--config FILE | --state FILE] [--as-test]

  --policies FOLDER  the policies; default \`cedar-policies\`
  --base FOLDER      where to take the catalog, the base schema and the entities from if the policies folder lacks them
  --agent, --body    the caller, and the JSON body of the call
  --action, --mcp, --a2a, --grpc, --issue
                     instead of METHOD and URL: an action of the catalog, an MCP tool, an A2A method, a gRPC method as
                     \`package.Service/Method\`, or a token for an action
  --args JSON        the arguments; for gRPC the message
  --purpose TEXT     circumstances: the purpose of the task, default \`test\`
  --risk LEVEL       the risk of the task, as raised by signals: low (default), medium, high
  --constraints JSON the limits of the task, as in \`authorization_details\`: \`{"max_calls": 3}\`
  --subject NAME, --subject-attributes JSON
                     the subject, and its attributes by the issuer of its token: \`{"groups": ["finance"]}\`
  --limits JSON      what limits over all tasks counted before, as in a test case: \`{"payments-a-day": {"calls": 199}}\`
  --now INSTANT      the time of the call, such as 2026-01-15T08:30:00+01:00; default a Thursday at noon, UTC
  --claimed NAME=VALUE, --attested NAME=VALUE@SPIFFE-ID
                     values claimed by the agent, and values attested by others; repeatable
  --cases FILE       explain the first case of a suite; with --filter, the first case with that text in its name
  ID                 explain a recorded decision, by its id or the id of its trace, and what the policies decide for such a call
                     now; if that depends on arguments that are not recorded, only the record is shown
  --config, --state  where the records are: the configuration (default /etc/remit/remit.yaml), or the state file
  --as-test          print only the test case that the record makes
  --json             one object: decision, reason, target, asked, matched, nearMisses, needed, limits {limit,
                     counts, who, used, takes, max, ends}, keyReads, keptMs, notKept

Every policy for the action is evaluated piece by piece. A near miss is a policy that did not match, shown with each piece that
prevented the match and its values. Each suggested change is tried before it is shown, together with the values it was tried
with. \`kept\` shows the key and the longest lifetime of the cached answer to an equal call; \`not kept\` shows why the answer is
not cached.

  remit policy explain GET https://payments.acme.test/v1/payments --agent spiffe://acme.test/ns/agents/sa/reporter
  remit policy explain --mcp create_ticket --args '{"title": "a", "priority": 1}' --agent spiffe://acme.test/ns/agents/sa/planner
  remit policy explain --cases cedar-policies/tests/payments.test.yaml --filter dollars
  remit policy explain 019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55 --as-test > cedar-policies/tests/incident.test.yaml

exit codes: 0 allowed, or the test printed; 1 denied; 2 bad use or bad input`;

/** `remit policy explain`. */
export const policyExplainCommand: Command = { name: 'policy explain', help, run: policyExplain };

const OPTIONS = {
  policies: { type: 'string', default: 'cedar-policies' },
  base: { type: 'string' },
  agent: { type: 'string' },
  purpose: { type: 'string' },
  action: { type: 'string' },
  issue: { type: 'string' },
  mcp: { type: 'string' },
  a2a: { type: 'string' },
  grpc: { type: 'string' },
  args: { type: 'string' },
  risk: { type: 'string' },
  now: { type: 'string' },
  constraints: { type: 'string' },
  limits: { type: 'string' },
  subject: { type: 'string' },
  'subject-attributes': { type: 'string' },
  claimed: { type: 'string', multiple: true },
  attested: { type: 'string', multiple: true },
  body: { type: 'string' },
  cases: { type: 'string' },
  filter: { type: 'string' },
  config: { type: 'string', short: 'c' },
  state: { type: 'string' },
  'as-test': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

type Io = Pick<CommandIo, 'out' | 'err' | 'environment'>;

const NAME = 'remit policy explain';

/** Explains one call and prints the result; the exit code is the decision. */
export async function policyExplain(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(args, OPTIONS, 2);
  if (typeof options === 'string') return refused(io, NAME, options);
  const { policies: folder, base } = options.values;
  const disk = base === undefined ? systemDisk : borrowingDisk(folder, base);
  const policies = await loadPolicies(folder, { disk, compile: compileInWorker() });
  if ('findings' in policies) {
    const lines = policies.findings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`);
    return refused(io, NAME, lines.join('\n'));
  }
  const subject = await subjectOf(options.operands, options.values, { io, policies });
  if (isCommandRefusal(subject)) return refused(io, NAME, subject);
  if (typeof subject === 'string') {
    io.out(subject);
    return EXIT.good;
  }
  if (!('test' in subject)) return recordedAlone(subject, 'an intent is not decided again', options.values, io);
  const explained = explainedCase(subject.test, policies);
  if (isProblem(explained)) return refused(io, NAME, explained.problem);
  const { recorded } = subject;
  if (recorded !== null && isOfArguments(recorded.record, explained.decision)) {
    const because = 'not decided again: that takes arguments of the call, which are not recorded';
    return recordedAlone(recorded, because, options.values, io);
  }
  const reuse = allowedReuse(explained, { policies, nowMs: subject.test.circumstances.nowMs });
  const before = recorded === null ? [] : [...recorded.lines, 'such a call now:'];
  const shown: Shown = { explained, why: whyOfNow(explained.decision), recorded: before, reuse };
  if (options.values.json) io.out(JSON.stringify(jsonOf(shown)));
  else for (const line of explainedLines(shown)) io.out(printable(line));
  return isDeny(explained.decision) ? EXIT.no : EXIT.good;
}

const whyOfNow = (decision: Decision): Why =>
  whyOf(isDeny(decision) ? { ...decision, decision: 'deny' } : { ...decision, decision: 'allow', reason: null });

/** Whether arguments decided, then or now, which cannot be repeated without query and body. */
const isOfArguments = ({ reason }: UseRecord | IntentRecord, decision: Decision): boolean =>
  reason === 'action.arguments' || (isDeny(decision) && decision.reason === 'action.arguments');

/** Prints the record of a decision that is not repeated; the exit code is that decision. */
function recordedAlone(
  { record, lines }: RecordedAlone,
  because: string,
  { json }: { readonly json: boolean },
  io: Io,
): number {
  const { decision, reason, detail, policyIds: policies } = record;
  const nothing = { target: null, asked: null, matched: [], nearMisses: [], needed: [], limits: [] };
  const unkept = { keyReads: null, keptMs: null, notKept: because };
  if (json) io.out(JSON.stringify({ decision, reason, detail, policies, ...nothing, ...unkept, recorded: lines }));
  else for (const line of [...lines, because]) io.out(printable(line));
  return decision === 'deny' ? EXIT.no : EXIT.good;
}

interface Shown {
  readonly explained: ExplainedCase;
  readonly why: Why;
  readonly recorded: readonly string[];
  /** `null` if no policies were asked. */
  readonly reuse: Reuse | null;
}

function jsonOf({ explained, why, recorded, reuse }: Shown): unknown {
  const { question, target, explanation, counters } = explained;
  return {
    decision: why.decision,
    reason: why.reason,
    detail: why.cause,
    policies: why.policies,
    target: target === null ? null : { action: target.action.id, risk: target.action.risk, issue: target.isIssue },
    asked:
      question === null ? null : { principal: question.principal, action: question.action, context: question.context },
    ...(explanation ?? { matched: [], nearMisses: [], needed: [] }),
    limits: counters,
    keyReads: reuse?.kind === 'kept' ? reuse.keyReads : null,
    keptMs: reuse?.kind === 'kept' ? reuse.forMs : null,
    notKept: reuse?.kind === 'not-kept' ? reuse.because : null,
    recorded,
  };
}

function explainedLines({ explained, why, recorded, reuse }: Shown): readonly string[] {
  const { question, target, explanation, counters } = explained;
  const what = target === null ? 'no action of the catalog' : `${target.isIssue ? 'issue ' : ''}${target.action.id}`;
  const head = [
    ...recorded,
    whyLine(why),
    `action: ${what}${target === null ? '' : `, of ${target.action.risk} risk, at ${target.action.server.id}`}`,
  ];
  if (question === null || explanation === null) {
    const cure = why.cure === null ? [] : [why.cure];
    return [...head, `no policy was evaluated: ${why.meaning ?? ''}`, ...section('for another decision', cure)];
  }
  const { matched, nearMisses, needed } = explanation;
  const isLimited = why.reason === 'limit.exceeded';
  return [
    ...head,
    `agent: ${question.principal}`,
    ...section('matched', matched.map(policyLine)),
    ...section('near misses, each with what prevented a match', nearMisses.flatMap(nearMissLines)),
    ...(counters.length === 0 ? [] : section('limits over all tasks', counters.map(counterLine))),
    ...reuseLines(reuse),
    ...section('for another decision', isLimited && why.cure !== null ? [why.cure] : needed),
  ];
}

const section = (title: string, lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [`${title}: none`] : [`${title}:`, ...lines.map((line) => `  ${line}`)];

function reuseLines(reuse: Reuse | null): readonly string[] {
  if (reuse === null) return [];
  if (reuse.kind === 'not-kept') return [`not kept: ${reuse.because}`];
  const kept = `kept for at most ${reuse.forMs / 1000} s by agent, action`;
  return reuse.keyReads.length === 0 ? [`${kept} and target`] : section(`${kept}, target and`, reuse.keyReads);
}

const policyLine = ({ id, effect, file, line, column, shadow }: ExplainedPolicy): string =>
  `${id} (${effect}${shadow ? ', on trial' : ''}), ${file}:${line}:${column}`;

function counterLine({ limit, counts, who, used, takes, max, ends }: CounterUse): string {
  const total = used + takes > max ? `which is more than its ${max}` : `of ${max}`;
  const until = ends === null ? '' : ` until ${ends}`;
  const of = who === '[]' ? 'all together' : who;
  return `${limit}: ${counts}, ${used} before and ${takes} by this, ${total}${until}, counted for ${of}`;
}

function nearMissLines(policy: ExplainedPolicy): readonly string[] {
  const lines = [policyLine(policy)];
  for (const piece of policy.pieces) lines.push(`  needs ${pieceText(piece)}`);
  return lines;
}

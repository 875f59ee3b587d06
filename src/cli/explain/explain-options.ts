/** Options that describe an attempt and its circumstances; defaults are those of most calls. */
import { isDeny } from '../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../core/identity/spiffe-id.ts';
import { caseFileFrom } from '../../tools/policy/cases/case-file.ts';
import { plainTask } from '../../tools/policy/cases/test-case.ts';
import type { TestCase } from '../../tools/policy/cases/test-case.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';

/** Options that describe an attempt and its circumstances; defaults are those of most calls. */
export interface AttemptOptions {
  readonly agent?: string | undefined;
  readonly purpose?: string | undefined;
  readonly body?: string | undefined;
  /** JSON object. */
  readonly args?: string | undefined;
  readonly action?: string | undefined;
  readonly issue?: string | undefined;
  readonly mcp?: string | undefined;
  readonly a2a?: string | undefined;
  readonly grpc?: string | undefined;
  readonly risk?: string | undefined;
  /** The subject of the token. */
  readonly subject?: string | undefined;
  /** JSON object: attributes of the subject from its subject token. */
  readonly 'subject-attributes'?: string | undefined;
  /** JSON, as in `authorization_details`. */
  readonly constraints?: string | undefined;
  /** JSON object: what limits counted before, as in a test case. */
  readonly limits?: string | undefined;
  /** The instant, with a time zone. */
  readonly now?: string | undefined;
  /** Each `name=value`. */
  readonly claimed?: readonly string[] | undefined;
  /** Each `name=value@SPIFFE-ID`. */
  readonly attested?: readonly string[] | undefined;
}

const KINDS = ['action', 'issue', 'mcp', 'a2a', 'grpc'] as const;

/** Whether options describe the attempt, so that METHOD and URL are not needed. */
export const namesAttempt = (options: AttemptOptions): boolean => KINDS.some((kind) => options[kind] !== undefined);

type Attempted = Pick<TestCase, 'attempt' | 'circumstances'>;

/** The attempt in the options, parsed like a test case so that both mean the same. */
export function attemptFromOptions(
  call: { readonly method: string; readonly url: string } | null,
  options: AttemptOptions,
): Attempted | Problem {
  const { agent, body, now, purpose = plainTask.purpose, risk = plainTask.risk } = options;
  if (agent === undefined) return { problem: '`--agent` is required' };
  const id = spiffeIdFrom(agent);
  if (isDeny(id)) return { problem: `\`--agent\`: ${id.detail}` };
  const attempt = call === null ? attemptOf(options) : options.args === undefined ? { call } : NO_ARGS;
  if (isProblem(attempt)) return attempt;
  const claimed = pairsOf(options.claimed ?? [], /^([^=]+)=(.*)$/s);
  const attested = pairsOf(options.attested ?? [], /^([^=]+)=(.*)@(spiffe:\/\/[^@]+)$/s);
  if (claimed === null) return { problem: '`--claimed` must be `name=value`' };
  if (attested === null) return { problem: '`--attested` must be `name=value@SPIFFE-ID`' };
  const constraints = options.constraints === undefined ? {} : objectFrom(options.constraints, '--constraints');
  if (isProblem(constraints)) return constraints;
  const said = options['subject-attributes'];
  const attributes = said === undefined ? {} : objectFrom(said, '--subject-attributes');
  if (isProblem(attributes)) return attributes;
  const limits = options.limits === undefined ? {} : objectFrom(options.limits, '--limits');
  if (isProblem(limits)) return limits;
  const task = {
    purpose,
    subject: options.subject,
    subject_attributes: attributes,
    constraints,
    risk,
    claimed: Object.fromEntries(claimed.map(([name, value]) => [name, value])),
    attested: attested.map(([name, value, by]) => ({ name, value, by })),
  };
  const read = caseFileFrom(
    JSON.stringify({ cases: [{ name: 'call', agent, task, now, limits, expect: 'allow', ...attempt }] }),
    '',
  );
  if ('findings' in read) return { problem: read.findings.map(({ message }) => message).join('; ') };
  const [test] = read;
  if (test === undefined) return { problem: 'the options describe no call' };
  if (body === undefined || test.attempt.kind !== 'call') return test;
  const headers = [['content-type', 'application/json'] as const];
  return { ...test, attempt: { ...test.attempt, headers, body: Buffer.from(body) } };
}

const NO_ARGS: Problem = {
  problem: '`--args` goes with `--action`, `--mcp`, `--a2a` or `--grpc`; a call has a `--body`',
};

function attemptOf(options: AttemptOptions): Readonly<Record<string, unknown>> | Problem {
  const [kind, second] = KINDS.filter((one) => options[one] !== undefined);
  if (kind === undefined || second !== undefined)
    return { problem: `exactly one of ${KINDS.map((one) => `\`--${one}\``).join(', ')} is required` };
  if (options.body !== undefined) return { problem: '`--body` goes with METHOD and URL' };
  const args = options.args === undefined ? {} : objectFrom(options.args, '--args');
  if (isProblem(args)) return args;
  const name = options[kind];
  switch (kind) {
    case 'action':
      return { action: name, args };
    case 'mcp':
      return { mcp: { tool: name, arguments: args } };
    case 'a2a':
      return { a2a: { method: name, params: args } };
    case 'grpc':
      return { grpc: { method: name, ...(options.args === undefined ? {} : { message: args }) } };
    case 'issue':
      return options.args === undefined
        ? { issue: name }
        : { problem: '`--args` goes with `--action`, `--mcp`, `--a2a` or `--grpc`, not with `--issue`' };
    default:
      return kind satisfies never;
  }
}

function objectFrom(text: string, option: string): object | Problem {
  const noObject = { problem: `\`${option}\` must be a JSON object` };
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : noObject;
  } catch {
    return noObject;
  }
}

/** The matched groups of each text; `null` if a text does not match. */
function pairsOf(texts: readonly string[], form: RegExp): readonly (readonly string[])[] | null {
  const pairs = texts.map((text) => form.exec(text)?.slice(1) ?? null);
  return pairs.every((pair) => pair !== null) ? pairs : null;
}

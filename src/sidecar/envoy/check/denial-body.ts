import type { Answer } from '../../check/answer.ts';
import type { Deny } from '../../../core/decision/decision.ts';
import type { DenialFacts } from '../../../core/decision/denial-facts.ts';
import { type NextStep, nextSteps } from '../../../core/decision/next-step.ts';
import { type Reason, type ReasonCode, reasons } from '../../../core/decision/reasons.ts';
import { MAX_TEXT_CHARS, plain, traceIdOf } from './header-text.ts';

/** Longest name, expectation and catalog id sent to a client; longer text is truncated. */
const MAX_FACT_CHARS = 256;
/**
 * Longest message of a gRPC status. Envoy percent-encodes it, so that a character takes up to nine bytes of the 8 KiB that clients read.
 */
const MAX_GRPC_MESSAGE_CHARS = 512;

/** The body of a denial and its media type; the type is `null` for an empty body. */
export interface DenialBody {
  readonly text: string;
  readonly type: string | null;
}

/** All that the client gets besides the message. */
interface ClientDetails extends DenialFacts {
  readonly reason: ReasonCode;
  readonly decision: string;
  readonly trace?: string;
  readonly next: NextStep;
  readonly advice?: string;
  readonly help?: string;
}

/** What a body is made of. */
interface Content {
  readonly message: string;
  readonly data: ClientDetails;
}

/**
 * The body for a denied client, in the form of its protocol. It holds nothing that the client sent but the id of its JSON-RPC request, which
 * `jsonRpcFrom` bounds and JSON escapes.
 *
 * @see https://www.jsonrpc.org/specification section 5.1
 * @see https://modelcontextprotocol.io/specification, Tools, Error Handling
 */
export function denialBody(
  answer: Answer,
  decision: Deny,
  { helpUrl }: { readonly helpUrl: string | null },
): DenialBody {
  const reason: Reason = reasons[decision.reason];
  const content = contentOf(answer, decision, helpUrl);
  const { message, data } = content;
  const { form } = answer;
  switch (form?.kind) {
    case undefined:
      return json({ error: errorOf(reason), message, ...data });
    case 'grpc':
      return json({ error: errorOf(reason), message: cut(message, MAX_GRPC_MESSAGE_CHARS), ...shortened(data) });
    case 'a2a-http':
      return json({ error: rpcStatus(reason, content) });
    case 'json-rpc-error':
      return json({ jsonrpc: '2.0', id: form.id, error: { code: form.code, message, data } }, form.media);
    case 'tool-result':
      return json({ jsonrpc: '2.0', id: form.id, result: toolResult(content, form.isError) }, form.media);
    case 'accepted':
      return { text: '', type: null };
    default:
      return form satisfies never;
  }
}

/**
 * A `google.rpc.Status` with the facts as `ErrorInfo`, whose values are texts.
 *
 * @see https://google.aip.dev/193
 * @see https://a2a-protocol.org/latest/specification/, HTTP+JSON error handling
 */
function rpcStatus({ httpStatus, grpcStatus }: Reason, { message, data }: Content): object {
  const { argument, budget, limit, ...texts } = data;
  const metadata = {
    ...texts,
    ...(argument === undefined ? {} : { argument: argument.name, expected: argument.expected }),
    ...(budget === undefined ? {} : { limit: String(budget.limit), used: String(budget.used) }),
    ...(limit === undefined
      ? {}
      : {
          limitId: limit.id,
          counts: limit.counts,
          limit: String(limit.max),
          used: String(limit.used),
          ends: limit.ends,
        }),
  };
  const info = {
    '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
    reason: data.reason.toUpperCase().replaceAll(/[.-]/g, '_'),
    domain: 'remit.dev',
    metadata,
  };
  return { code: httpStatus, status: GRPC_NAMES[grpcStatus], message, details: [info] };
}

const GRPC_NAMES: Readonly<Record<Reason['grpcStatus'], string>> = {
  7: 'PERMISSION_DENIED',
  14: 'UNAVAILABLE',
  16: 'UNAUTHENTICATED',
};

/** Without what the message or the reason already contains. */
const shortened = ({ advice: _advice, help: _help, ...kept }: ClientDetails): Partial<ClientDetails> => kept;

const json = (value: object, type: string = 'application/json'): DenialBody => {
  const text = JSON.stringify(value);
  return { text: type === 'text/event-stream' ? `data: ${text}\n\n` : text, type };
};

/**
 * The result of a tool call, with `isError` or, by configuration, without it. Frameworks pass only its text to the model.
 * `resultType` is required from revision 2026-07-28 on; earlier revisions ignore it.
 */
function toolResult({ message, data }: Content, isError: boolean): object {
  const { reason, next, action, decision } = data;
  const facts = Object.entries({ reason, next, action, decision }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  const text = `Denied: ${message}\n${facts.join(', ')}`;
  return {
    content: [{ type: 'text', text }],
    isError,
    resultType: 'complete',
    _meta: { 'remit.dev/denial': data },
  };
}

function contentOf(answer: Answer, decision: Deny, helpUrl: string | null): Content {
  const reason: Reason = reasons[decision.reason];
  const trace = traceIdOf(answer);
  const details = bounded(answer.clientFacts ?? {});
  const advice = decision.advice === null ? null : cut(decision.advice, MAX_TEXT_CHARS);
  const help = plain(helpUrl);
  const isTooMuch = TOO_MUCH.has(decision.reason) && hasLeft(details);
  const text = isTooMuch ? (TOO_MUCH.get(decision.reason) ?? reason.text) : reason.text;
  const next = isTooMuch ? 'change_arguments' : reason.next;
  return {
    message: `${text}${inWords(details)}. ${advice ?? nextSteps[next]}`,
    data: {
      reason: decision.reason,
      decision: answer.decisionId,
      ...(trace === null ? {} : { trace }),
      next,
      ...details,
      ...(advice === null ? {} : { advice }),
      ...(help === null ? {} : { help: `${help}#${decision.reason}` }),
    },
  };
}

/** What is said in place of the reason's text if a smaller call has room. */
const TOO_MUCH: ReadonlyMap<ReasonCode, string> = new Map<ReasonCode, string>([
  ['task.exhausted', 'the call takes more than the budget of the task has'],
  ['limit.exceeded', 'the call takes more than a limit over all tasks has'],
]);

const bounded = ({ action, argument, budget, limit, nearest }: DenialFacts): DenialFacts => ({
  ...(action === undefined ? {} : { action: cut(action, MAX_FACT_CHARS) }),
  ...(argument === undefined
    ? {}
    : { argument: { name: cut(argument.name, MAX_FACT_CHARS), expected: cut(argument.expected, MAX_FACT_CHARS) } }),
  ...(budget === undefined ? {} : { budget }),
  ...(limit === undefined
    ? {}
    : { limit: { ...limit, id: cut(limit.id, MAX_FACT_CHARS), counts: cut(limit.counts, MAX_FACT_CHARS) } }),
  ...(nearest === undefined ? {} : { nearest: cut(nearest, MAX_FACT_CHARS) }),
});

/** Whether a call that takes less has room in its budget, or in the limit. */
const hasLeft = ({ budget, limit }: DenialFacts): boolean =>
  limit === undefined
    ? budget !== undefined && budget.used < budget.limit
    : limit.used < limit.max && limit.counts.startsWith('amount');

const cut = (text: string, chars: number): string => text.slice(0, chars).toWellFormed();

/** The facts that help to mend the call, as the end of a sentence: frameworks show a model the message alone. */
function inWords({ argument, budget, limit: over, nearest }: DenialFacts): string {
  if (argument !== undefined) return `: \`${argument.name}\` must be ${argument.expected}`;
  if (budget !== undefined) {
    const { limit, used } = budget;
    return used < limit ? `: ${difference(limit, used)} left of ${limit}` : `: ${used} of ${limit} are used`;
  }
  if (over !== undefined) {
    const { counts, ends, id, max, used } = over;
    return `: ${used} of ${max} (${counts}) of \`${id}\` are used until ${ends}`;
  }
  return nearest === undefined ? '' : `: the most similar is \`${nearest}\``;
}

/** Exact for whole numbers, and for decimals of 4 places with 11 digits before the point, which floating point alone is not. */
const difference = (limit: number, used: number): number =>
  Number.isInteger(limit) && Number.isInteger(used) ? limit - used : Number((limit - used).toFixed(4));

/** The `error` of the body: the error of the challenge, if any, else the nearest in RFC 6749. */
const errorOf = (reason: Reason): string => {
  if (reason.challenge !== null) return reason.challenge === '' ? 'unauthorized' : reason.challenge;
  if (reason.retryable) return 'temporarily_unavailable';
  return reason.httpStatus === 403 ? 'access_denied' : 'invalid_request';
};

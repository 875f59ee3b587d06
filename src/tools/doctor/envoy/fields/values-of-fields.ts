/** How bad the values of some fields are: formats of logs, retries, added headers, hedging and upgrades. */
import { at, isTrueAt, listAt, membersAt, numberAt, textAt } from '../../tree.ts';
import type { Level } from '../../codes.ts';
import { shareOf } from '../values.ts';

/** Headers whose value lets others act as the agent. */
const SECRET = new Set(['authorization', 'dpop', 'cookie', 'proxy-authorization', 'x-forwarded-client-cert']);
/** A header of the request in a format: `%REQ(X?Y)%` gives Y if there is no X. */
const SECRET_COMMAND =
  /%(?:REQ|REQUEST_HEADER)\((?:[^?)%]{0,256}\?)?(?:authorization|dpop|cookie|proxy-authorization|x-forwarded-client-cert)[?)]/i;
/** The beginning of an expression in a format, and its end: it may have a `%` itself. */
const EXPRESSION = /%(?:TYPED_)?CEL\(/gi;
const EXPRESSION_END = /\)(?::\d{1,9})?%/;
/** A header as an expression mentions it, quoted or not, or the map of all headers, of which no single member is taken by its literal name. */
const SECRET_MENTION =
  /\b(?:authorization|dpop|cookie|x-forwarded-client-cert)\b|\brequest\s{0,64}(?:\[\s{0,64}["']headers|\.\s{0,64}headers\b(?!\s{0,64}(?:\.\s{0,64}\w{1,64}\b(?!\s{0,64}\()|\[\s{0,64}(?:"[^"\\]{0,64}"|'[^'\\]{0,64}')\s{0,64}\])))/i;
/** Most characters of an expression. */
const MAX_EXPRESSION = 1_024;
const MAX_DEPTH = 30;
/** Most characters of a format. */
const MAX_FORMAT = 65_536;

/**
 * Whether a log or span has a token in it: by a format, or by the name of a header. What is nested too deeply, or too long, to be read counts as
 * a token.
 */
export function namesSecret(value: unknown, depth = 0): boolean {
  if (depth > MAX_DEPTH) return true;
  if (typeof value === 'string') return value.length > MAX_FORMAT || hasSecret(value);
  if (Array.isArray(value)) return value.some((one) => namesSecret(one, depth + 1));
  const isListed = listAt(value, 'additional_request_headers_to_log').some((name) => isSecret(name));
  const isTagged = isSecret(at(value, 'request_header', 'name'));
  return isListed || isTagged || membersAt(value).some(([, own]) => namesSecret(own, depth + 1));
}

const hasSecret = (format: string): boolean =>
  SECRET_COMMAND.test(format) ||
  format.matchAll(EXPRESSION).some(({ 0: { length }, index }) => {
    const from = index + length;
    const [expression = ''] = format.slice(from, from + MAX_EXPRESSION).split(EXPRESSION_END, 1);
    return expression.length === MAX_EXPRESSION || SECRET_MENTION.test(expression);
  });

const isSecret = (name: unknown): boolean => typeof name === 'string' && SECRET.has(name.toLowerCase());

/** Retries of calls that no server has begun to answer. */
export const SAFE_RETRIES: ReadonlySet<string> = new Set(['connect-failure', 'refused-stream', 'reset-before-request']);

/** How bad the `retry_on` of a policy for calls of agents is. */
export function retryLevel(value: unknown): Level | null {
  const words = (typeof value === 'string' ? value : '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
  if (words.length === 0) return null;
  return words.every((word) => SAFE_RETRIES.has(word)) ? 'info' : 'error';
}

/** Headers that decide what a tool does, or who the caller is to it. */
const DECIDING =
  /^(?::|host$|authorization$|dpop$|x-forwarded-client-cert$|x-(?:http-)?method(?:-override)?$|x-original-|x-rewrite-|x-envoy-original-|content-|mcp-|transfer-encoding$)/i;

/** How bad headers are that the router adds after the check. */
export function addedLevel(value: unknown): Level | null {
  const headers = Array.isArray(value) ? (value as readonly unknown[]) : [];
  if (headers.length === 0) return null;
  const isBad = headers.some(
    (one) =>
      DECIDING.test(textAt(one, 'header', 'key')) || /%(?:REQ|REQUEST_HEADER)\(/i.test(textAt(one, 'header', 'value')),
  );
  return isBad ? 'error' : 'warning';
}

/** How bad a hedge policy is. */
export const hedgeLevel = (value: unknown): Level | null =>
  isTrueAt(value, 'hedge_on_per_try_timeout') ||
  (numberAt(value, 'initial_requests') ?? 1) > 1 ||
  shareOf(at(value, 'additional_request_chance')) > 0
    ? 'error'
    : null;

/** How bad an upgrade is: Remit denies the call that asks for a WebSocket, and looks into no other tunnel. */
export const upgradeLevel = (value: unknown): Level | null =>
  typeof value === 'string' && value.toLowerCase() === 'websocket' ? 'info' : 'warning';

/** Whether an address is of this host: a Unix socket, loopback, or a listener of this Envoy. */
export const isOfHost = (endpoint: string): boolean =>
  /^(?:unix:|internal:|127(?:\.\d{1,3}){3}:|\[::1\]:|localhost:)/.test(endpoint);

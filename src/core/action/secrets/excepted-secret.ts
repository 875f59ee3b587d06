import type { HttpCall } from '../http/call.ts';
import { MAX_FOUND, sha256Of } from './static-secret.ts';
import type { StaticSecret } from './static-secret.ts';
import type { StaticSecretException } from './static-secret-exception.ts';

/** Headers that are removed before the upstream, unless an exception of the route lets a secret in them pass. */
const PASSING_HEADERS = ['authorization', 'proxy-authorization'] as const;

export type PassingHeader = (typeof PASSING_HEADERS)[number];

const NONE: readonly PassingHeader[] = [];

/** The exceptions of a route, and the current time in milliseconds since the Unix epoch. */
export interface ExceptionsNow {
  readonly exceptions: readonly StaticSecretException[];
  readonly nowMs: number;
}

/**
 * The secret that stops the call: the first that no exception permits; `null` if there is none. If the search hit its limit, there may be
 * more secrets, and the last secret stops the call.
 */
export function forbiddenSecret(
  secrets: readonly StaticSecret[],
  { exceptions, nowMs }: ExceptionsNow,
): StaticSecret | null {
  const forbidden = secrets.find((secret) => !exceptions.some((exception) => lets(exception, secret, nowMs)));
  return forbidden ?? secrets[MAX_FOUND - 1] ?? null;
}

/**
 * The credential headers that the upstream still receives: those with a single value, in which every secret is permitted by an
 * exception. INVARIANT: task tokens and external tokens are compact JWSs with a lifetime of at most a day, so a value that contains such
 * a token never passes, not even inside `Basic`.
 */
export function passingHeaders(
  { headers }: Pick<HttpCall, 'headers'>,
  secrets: readonly StaticSecret[],
  now: ExceptionsNow,
): readonly PassingHeader[] {
  if (secrets.length === 0) return NONE;
  return PASSING_HEADERS.filter((name) => {
    const [value, ...others] = headers.get(name) ?? [];
    const held = secrets.filter((secret) => secret.where === 'header' && secret.name === name);
    if (value === undefined || others.length > 0 || held.length === 0) return false;
    return forbiddenSecret(held, now) === null && !holdsOtherToken(value, held);
  });
}

const lets = ({ digest, header, untilMs }: StaticSecretException, secret: StaticSecret, nowMs: number): boolean =>
  nowMs < untilMs &&
  (digest === null || digest === secret.digest || digest === secret.sha256) &&
  (header === null || (secret.where === 'header' && header === secret.name));

const WORD = /[A-Za-z0-9][A-Za-z0-9_.-]*/g;
/** The start of a compact JWS: base64url of `{` and a quote, space or line break. */
const TOKEN = /^e[yw][A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\./;
const BASIC = /^basic +/i;

/** Whether a value contains a token that is not among the long-lived secrets found in it. */
function holdsOtherToken(value: string, secrets: readonly StaticSecret[]): boolean {
  const longLived = new Set(secrets.filter(({ kind }) => kind === 'jwt').map(({ sha256 }) => sha256));
  const inBasic = BASIC.test(value) ? Buffer.from(value.replace(BASIC, ''), 'base64').toString('latin1') : '';
  const words = [value, inBasic].flatMap((text) => text.match(WORD) ?? []);
  return words.some((word) => TOKEN.test(word) && !longLived.has(sha256Of(word)));
}

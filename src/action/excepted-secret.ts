import type { HttpCall } from './call.ts';
import { MAX_FOUND, sha256Of } from './static-secret.ts';
import type { StaticSecret } from './static-secret.ts';
import type { StaticSecretException } from './static-secret-exception.ts';

/** Headers the upstream never gets, unless an exception of the route lets the secret in one of them pass. */
const PASSING_HEADERS = ['authorization', 'proxy-authorization'] as const;

export type PassingHeader = (typeof PASSING_HEADERS)[number];

const NONE: readonly PassingHeader[] = [];

/** The exceptions of a route, and the instant they are asked at, in milliseconds since the Unix epoch. */
export interface ExceptionsNow {
  readonly exceptions: readonly StaticSecretException[];
  readonly nowMs: number;
}

/**
 * What stands in the way of the call: the first secret no exception lets pass. `null` where there is none. Where as many
 * were found as are looked for, there may be more, and the last of them stands in the way.
 */
export function forbiddenSecret(
  secrets: readonly StaticSecret[],
  { exceptions, nowMs }: ExceptionsNow,
): StaticSecret | null {
  const forbidden = secrets.find((secret) => !exceptions.some((exception) => lets(exception, secret, nowMs)));
  return forbidden ?? secrets[MAX_FOUND - 1] ?? null;
}

/**
 * The headers of a call that the upstream gets although they are for credentials: those whose one value holds a secret that
 * an exception lets pass, and nothing that no exception does. INVARIANT: a task token or an external token is a compact
 * JWS that lives for a day at most, so a value that holds such a one never passes, in `Basic` neither.
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
/** Begins as a compact JWS does: base64url of `{` and of a quote, a blank or a line break. */
const TOKEN = /^e[yw][A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\./;
const BASIC = /^basic +/i;

/** Whether a value holds a token that is not itself one of the long-lived ones that were found in it. */
function holdsOtherToken(value: string, secrets: readonly StaticSecret[]): boolean {
  const longLived = new Set(secrets.filter(({ kind }) => kind === 'jwt').map(({ sha256 }) => sha256));
  const inBasic = BASIC.test(value) ? Buffer.from(value.replace(BASIC, ''), 'base64').toString('latin1') : '';
  const words = [value, inBasic].flatMap((text) => text.match(WORD) ?? []);
  return words.some((word) => TOKEN.test(word) && !longLived.has(sha256Of(word)));
}

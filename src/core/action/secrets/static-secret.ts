import { createHash, hash } from 'node:crypto';
import { systemPorts } from '../../runtime/ports.ts';
import { BoundedMemo } from '../../runtime/collections/bounded-memo.ts';
import type { HttpCall } from '../http/call.ts';
import { isLongLived, jwtEnd } from './jwt-life.ts';
import { keyShapeOf } from './key-shapes.ts';
import { hintOf, hintOfName } from './secret-name.ts';
import type { SecretHint } from './secret-name.ts';
import { uriPasswordsIn } from './uri-password.ts';

/** A long-lived credential in a call. Never contains the secret itself. */
export interface StaticSecret {
  /**
   * What it looks like: `jwt`, `basic`, `private-key`, `aws-access-key`, …; `api-key` if only its place suggests a secret.
   */
  readonly kind: string;
  readonly where: 'header' | 'query' | 'path';
  /** Header or query parameter name in lower case, `?` if the name must not be shown; in a path `segment 1` for the first. */
  readonly name: string;
  /** Its digest under the key of the state file, which may be shown. */
  readonly digest: string;
  /** `sha-256:` and the base64url digest of the secret. Never shown: weak passwords can be guessed from it. */
  readonly sha256: string;
}

/** The inputs of a search. */
export interface SecretSearch {
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** Returns the digest of a secret that may be shown. */
  readonly digestOf: (secret: string) => string;
}

/** Most secrets searched for; beyond it there may be more. */
export const MAX_FOUND = 16;

/** Prefilter: a text without any of these contains no word of these shapes, no JWT and no key. Most texts end here. */
const MAY_HOLD = /eyJ|-----BEGIN|AKIA|ABIA|ACCA|gh[oprsu]_|github_pat_|gl[a-z]{2,5}-|xox|[rs]k_|sk-|AIza|npm_|hf_|SG\./;

/** Words of a value that could be a credential. */
const WORD = /[A-Za-z0-9_~+/.-]+/g;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY-----/;

/** Headers whose value is a key, whatever it looks like. */
const KEY_HEADERS: ReadonlySet<string> = new Set([
  'api-key',
  'apikey',
  'ocp-apim-subscription-key',
  'private-token',
  'x-access-token',
  'x-api-key',
  'x-api-token',
  'x-apikey',
  'x-auth-key',
  'x-auth-token',
  'x-functions-key',
  'x-gitlab-token',
  'x-goog-api-key',
  'x-vault-token',
]);

const LOOKS_RANDOM = /^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_.+/=-]{20,}$/;

/** `authorization` schemes without a secret: a signature, or the answer to a challenge. */
const SAFE_SCHEMES: ReadonlySet<string> = new Set([
  'aws4-hmac-sha256',
  'digest',
  'hoba',
  'negotiate',
  'ntlm',
  'signature',
]);
/** Schemes whose token is judged by its shape here, and later by the token stage. */
const TOKEN_SCHEMES: ReadonlySet<string> = new Set(['bearer', 'dpop']);
/** Proofs of possession have no `exp` and are valid for one call. */
const PROOF_HEADERS: ReadonlySet<string> = new Set(['dpop', 'signature', 'signature-input']);

/**
 * Finds long-lived credentials in a call's path, headers and query: JWTs without `exp` or with an `exp` more than 24 hours away,
 * keys of known shapes, and any value of `Basic` and other schemes, or of headers and parameters meant for keys. At most 16;
 * one pass. Pure, never throws.
 */
export function staticSecretsIn(
  call: Pick<HttpCall, 'headers' | 'query' | 'segments'>,
  { nowMs, digestOf }: SecretSearch,
): readonly StaticSecret[] {
  const found: FoundSecret[] = [];
  for (const [index, segment] of call.segments.entries()) {
    const seen = secretsOf(segment, nowMs);
    if (seen.length > 0) collect(found, { where: 'path', name: `segment ${index + 1}` }, seen);
  }
  for (const [name, values] of call.headers) {
    if (PROOF_HEADERS.has(name)) continue;
    for (const value of values) {
      const seen = inHeader(name, value, nowMs);
      if (seen.length > 0) collect(found, { where: 'header', name }, seen);
    }
  }
  for (const field of call.query === '' ? [] : call.query.split('&')) {
    const equals = field.indexOf('=');
    const name = readable(equals === -1 ? field : field.slice(0, equals));
    // The name itself can be a secret: then it is not shown.
    const bare = secretsOf(name, nowMs);
    collect(found, { where: 'query', name: bare.length > 0 ? '' : name }, bare);
    if (equals !== -1)
      collect(found, { where: 'query', name }, inNamed(hintOfName(name), readable(field.slice(equals + 1)), nowMs));
  }
  return found.map(({ kind, where, name, secret }) => {
    return { kind, where, name, digest: digestOf(secret), sha256: sha256Of(secret) };
  });
}

/** A path, URI or name without any of these contains no secret of these forms. */
const MAY_HOLD_IN_TARGET = /[%?@]/;
/** As the current time, it makes every JWT long-lived: a short-lived JWT must not be shown either. */
const BEFORE_ALL_MS = -Infinity;

/** Finds credentials in a path, a query starting with `?`, a URI or a name, each part percent-decoded once. */
function inTarget(text: string): readonly Seen[] {
  if (!MAY_HOLD.test(text) && !MAY_HOLD_IN_TARGET.test(text)) return NOTHING;
  const mark = text.indexOf('?');
  const head = mark === -1 ? text : text.slice(0, mark);
  const seen: Seen[] = uriPasswordsIn(head, MAX_FOUND).map((secret) => ({ kind: 'uri-password', secret }));
  // No shape contains one of these characters; a secret can be on either side.
  for (const piece of text.split(/[/?&=;#@:]/)) seen.push(...secretsOf(decoded(piece), BEFORE_ALL_MS));
  for (const field of mark === -1 ? [] : text.slice(mark + 1).split(/[&;#]/)) {
    const equals = field.indexOf('=');
    const name = readable(equals === -1 ? field : field.slice(0, equals));
    if (equals !== -1) seen.push(...inNamed(hintOf(name), readable(field.slice(equals + 1)), BEFORE_ALL_MS));
  }
  return seen;
}

/**
 * The text that may be shown, recorded and traced: each credential, short-lived tokens included, is replaced by its digest.
 * If a credential cannot be located literally, or there are very many, the whole text is replaced by its digest. For paths,
 * queries starting with `?`, URIs, names, and sentences that contain one of these. Never throws.
 */
export function shownText(text: string, digestOf: SecretSearch['digestOf']): string {
  const seen = inTarget(text);
  if (seen.length === 0) return text;
  if (seen.length >= MAX_FOUND) return digestOf(text);
  let shown = text;
  // Longest first: one secret can contain another.
  for (const { secret } of seen.toSorted((a, b) => b.secret.length - a.secret.length)) {
    const spelled = [secret, encodeURIComponent(secret)].find((one) => text.includes(one));
    if (spelled === undefined) return digestOf(text);
    shown = shown.replaceAll(spelled, digestOf(secret));
  }
  return shown;
}

/**
 * Whether a value is or contains a credential of any lifetime, or is secret by its name or a name above it.
 * @param hint what these names say: `hintOf`
 */
export const isSecretArgument = (hint: SecretHint, value: string): boolean =>
  inNamed(hint, value, BEFORE_ALL_MS).length > 0 || inTarget(value).length > 0;

/** Headers that hold a session or a proof, whatever they look like. */
const SESSION_HEADERS: ReadonlySet<string> = new Set(['cookie', 'cookie2', ...PROOF_HEADERS]);

/** Whether a header, named in lower case, is or contains a credential of any lifetime, or a session. */
export const isSecretHeader = (name: string, value: string): boolean =>
  SESSION_HEADERS.has(name) || inHeader(name, value, BEFORE_ALL_MS).length > 0 || isSecretArgument(hintOf(name), value);

/** Truncates a text for a message; replaced by a note if it contains a credential, which might be cut in two. */
export const cutText = (text: string, max: number): string => {
  if (text.length <= max) return text.toWellFormed();
  return inTarget(text).length > 0 ? '(not shown: it contains a credential)' : text.slice(0, max).toWellFormed();
};

/** `sha-256:` and the base64url digest of a secret. */
export const sha256Of = (secret: string): string =>
  `sha-256:${createHash('sha256').update(secret, 'utf8').digest('base64url')}`;

interface Seen {
  readonly kind: string;
  readonly secret: string;
}

type FoundSecret = Seen & Pick<StaticSecret, 'where' | 'name'>;

const SHOWN_NAME = /^(?:segment [0-9]+|[a-z0-9_.-]{1,64})$/;

function collect(
  found: FoundSecret[],
  { where, name }: Pick<StaticSecret, 'where' | 'name'>,
  seen: readonly Seen[],
): void {
  const shown = name.toLowerCase();
  for (const { kind, secret } of seen) {
    if (found.length >= MAX_FOUND) return;
    found.push({ kind, where, name: SHOWN_NAME.test(shown) ? shown : '?', secret });
  }
}

function inHeader(name: string, value: string, nowMs: number): readonly Seen[] {
  const isAuthorization = name === 'authorization' || name === 'proxy-authorization';
  if (isAuthorization) return inAuthorization(value, nowMs);
  return KEY_HEADERS.has(name) ? keyed(value, nowMs) : secretsOf(value, nowMs);
}

function inAuthorization(value: string, nowMs: number): readonly Seen[] {
  const space = value.indexOf(' ');
  const scheme = value.slice(0, Math.max(0, space)).toLowerCase();
  const rest = value.slice(space + 1).trim();
  if (scheme === '' || TOKEN_SCHEMES.has(scheme) || SAFE_SCHEMES.has(scheme)) return secretsOf(value, nowMs);
  if (scheme === 'basic') return rest === '' ? [] : [{ kind: 'basic', secret: rest }];
  return keyed(rest, nowMs);
}

/** Secrets in a value by what its names say. */
function inNamed(hint: SecretHint, value: string, nowMs: number): readonly Seen[] {
  const isKey = hint === 'secret' || (hint === 'secret-if-random' && LOOKS_RANDOM.test(value));
  return isKey ? keyed(value, nowMs) : secretsOf(value, nowMs);
}

/** A value in a place meant for keys: the whole value is secret, unless it is a short-lived JWT. */
function keyed(value: string, nowMs: number): readonly Seen[] {
  const secret = value.trim();
  const known = secretsOf(secret, nowMs);
  if (known.length > 0 || secret === '' || isShortLived(secret, nowMs)) return known;
  return [{ kind: 'api-key', secret }];
}

const NOTHING: readonly Seen[] = [];

/** Secrets of known shapes in a text. */
function secretsOf(text: string, nowMs: number): readonly Seen[] {
  if (!MAY_HOLD.test(text)) return NOTHING;
  const isRemembered = text.length >= LONG_CHARS && text.length <= MAX_REMEMBERED_CHARS;
  const words = isRemembered ? rememberedWords(text) : wordsOf(text);
  if (words.length === 0) return NOTHING;
  const seen: Seen[] = [];
  for (const { kind, from, to, endSeconds } of words) {
    if (isLongLived(endSeconds, nowMs)) seen.push({ kind, secret: text.slice(from, to) });
    if (seen.length >= MAX_FOUND) break;
  }
  return seen;
}

/** Position of a secret word in a text. Never contains the word, so that it can be cached. */
interface SecretWord {
  readonly kind: string;
  readonly from: number;
  readonly to: number;
  /** Whether a JWT is a secret depends on its lifetime and so on the time; other secrets have no end. */
  readonly endSeconds: number;
}

/** Minimum length for the cache: below it searching is faster than a lookup. */
const LONG_CHARS = 64;
const MAX_REMEMBERED_CHARS = 4_096;

/**
 * Memoised positions of secret words in long texts, which mostly repeat from call to call: tokens and forwarded identities.
 * INVARIANT: the cache holds a keyed digest of the text (key of this process) and positions, nothing of the text itself.
 */
const remembered = new BoundedMemo<readonly SecretWord[]>({ maxKeys: 2_048, maxChars: 131_072, hasWholeKeys: true });
const memoryKey = Buffer.from(systemPorts.randomBytes(32)).toString('base64');

function rememberedWords(text: string): readonly SecretWord[] {
  const key = hash('sha256', memoryKey + text, 'base64');
  const known = remembered.get(key);
  if (known !== undefined) return known;
  const words = wordsOf(text);
  remembered.set(key, words);
  return words;
}

function wordsOf(text: string): readonly SecretWord[] {
  if (PRIVATE_KEY.test(text)) return [{ kind: 'private-key', from: 0, to: text.length, endSeconds: Infinity }];
  const words: SecretWord[] = [];
  for (const { 0: word, index } of text.matchAll(WORD)) {
    const end = jwtEnd(word);
    const kind = end === null ? keyShapeOf(word) : 'jwt';
    if (kind !== null) words.push({ kind, from: index, to: index + word.length, endSeconds: end ?? Infinity });
  }
  return words;
}

function isShortLived(word: string, nowMs: number): boolean {
  const end = jwtEnd(word);
  return end !== null && !isLongLived(end, nowMs);
}

/** Percent-decodes a part of a query once; returned as it is if that fails. */
const readable = (text: string): string => decoded(text.replaceAll('+', ' '));

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

import { createHash, hash } from 'node:crypto';
import { systemPorts } from '../runtime/ports.ts';
import { BoundedMemo } from '../runtime/bounded-memo.ts';
import type { HttpCall } from './call.ts';
import { isLongLived, jwtEnd } from './jwt-life.ts';

/** A long-lived credential in a call. Never the secret itself. */
export interface StaticSecret {
  /** What it looks like: `jwt`, `basic`, `private-key`, `aws-access-key`, …; `api-key` where only its place says so. */
  readonly kind: string;
  readonly where: 'header' | 'query' | 'path';
  /** Of the header or the query parameter, in lower case, `?` where the name is none to show; in a path `segment 1`, the first. */
  readonly name: string;
  /** Its digest under the key of the state file; what may be shown of it. */
  readonly digest: string;
  /** `sha-256:` and the base64url digest of the secret. Never shown: a weak password can be guessed from it. */
  readonly sha256: string;
}

/** What secrets are looked for with. */
export interface SecretSearch {
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** The digest of a secret that may be shown. */
  readonly digestOf: (secret: string) => string;
}

/** More are not looked for, so a call with that many has perhaps one that nobody looked at. */
export const MAX_FOUND = 16;

/** Anchored, with bounded or single repetition: each is decided in one pass over its word. */
const SHAPES: readonly (readonly [kind: string, shape: RegExp])[] = [
  ['aws-access-key', /^(?:AKIA|ABIA|ACCA)[A-Z2-7]{16}(?:\/|$)/],
  ['github-token', /^(?:gh[oprsu]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})$/],
  ['gitlab-token', /^gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-[A-Za-z0-9_.-]{20,300}$/],
  ['slack-token', /^xox[abeoprs]-[A-Za-z0-9-]{10,300}$/],
  ['stripe-key', /^[rs]k_(?:live|test)_[A-Za-z0-9]{16,300}$/],
  ['sk-key', /^sk-[A-Za-z0-9_-]{20,300}$/],
  ['google-api-key', /^AIza[A-Za-z0-9_-]{35}$/],
  ['npm-token', /^npm_[A-Za-z0-9]{36}$/],
  ['hugging-face-token', /^hf_[A-Za-z0-9]{30,64}$/],
  ['sendgrid-key', /^SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}$/],
];

/** A text that holds none of these has no word of such a shape, no JWT and no key: most texts are done with at that. */
const MAY_HOLD = /eyJ|-----BEGIN|AKIA|ABIA|ACCA|gh[oprsu]_|github_pat_|gl[a-z]{2,5}-|xox|[rs]k_|sk-|AIza|npm_|hf_|SG\./;

/** The words of a value that a credential can be. */
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

/** Query parameters whose value is a secret, by their name in lower case without `-` and `_`. */
const KEY_PARAMETERS: ReadonlySet<string> = new Set([
  'accesstoken',
  'apikey',
  'apitoken',
  'authtoken',
  'clientsecret',
  'password',
  'privatetoken',
  'secret',
]);
/** Those that are a secret where they look like one, since pages and objects have keys and tokens too. */
const AMBIGUOUS_PARAMETERS: ReadonlySet<string> = new Set(['auth', 'key', 'token']);
const LOOKS_RANDOM = /^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_.+/=-]{20,}$/;

/** Schemes of `authorization` that carry no secret: a signature, or the answer to a challenge. */
const SAFE_SCHEMES: ReadonlySet<string> = new Set([
  'aws4-hmac-sha256',
  'digest',
  'hoba',
  'negotiate',
  'ntlm',
  'signature',
]);
/** Those whose token is judged by its own look here, and by the token stage after that. */
const TOKEN_SCHEMES: ReadonlySet<string> = new Set(['bearer', 'dpop']);
/** Proofs of possession have no `exp`, and are good for one call. */
const PROOF_HEADERS: ReadonlySet<string> = new Set(['dpop', 'signature', 'signature-input']);

/**
 * The long-lived credentials a call carries in its path, its headers and its query: JWTs without `exp` or with one more than 24 hours
 * away, keys of known shapes, and whatever stands in `Basic` and other schemes, in headers and in parameters made for keys.
 * At most 16; one pass over what the call's own limits let through. Pure, never throws.
 */
export function staticSecretsIn(
  call: Pick<HttpCall, 'headers' | 'query' | 'segments'>,
  { nowMs, digestOf }: SecretSearch,
): readonly StaticSecret[] {
  const found: Found[] = [];
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
    // A key can stand where a name should; then it is not shown.
    const bare = secretsOf(name, nowMs);
    collect(found, { where: 'query', name: bare.length > 0 ? '' : name }, bare);
    if (equals !== -1)
      collect(found, { where: 'query', name }, inParameter(name, readable(field.slice(equals + 1)), nowMs));
  }
  return found.map(({ kind, where, name, secret }) => {
    return { kind, where, name, digest: digestOf(secret), sha256: sha256Of(secret) };
  });
}

/** Of a userinfo in a URI: what stands between `:` and `@`. */
const URI_PASSWORD = /[a-z][a-z0-9+.-]*:\/\/[^/?#@:]*:([^/?#@]{1,1024})@/i;
/** Where no secret is found in a path, a URI or a name without one of these. */
const MAY_HOLD_IN_TARGET = /[%?@]/;
/** A JWT of however short a life is a secret too where it is shown: before any time at all, every one lives long. */
const BEFORE_ALL_MS = -Infinity;

/** What is like a credential in a path, a query that begins with `?`, a URI or a name, in every spelling of a percent-encoding. */
function inTarget(text: string): readonly Seen[] {
  if (!MAY_HOLD.test(text) && !MAY_HOLD_IN_TARGET.test(text)) return NOTHING;
  const mark = text.indexOf('?');
  const head = mark === -1 ? text : text.slice(0, mark);
  const password = URI_PASSWORD.exec(head)?.[1];
  const seen: Seen[] = password === undefined ? [] : [{ kind: 'uri-password', secret: password }];
  // None of the shapes has one of these in it, and each can stand on either side.
  for (const piece of text.split(/[/?&=;#@:]/)) seen.push(...secretsOf(decoded(piece), BEFORE_ALL_MS));
  for (const field of mark === -1 ? [] : text.slice(mark + 1).split(/[&;#]/)) {
    const equals = field.indexOf('=');
    const name = readable(equals === -1 ? field : field.slice(0, equals));
    if (equals !== -1) seen.push(...inParameter(name, readable(field.slice(equals + 1)), BEFORE_ALL_MS));
  }
  return seen;
}

/**
 * What may be shown, recorded and traced of a path, a query that begins with `?`, a URI, a name or a sentence with one of these:
 * the same text, with the digest of each credential in its place, tokens of a short life too. Where a credential does not stand there
 * as it reads, or there are very many, the digest of all of the text. Never throws.
 */
export function shownText(text: string, digestOf: SecretSearch['digestOf']): string {
  const seen = inTarget(text);
  if (seen.length === 0) return text;
  if (seen.length >= MAX_FOUND) return digestOf(text);
  let shown = text;
  // The longest first: one can be a part of another.
  for (const { secret } of seen.toSorted((a, b) => b.secret.length - a.secret.length)) {
    const spelled = [secret, encodeURIComponent(secret)].find((one) => text.includes(one));
    if (spelled === undefined) return digestOf(text);
    shown = shown.replaceAll(spelled, digestOf(secret));
  }
  return shown;
}

/** Whether the value of an argument is a credential or holds one, of however short a life, as a query parameter of its name would. */
export const isSecretArgument = (name: string, value: string): boolean =>
  inParameter(name, value, BEFORE_ALL_MS).length > 0 || inTarget(value).length > 0;

/** The first characters of a text for a message; where a credential in it would be cut in two, what it is instead. */
export const cutText = (text: string, max: number): string => {
  if (text.length <= max) return text.toWellFormed();
  return inTarget(text).length > 0 ? '(not shown: it holds a credential)' : text.slice(0, max).toWellFormed();
};

/** `sha-256:` and the base64url digest of a secret. */
export const sha256Of = (secret: string): string =>
  `sha-256:${createHash('sha256').update(secret, 'utf8').digest('base64url')}`;

interface Seen {
  readonly kind: string;
  readonly secret: string;
}

type Found = Seen & Pick<StaticSecret, 'where' | 'name'>;

const SHOWN_NAME = /^(?:segment [0-9]+|[a-z0-9_.-]{1,64})$/;

function collect(found: Found[], { where, name }: Pick<StaticSecret, 'where' | 'name'>, seen: readonly Seen[]): void {
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

function inParameter(name: string, value: string, nowMs: number): readonly Seen[] {
  const plain = name.toLowerCase().replaceAll(/[-_]/g, '');
  const isKey = KEY_PARAMETERS.has(plain) || (AMBIGUOUS_PARAMETERS.has(plain) && LOOKS_RANDOM.test(value));
  return isKey ? keyed(value, nowMs) : secretsOf(value, nowMs);
}

/** A value in a place made for keys: all of it is one, unless it is a JWT of its own short life. */
function keyed(value: string, nowMs: number): readonly Seen[] {
  const secret = value.trim();
  const known = secretsOf(secret, nowMs);
  if (known.length > 0 || secret === '' || isShortLived(secret, nowMs)) return known;
  return [{ kind: 'api-key', secret }];
}

const NOTHING: readonly Seen[] = [];

/** The secrets of known shapes in a text. */
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

/** Where in a text a word stands that has the shape of a secret; never the word, so that it can be remembered. */
interface SecretWord {
  readonly kind: string;
  readonly from: number;
  readonly to: number;
  /** A JWT is a secret by its life alone, which hangs on the time; the others have no end. */
  readonly endSeconds: number;
}

/** From here on a look at what is remembered is quicker than the search; to here, since longer ones are not the same from call to call. */
const LONG_CHARS = 64;
const MAX_REMEMBERED_CHARS = 4_096;

/**
 * Where words stand in long texts, which are mostly those of the calls before: tokens, and who the proxy says calls. INVARIANT: what
 * is kept is a digest of the text, under a key of this process, and places in it; nothing of the text itself.
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
    const kind = end === null ? shapeOf(word) : 'jwt';
    if (kind !== null) words.push({ kind, from: index, to: index + word.length, endSeconds: end ?? Infinity });
  }
  return words;
}

const shapeOf = (word: string): string | null => SHAPES.find(([, shape]) => shape.test(word))?.[0] ?? null;

function isShortLived(word: string, nowMs: number): boolean {
  const end = jwtEnd(word);
  return end !== null && !isLongLived(end, nowMs);
}

/** A part of a query, percent-decoded once; as it is where it cannot be. */
const readable = (text: string): string => decoded(text.replaceAll('+', ' '));

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

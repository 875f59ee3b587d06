import { hash } from 'node:crypto';
import type { ArgumentValue } from '../action/arguments/argument.ts';
import type { Action } from '../action/http/http.ts';
import { hintOf } from '../action/secrets/secret-name.ts';
import { isSecretArgument } from '../action/secrets/static-secret.ts';
import type { JsonValue } from './canonical-json.ts';

/** Longest recorded argument in bytes of JSON; a longer argument is recorded as its digest. */
const MAX_BYTES = 256;

/**
 * The arguments marked `record: true` in the catalog, as recorded: a decimal as text, a list as a list. A value whose JSON
 * exceeds 256 bytes becomes `{"bytes", "sha-256"}`: length and base64url digest of the text, for a list of its JSON. A value
 * that is or contains a credential of any lifetime, or is secret by its name or a name of its place, becomes `{"withheld":"secret"}`, without a digest to
 * guess from.
 *
 * @returns `null` if none is marked or sent
 */
export function recordedArgs({
  args,
  recorded = NONE,
}: Pick<Action, 'args' | 'recorded'>): { readonly [name: string]: JsonValue } | null {
  const found: [string, JsonValue][] = [];
  for (const [name, place] of recorded) {
    const value = args.get(name);
    if (value !== undefined) found.push([name, recordedValue([...place, name], value)]);
  }
  return found.length === 0 ? null : Object.fromEntries(found);
}

const NONE: ReadonlyMap<string, readonly string[]> = new Map();

/** @param names the names above the value, and its own */
function recordedValue(names: readonly string[], value: ArgumentValue): JsonValue {
  const json = isDecimal(value) ? value.decimal : value;
  const texts = Array.isArray(json) ? (json as readonly string[]) : [String(json)];
  const hint = hintOf(names.join('/'));
  if (texts.some((text) => isSecretArgument(hint, text))) return { withheld: 'secret' };
  const text = JSON.stringify(json);
  if (Buffer.byteLength(text) <= MAX_BYTES) return json;
  const whole = typeof json === 'string' ? json : text;
  return { bytes: Buffer.byteLength(whole), 'sha-256': hash('sha256', whole, 'base64url') };
}

/**
 * The texts by which a recorded argument is found: its text, or those of the items of a list; `sha-256:` with the digest if it was too long to be
 * recorded. A withheld secret has none.
 */
export function argTexts(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (typeof value === 'number' || typeof value === 'boolean') return [String(value)];
  if (Array.isArray(value)) return value.flatMap((item) => (typeof item === 'object' ? [] : argTexts(item)));
  const digest: unknown =
    typeof value === 'object' && value !== null && 'sha-256' in value ? value['sha-256'] : undefined;
  return typeof digest === 'string' ? [digestText(digest)] : [];
}

/** The text to look for in `argTexts` to find an argument that was sent with this text. */
export const askedArgText = (text: string): string =>
  Buffer.byteLength(JSON.stringify(text)) <= MAX_BYTES ? text : digestText(hash('sha256', text, 'base64url'));

const digestText = (digest: string): string => `sha-256:${digest}`;

const isDecimal = (value: ArgumentValue): value is { readonly decimal: string } =>
  typeof value === 'object' && 'decimal' in value;

import { hash } from 'node:crypto';
import type { Carried } from '../action/carried.ts';
import { isSecretArgument } from '../action/static-secret.ts';
import { canonicalJson } from './canonical-json.ts';
import type { JsonValue } from './canonical-json.ts';

/** Longest names together, in characters. */
const MAX_NAMES_CHARS = 2048;

/**
 * What a call carried beside its arguments, as recorded: the places of its parts, how many more there were, and the base64url
 * SHA-256 of the parts by place, in canonical JSON. The digest is left out where a part has no canonical form, and replaced by
 * `"withheld":"secret"` where one is or contains a credential: nobody may guess from it.
 */
export function recordedCarried({ names, more, values }: Carried): { readonly [name: string]: JsonValue } {
  const shown: string[] = [];
  let chars = 0;
  for (const name of names) {
    chars += name.length;
    if (chars > MAX_NAMES_CHARS) break;
    shown.push(name);
  }
  const left = more + names.length - shown.length;
  const [digest, withheld] = digestOf(values);
  return {
    ...(left === 0 ? {} : { more: left }),
    names: shown,
    ...(digest === null ? {} : { 'sha-256': digest }),
    ...(withheld ? { withheld: 'secret' } : {}),
  };
}

/** Longest canonical JSON that is searched for credentials: nobody guesses a longer text from its digest. */
const MAX_SEARCHED_CHARS = 65_536;

function digestOf(values: Carried['values']): readonly [digest: string | null, isWithheld: boolean] {
  // Safe: each value was parsed from JSON. What a double cannot hold exactly is `Infinity`, which has no canonical form.
  const text = canonicalJson(Object.fromEntries(values) as { readonly [name: string]: JsonValue });
  if (typeof text !== 'string') return [null, false];
  const isSecret =
    text.length <= MAX_SEARCHED_CHARS && [...values].some(([place, value]) => holdsSecret(nameOf(place), value));
  return isSecret ? [null, true] : [hash('sha256', text, 'base64url'), false];
}

const nameOf = (place: string): string => place.slice(place.lastIndexOf('/') + 1);

/** Whether a value is or contains a credential, anywhere below it. Its depth is bounded by the parser. */
function holdsSecret(name: string, value: unknown): boolean {
  if (typeof value === 'string') return isSecretArgument(name, value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, below]) => holdsSecret(Array.isArray(value) ? name : key, below));
}

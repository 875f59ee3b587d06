import { hash } from 'node:crypto';
import type { Carried } from '../action/http/carried.ts';
import type { Action } from '../action/http/http.ts';
import { hintOf } from '../action/secrets/secret-name.ts';
import type { SecretHint } from '../action/secrets/secret-name.ts';
import { isSecretArgument, isSecretHeader } from '../action/secrets/static-secret.ts';
import { canonicalJson } from './canonical-json.ts';
import type { JsonValue } from './canonical-json.ts';

/** Longest names together, in characters. */
const MAX_NAMES_CHARS = 2048;

type Recorded = { readonly [name: string]: JsonValue };

/**
 * What a call carried beside its arguments, as recorded: the places of its parts, how many more there were, and the base64url
 * SHA-256 of the parts by place, in canonical JSON. The digest is left out if a part has no canonical form, and replaced by
 * `"withheld":"secret"` if a part is or contains a credential, which could be guessed from a digest. The same for its other headers, in `headers`.
 *
 * @returns `null` if it carried nothing
 */
export function recordedCarried({ carried, otherHeaders }: Pick<Action, 'carried' | 'otherHeaders'>): Recorded | null {
  if (otherHeaders === undefined) return carried === undefined ? null : recordedParts(carried, isSecretPart);
  const headers = recordedParts(otherHeaders, isSecretOfHeader);
  return carried === undefined ? { headers } : { headers, ...recordedParts(carried, isSecretPart) };
}

/** A text or number in a part, with the place of the part, and what the names above it say. */
interface PlacedText {
  readonly place: string;
  readonly hint: SecretHint;
  readonly text: string;
}

type IsSecret = (text: PlacedText) => boolean;

const isSecretPart: IsSecret = ({ hint, text }) => isSecretArgument(hint, text);
const isSecretOfHeader: IsSecret = ({ place, text }) => isSecretHeader(place, text);

function recordedParts({ names, more, values }: Carried, isSecret: IsSecret): Recorded {
  const shown: string[] = [];
  let chars = 0;
  for (const name of names) {
    chars += name.length;
    if (chars > MAX_NAMES_CHARS) break;
    shown.push(name);
  }
  const left = more + names.length - shown.length;
  const [digest, withheld] = digestOf(values, isSecret);
  return {
    ...(left === 0 ? {} : { more: left }),
    names: shown,
    ...(digest === null ? {} : { 'sha-256': digest }),
    ...(withheld ? { withheld: 'secret' } : {}),
  };
}

/** Most texts that are searched for credentials, and longest canonical JSON: longer content cannot be guessed from its digest. */
const MAX_SEARCHED = 256;
const MAX_SEARCHED_CHARS = 65_536;

function digestOf(
  values: Carried['values'],
  isSecret: IsSecret,
): readonly [digest: string | null, isWithheld: boolean] {
  // Safe: each value was parsed from JSON. What a double cannot hold exactly is `Infinity`, which has no canonical form.
  const text = canonicalJson(Object.fromEntries(values) as { readonly [name: string]: JsonValue });
  if (typeof text !== 'string') return [null, false];
  const isWithheld = text.length <= MAX_SEARCHED_CHARS && holdsSecret(values, isSecret);
  return isWithheld ? [null, true] : [hash('sha256', text, 'base64url'), false];
}

function holdsSecret(values: Carried['values'], isSecret: IsSecret): boolean {
  let searched = 0;
  for (const [place, value] of values) {
    for (const found of textsIn(value, hintOf(place))) {
      searched += 1;
      if (searched > MAX_SEARCHED) return false;
      if (isSecret({ place, ...found })) return true;
    }
  }
  return false;
}

/**
 * The texts and numbers in a JSON value, each with what the names above it say: a password may be a number, or be the name of a member below such a
 * name. The parser bounds the depth.
 */
function* textsIn(value: unknown, hint: SecretHint): Generator<Omit<PlacedText, 'place'>> {
  if (typeof value === 'string' || typeof value === 'number') yield { hint, text: String(value) };
  else if (Array.isArray(value)) for (const below of value) yield* textsIn(below, hint);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, below] of Object.entries(value)) {
      if (hint !== 'none') yield { hint, text: name };
      yield* textsIn(below, hintOf(name, hint));
    }
  }
}

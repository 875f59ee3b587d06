import type { KeyObject } from 'node:crypto';
import { deny, isDeny, type Deny } from '../../decision/decision.ts';
import { BoundedMemo } from '../../runtime/collections/bounded-memo.ts';
import { algorithms, type SignatureAlgorithm } from './algorithms.ts';
import { bytesFromBase64url } from './base64url.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { absent, members, optional, text } from '../../runtime/fields.ts';
import { isSigned } from './signature.ts';
import { strictJsonFrom } from './strict-json.ts';

/** A parsed token whose signature is not verified yet: nothing in it may be trusted. */
export interface CompactJws {
  readonly compact: string;
  readonly algorithm: SignatureAlgorithm;
  readonly keyId: string | null;
  readonly type: string | null;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/** Three parts of base64url separated by dots. Empty last parts are refused later, with a better reason. */
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$/;

/** Longest text in a header member. */
export const MAX_HEADER_CHARACTERS = 256;

/** The three decoded parts of a compact JWS, not parsed yet. */
export interface JwsParts {
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Splits and decodes a compact JWS. A problem, as a clause, for more than `maxBytes`, characters other than base64url and dots,
 * anything but two dots, or non-canonical base64url. Length is checked first, so that huge input costs nothing.
 *
 * @see RFC 7515 section 7.1
 */
export function jwsPartsFrom(compact: string, maxBytes: number): JwsParts | Problem {
  if (compact.length > maxBytes) return { problem: `is longer than ${maxBytes} bytes` };
  if (!COMPACT.test(compact)) return { problem: 'is not three parts of base64url' };
  const [header, payload, signature] = compact.split('.').map(bytesFromBase64url);
  if (!header || !payload || !signature) return { problem: 'is not canonical base64url' };
  return { header, payload, signature };
}

/**
 * Parses a compact JWS strictly. Denies with `token.malformed` for what `jwsPartsFrom` refuses, a header that is not strict JSON, or has
 * `crit`, `b64`, `jku`, `jwk`, `x5u` or `x5c`; `token.algorithm` for an algorithm outside the profile, such
 * as `none`; `token.signature` for an empty signature.
 *
 * @see RFC 7515 section 7.1, RFC 8725 sections 3.1 and 3.10
 */
export function compactJwsFrom(compact: string, maxBytes: number): CompactJws | Deny {
  const parts = jwsPartsFrom(compact, maxBytes);
  if (isProblem(parts)) return deny('token.malformed', `the token ${parts.problem}`);
  const read = headers.of(compact.slice(0, compact.indexOf('.')), () => headerFrom(parts.header));
  if (isDeny(read)) return read;
  if (parts.signature.length === 0) return deny('token.signature', 'the signature is empty');
  return { ...read, compact, payload: parts.payload, signature: parts.signature };
}

/** Memoised: all tokens of one key have the same header. */
const headers = new BoundedMemo<ReturnType<typeof headerFrom>>({ maxKeys: 256 });

function headerFrom(bytes: Uint8Array): Pick<CompactJws, 'algorithm' | 'keyId' | 'type'> | Deny {
  const json = strictJsonFrom(bytes);
  if (isProblem(json)) return deny('token.malformed', `header ${json.problem}`);
  const header = headerMembers(json.value);
  if (isProblem(header)) return deny('token.malformed', `header ${header.problem}`);
  const spec = algorithms.get(header.alg);
  if (spec === undefined) return deny('token.algorithm', 'header member `alg` is not an algorithm of the profile');
  return { algorithm: spec.name, keyId: header.kid, type: header.typ };
}

/**
 * `crit` to `x5c` supply or locate a key, change what is signed, or require an extension. Remit fetches nothing a token names,
 * uses no key it carries, and supports no extension.
 */
const headerMembers = members(
  {
    crit: absent,
    b64: absent,
    jku: absent,
    jwk: absent,
    x5u: absent,
    x5c: absent,
    alg: text({ max: MAX_HEADER_CHARACTERS }),
    kid: optional(text({ max: MAX_HEADER_CHARACTERS })),
    typ: optional(text({ max: MAX_HEADER_CHARACTERS })),
  },
  { others: 'ignored' },
);

/** The signed part of a compact JWS. @see RFC 7515 section 2 */
export const signingInputOf = (compact: string): string => compact.slice(0, compact.lastIndexOf('.'));

/** Why a signature does not verify; `null` if it does. The key must be for exactly the algorithm that the token names. */
export function signatureProblem(
  { compact, algorithm, signature }: Pick<CompactJws, 'compact' | 'algorithm' | 'signature'>,
  key: KeyObject,
): Deny | null {
  const signed = Buffer.from(signingInputOf(compact), 'latin1');
  return isSigned(signed, signature, { algorithm, key })
    ? null
    : deny('token.signature', 'the signature does not verify with the key of its issuer');
}

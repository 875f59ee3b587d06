import { deny, type Deny } from '../../decision/decision.ts';
import type { SignatureAlgorithm } from '../jose/algorithms.ts';
import { tokenId } from '../jose/claim-readers.ts';
import { jwsPartsFrom, MAX_HEADER_CHARACTERS, signatureProblem } from '../jose/compact-jws.ts';
import { jwkFrom, type VerificationKey } from '../jose/jwk.ts';
import { digestOfToken } from '../jose/jwt.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { absent, members, optional, type Reader, seconds, text } from '../../runtime/fields.ts';
import { strictJsonFrom } from '../jose/strict-json.ts';
import type { ProofNonces } from './proof-nonce.ts';
import { MAX_TARGET_URI_CHARACTERS, targetUriFrom } from './target-uri.ts';

/** A DPoP proof verified for one request: the sender holds the private key. */
export interface Proof {
  /** RFC 7638 thumbprint of the key (base64url SHA-256), which a token's `cnf.jkt` names. */
  readonly thumbprint: string;
  readonly algorithm: SignatureAlgorithm;
  /** The `jti` claim. A proof is for one request, which the replay memory enforces. */
  readonly proofId: string;
  /** Seconds since the Unix epoch. */
  readonly issuedAtSeconds: number;
}

/** The rules for proofs. */
export interface ProofRules {
  /** Oldest accepted `iat`, seconds ago; 60 by default. Proofs are remembered for as long. */
  readonly pastSeconds: number;
  /** How far in the future `iat` may be, in seconds, for clock skew; 5 by default. */
  readonly futureSeconds: number;
  readonly algorithms: ReadonlySet<SignatureAlgorithm>;
  /** Longest proof; 8192 by default. */
  readonly maxBytes: number;
}

/** The defaults of `ProofRules`. */
export const defaultProofRules: ProofRules = Object.freeze({
  pastSeconds: 60,
  futureSeconds: 5,
  algorithms: new Set<SignatureAlgorithm>(['ES256', 'Ed25519', 'RS256']),
  maxBytes: 8192,
});

/** The request that a proof must be for. */
export interface ProvenRequest {
  /** As sent; compared exactly. */
  readonly method: string;
  /** Its target by the configured external URL (`targetUriOf`), never by the host it names. Query and fragment are ignored. */
  readonly url: string;
  /** The access token of the request; `null` if there is none, as at a token endpoint. */
  readonly accessToken: string | null;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  readonly rules: ProofRules;
  /** If given, the proof must carry one of these nonces. */
  readonly nonces?: ProofNonces | undefined;
}

/**
 * Verifies the proof in a request's `DPoP` header values: exactly one, of the right type, signed by the key it carries, for this method,
 * target and access token, and recent. Denies everything else with `token.proof`, and with `token.proof-nonce` if only the nonce is missing
 * or not ours; the detail names the member or claim, never its value. The key comes from `jwk` only: nothing is fetched and `kid` is
 * ignored. `bindingProblem` checks that the token is bound to the key, `ProofMemory` that the proof is not reused. Never throws.
 *
 * @see RFC 9449 sections 4.2 and 4.3
 */
export function proofFrom(values: readonly string[], request: ProvenRequest): Proof | Deny {
  const [compact, ...others] = values;
  if (compact === undefined) return refused('no `DPoP` header');
  if (others.length > 0) return refused('more than one `DPoP` header');
  const parts = jwsPartsFrom(compact, request.rules.maxBytes);
  if (isProblem(parts)) return refused(`the proof ${parts.problem}`);
  const key = headerKeyFrom(parts.header, request.rules);
  if (isProblem(key)) return refused(`proof header ${key.problem}`);
  const { signature, payload } = parts;
  if (signatureProblem({ compact, algorithm: key.algorithm, signature }, key.key) !== null) {
    return refused('the signature of the proof does not verify with its key');
  }
  const claims = claimsFrom(payload);
  if (isProblem(claims)) return refused(`proof ${claims.problem}`);
  const other = requestProblem(claims, request);
  if (other !== null) return refused(other);
  // Last, so that only the sender of a proof that is valid otherwise is asked for another proof.
  if (request.nonces?.isAccepted(claims.nonce ?? '') === false) return deny('token.proof-nonce', nonceProblem(claims));
  const { thumbprint, algorithm } = key;
  return { thumbprint, algorithm, proofId: claims.jti, issuedAtSeconds: claims.iat };
}

const refused = (detail: string): Deny => deny('token.proof', detail);

const type: Reader<string> = (value) => (value === 'dpop+jwt' ? value : { problem: 'must be `dpop+jwt`' });

const publicKey: Reader<VerificationKey> = (value) => {
  if (value === undefined) return { problem: 'is required' };
  const read = jwkFrom(value);
  if (isProblem(read)) return read;
  return read.usable ?? { problem: 'is not a key for an algorithm of the profile' };
};

const headerMembers = members(
  {
    crit: absent,
    b64: absent,
    jku: absent,
    x5u: absent,
    x5c: absent,
    x5t: absent,
    'x5t#S256': absent,
    typ: type,
    alg: text({ max: MAX_HEADER_CHARACTERS }),
    jwk: publicKey,
  },
  { others: 'ignored' },
);

function headerKeyFrom(bytes: Uint8Array, { algorithms }: ProofRules): VerificationKey | Problem {
  const json = strictJsonFrom(bytes);
  if (isProblem(json)) return json;
  const header = headerMembers(json.value);
  if (isProblem(header)) return header;
  const { alg, jwk } = header;
  if (alg !== jwk.algorithm) return { problem: 'member `alg` is not the algorithm of the key' };
  return algorithms.has(jwk.algorithm) ? jwk : { problem: 'member `alg` is not an algorithm that is accepted' };
}

const claims = members(
  {
    jti: tokenId,
    htm: text({ max: 64 }),
    htu: text({ max: MAX_TARGET_URI_CHARACTERS }),
    iat: seconds,
    ath: optional(text({ max: 256 })),
    nonce: optional(text({ max: 256 })),
  },
  { noun: 'claim', others: 'ignored' },
);

interface ProofClaims {
  readonly jti: string;
  readonly htm: string;
  readonly htu: string;
  readonly iat: number;
  readonly ath: string | null;
  readonly nonce: string | null;
}

function claimsFrom(payload: Uint8Array): ProofClaims | Problem {
  const json = strictJsonFrom(payload);
  if (isProblem(json)) return { problem: `payload ${json.problem}` };
  return claims(json.value);
}

const nonceProblem = ({ nonce }: ProofClaims): string =>
  nonce === null ? 'proof claim `nonce` is required' : 'proof claim `nonce` is not of this process, or is too old';

function requestProblem({ htm, htu, iat, ath }: ProofClaims, request: ProvenRequest): string | null {
  const { accessToken, method, nowMs, rules, url } = request;
  const [target, expected] = [targetUriFrom(htu), targetUriFrom(url)];
  if (htm !== method) return 'proof claim `htm` is not the method of the call';
  if (isProblem(target)) return `proof claim \`htu\` ${target.problem}`;
  if (isProblem(expected)) return `the external URL of the call ${expected.problem}`;
  if (target !== expected) return 'proof claim `htu` is not the target of the call';
  if (!(nowMs / 1000 <= iat + rules.pastSeconds)) return `proof claim \`iat\` is more than ${rules.pastSeconds} s ago`;
  if (nowMs / 1000 < iat - rules.futureSeconds) return 'proof claim `iat` is in the future';
  if (accessToken === null) return null;
  if (ath === null) return 'proof claim `ath` is required';
  return ath === digestOfToken(accessToken) ? null : 'proof claim `ath` is not the access token of the call';
}

/** Parses and verifies the subject token of a token exchange. */
import { type Deny, deny, isDeny } from '../../../core/decision/decision.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import { trustDomainOf } from '../../../core/identity/spiffe-id.ts';
import {
  AUTHORIZATION_DETAILS_TYPE,
  type AuthorizationDetail,
  authorizationDetailsFrom,
} from '../../../core/token/authorization-details.ts';
import { subjectAttributesFrom } from '../../../core/task/subject-attributes.ts';
import type { SubjectAttributes, SubjectAttributeType } from '../../../core/task/subject-attributes.ts';
import { actorChain, audience, claimLimits, name, scope, spiffeId } from '../../../core/token/jose/claim-readers.ts';
import { type CompactJws, compactJwsFrom, signatureProblem } from '../../../core/token/jose/compact-jws.ts';
import { type Confirmation, confirmation } from '../../../core/token/proof/confirmation.ts';
import type { VerificationKeys } from '../../../core/token/jose/jwt.ts';
import { lifetimeProblem } from '../../../core/token/lifetime.ts';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { members, optional, type Reader, seconds, text } from '../../../core/runtime/fields.ts';
import { strictJsonFrom } from '../../../core/token/jose/strict-json.ts';
import type { SubjectIssuer } from './subject-issuer.ts';

/** The subject of a subject token, with the token's limits. */
export interface Subject {
  /** The `sub` of the subject token. */
  readonly id: string;
  /** Its attributes that the catalog names. */
  readonly attributes: SubjectAttributes;
  /** The actors of the subject token, outermost first. */
  readonly actors: readonly string[];
  /** Expiry in seconds since the Unix epoch; limits everything issued from it. */
  readonly expiresAtSeconds: number;
  /** Actions and families that can be granted; empty if the token has no scope, `null` if the scope is ignored. */
  readonly scope: readonly string[] | null;
  /** Its entries of Remit's type; `null` if it has none. */
  readonly details: readonly AuthorizationDetail[] | null;
  /** Resources it is limited to; `null` for no limit. */
  readonly resources: readonly string[] | null;
}

/** The rules for a subject token. */
export interface SubjectRules {
  readonly issuers: readonly SubjectIssuer[];
  readonly keys: VerificationKeys;
  /** Attributes to read, with their types. */
  readonly attributeTypes: ReadonlyMap<string, SubjectAttributeType>;
  /** Certificate of the client, which is the actor. */
  readonly leaf: LeafCertificate;
  /** Thumbprint of the key of the request's DPoP proof; `null` if absent. */
  readonly proofThumbprint: string | null;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/** Tolerated clock skew of `iat` and `nbf`; none for `exp`. */
const CLOCK_SKEW_SECONDS = 60;

const kinds: ReadonlyMap<string, SubjectIssuer['kind']> = new Map([
  ['at+jwt', 'access-token'],
  ['application/at+jwt', 'access-token'],
  ['oauth-id-jag+jwt', 'id-jag'],
  ['application/oauth-id-jag+jwt', 'id-jag'],
  ['JWT', 'jwt-svid'],
  ['JOSE', 'jwt-svid'],
]);

/**
 * Verifies a token of a configured issuer and returns its subject. The `typ` determines the kind, and each kind has its own rules, so that no
 * token passes for another kind. The token must be signed, live and for this audience; a bound token, or a token that names its actor, is
 * usable by that client only.
 *
 * @returns `token.*` with what is wrong; never a value of the token
 * @see RFC 8693 sections 2.1 and 4.4, RFC 8725 section 3.12, RFC 9068 section 4, the JWT-SVID standard section 5
 */
export function subjectFrom(compact: string, rules: SubjectRules): Subject | Deny {
  const jws = compactJwsFrom(compact, claimLimits.maxSubjectTokenCharacters);
  if (isDeny(jws)) return jws;
  const kind = jws.type === null ? 'jwt-svid' : kinds.get(jws.type);
  if (kind === undefined) return deny('token.malformed', 'header member `typ` is not that of a subject token');
  const json = strictJsonFrom(jws.payload);
  if (isProblem(json)) return deny('token.malformed', `payload ${json.problem}`);
  const issuer = issuerOf(json.value, kind, rules.issuers);
  if (isDeny(issuer)) return issuer;
  // INVARIANT: before the signature is verified, the payload is used only to select the keys.
  const unsigned = unsignedProblem(jws, issuer, rules.keys);
  if (unsigned !== null) return unsigned;
  const subject = kind === 'jwt-svid' ? workload(json.value, issuer, rules) : delegator(json.value, issuer, rules);
  if (isDeny(subject)) return subject;
  const attributes = attributesIn(json.value, issuer, rules.attributeTypes);
  return isDeny(attributes) ? attributes : { ...subject, attributes };
}

/** A claim with the wrong type refuses the token, because a policy may forbid by its value. */
function attributesIn(
  payload: unknown,
  { attributes: claims }: SubjectIssuer,
  types: SubjectRules['attributeTypes'],
): SubjectAttributes | Deny {
  const read = subjectAttributesFrom(types, (name) => {
    const claim = claims.get(name);
    return claim === undefined ? undefined : claimOf(payload, claim);
  });
  return isProblem(read)
    ? deny('token.malformed', `claim \`${claims.get(read.name)}\` ${read.problem}`)
    : read.attributes;
}

const claimOf = (payload: unknown, name: string): unknown => {
  const found = Object.entries(Object(payload)).find(([claim]) => claim === name);
  return found?.[1];
};

function issuerOf(
  payload: unknown,
  kind: SubjectIssuer['kind'],
  issuers: readonly SubjectIssuer[],
): SubjectIssuer | Deny {
  const claimed = kind === 'jwt-svid' ? trustDomainIn(payload) : issIn(payload);
  if (isProblem(claimed)) return deny('token.malformed', claimed.problem);
  const found = issuers.find((issuer) => issuer.kind === kind && issuer.issuer === claimed);
  return found ?? deny('token.issuer', 'its issuer is not accepted for tokens of this kind');
}

function issIn(payload: unknown): string | Problem {
  const claims = issClaim(payload);
  return isProblem(claims) ? claims : claims.iss;
}

/** A JWT-SVID is verified by the bundle of its `sub`'s trust domain; its `iss` is ignored. */
function trustDomainIn(payload: unknown): string | Problem {
  const claims = svidSubject(payload);
  return isProblem(claims) ? claims : `spiffe://${trustDomainOf(claims.sub)}`;
}

function unsignedProblem(jws: CompactJws, issuer: SubjectIssuer, keys: VerificationKeys): Deny | null {
  if (issuer.kind === 'jwt-svid' && jws.algorithm === 'Ed25519') {
    return deny('token.algorithm', 'header member `alg` is not an algorithm of the JWT-SVID standard');
  }
  const key = keys.keyFor(issuer.issuer, jws.keyId ?? undefined, jws.algorithm, 'external');
  return isDeny(key) ? key : signatureProblem(jws, key);
}

const ignoringOthers = { noun: 'claim', others: 'ignored' } as const;
const times = { exp: seconds, nbf: optional(seconds), iat: optional(seconds) };

const issClaim = members({ iss: name }, ignoringOthers);
const svidSubject = members({ sub: spiffeId }, ignoringOthers);
const workloadClaims = members({ sub: spiffeId, aud: audience, scope, ...times }, ignoringOthers);

type Judged = Omit<Subject, 'attributes'>;

function workload(payload: unknown, issuer: SubjectIssuer, { nowMs }: SubjectRules): Judged | Deny {
  const claims = workloadClaims(payload);
  if (isProblem(claims)) return deny('token.malformed', claims.problem);
  const problem = liveProblem(claims, nowMs);
  if (problem !== null) return problem;
  if (!claims.aud.includes(issuer.audience)) return wrongAudience();
  return {
    id: claims.sub,
    actors: [],
    expiresAtSeconds: claims.exp,
    scope: limitOf(claims.scope, issuer),
    details: null,
    resources: null,
  };
}

function delegator(payload: unknown, issuer: SubjectIssuer, rules: SubjectRules): Judged | Deny {
  const claims = delegatorClaims(payload);
  if (isProblem(claims)) return deny('token.malformed', claims.problem);
  const problem = liveProblem(claims, rules.nowMs);
  if (problem !== null) return problem;
  const isForUs = claims.aud.includes(issuer.audience) && (issuer.kind === 'access-token' || claims.aud.length === 1);
  if (!isForUs) return wrongAudience();
  const actor = actorProblem(claims, issuer, rules);
  if (actor !== null) return actor;
  return {
    id: claims.sub,
    actors: claims.act,
    expiresAtSeconds: claims.exp,
    scope: limitOf(claims.scope, issuer),
    details: claims.authorization_details,
    resources: issuer.kind === 'id-jag' ? claims.resource : null,
  };
}

/** INVARIANT: if scopes limit, a token without scope grants nothing. */
const limitOf = (scopes: readonly string[], issuer: SubjectIssuer): readonly string[] | null =>
  issuer.scope === 'limits' ? scopes : null;

const wrongAudience = (): Deny => deny('token.audience', 'claim `aud` is not that of this issuer');

const liveProblem = (
  { exp, nbf, iat }: { readonly exp: number; readonly nbf: number | null; readonly iat: number | null },
  nowMs: number,
): Deny | null =>
  nowMs >= exp * 1_000
    ? deny('token.expired', 'claim `exp` has passed')
    : lifetimeProblem(
        { expiresAtSeconds: exp, notBeforeSeconds: nbf, issuedAtSeconds: iat ?? Math.min(exp - 1, nowMs / 1_000) },
        { maxLifetimeSeconds: Infinity, clockSkewSeconds: CLOCK_SKEW_SECONDS },
        nowMs,
      );

interface ActorClaims {
  readonly client_id: string;
  readonly may_act: { readonly sub: string } | null;
  readonly cnf: Confirmation | null;
}

/** Checks the client: an ID-JAG names it in `client_id`, `may_act` names the actor, and a bound token requires its key. */
function actorProblem(
  { client_id: client, may_act: mayAct, cnf }: ActorClaims,
  issuer: SubjectIssuer,
  { leaf, proofThumbprint }: SubjectRules,
): Deny | null {
  if (issuer.kind === 'id-jag' && client !== leaf.id) {
    return deny('token.binding', 'claim `client_id` is not this client');
  }
  if (mayAct !== null && mayAct.sub !== leaf.id) return deny('token.binding', 'claim `may_act` is not this client');
  if (cnf === null) return null;
  const held = cnf.kind === 'x5t#S256' ? leaf.sha256 : proofThumbprint;
  return held === cnf.thumbprint ? null : deny('token.binding', 'claim `cnf` is not the key of this client');
}

/** Parses the entries of Remit's type; others are ignored. */
const details: Reader<readonly AuthorizationDetail[] | null> = (value) => {
  if (value === undefined) return null;
  if (!Array.isArray(value)) return { problem: 'must be an array' };
  const own = value.filter((entry) => Object(entry).type === AUTHORIZATION_DETAILS_TYPE);
  return own.length === 0 ? null : authorizationDetailsFrom(own);
};

const delegatorClaims = members(
  {
    sub: name,
    aud: audience,
    ...times,
    iat: seconds,
    jti: text({ max: claimLimits.maxTokenIdCharacters }),
    client_id: name,
    act: actorChain({ others: 'ignored' }),
    may_act: optional(members({ sub: name })),
    cnf: optional(confirmation),
    scope,
    authorization_details: details,
    resource: optional(audience),
  },
  ignoringOthers,
);

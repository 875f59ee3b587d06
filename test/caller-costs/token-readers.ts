import { claimedIssuer } from '../../src/core/token/jose/claimed-issuer.ts';
import { formFrom } from '../../src/authority/issuer/form.ts';
import { clientAddressOf } from '../../src/authority/issuer/bounds/address.ts';
import { authorizationProblem } from '../../src/authority/issuer/client/client-authentication.ts';
import { declarationFrom } from '../../src/authority/issuer/token/declaration.ts';
import { namedBy, nearestAction } from '../../src/authority/issuer/token/intent-entries.ts';
import { intentFrom, unknownResource } from '../../src/authority/issuer/token/intent.ts';
import { isCovered } from '../../src/authority/issuer/token/narrowing.ts';
import { isOAuthError } from '../../src/authority/issuer/oauth-error.ts';
import { refreshedTaskId } from '../../src/authority/issuer/token/refresh-token.ts';
import { audienceFrom } from '../../src/authority/issuer/token/resource.ts';
import { routerOf } from '../../src/authority/issuer/routes.ts';
import { declarationOfScope } from '../../src/authority/issuer/token/scope-alone.ts';
import { securityEventFrom } from '../../src/authority/issuer/signals/set.ts';
import { subjectFrom } from '../../src/authority/issuer/token/subject-token.ts';
import { clientProblem, tokenRequestFrom } from '../../src/authority/issuer/token/token-request.ts';
import { waitFrom } from '../../src/authority/issuer/tasks/wait.ts';
import { authorizationDetailsFrom } from '../../src/core/token/authorization-details.ts';
import { credentialFrom } from '../../src/core/token/authorization-header.ts';
import { bytesFromBase64url, isSha256Base64url } from '../../src/core/token/jose/base64url.ts';
import { claimedIssuerOf, taskClaimsFrom } from '../../src/core/token/claims.ts';
import { compactJwsFrom, jwsPartsFrom, signingInputOf } from '../../src/core/token/jose/compact-jws.ts';
import { tokenCredentialFrom } from '../../src/core/token/credential.ts';
import { externalTokenFrom } from '../../src/core/token/external-token.ts';
import { jtiDigestOf } from '../../src/core/token/jti-digest.ts';
import { digestOfToken, unverifiedJwtFrom } from '../../src/core/token/jose/jwt.ts';
import { ProofMemory } from '../../src/core/token/proof/proof-memory.ts';
import { possessionFrom } from '../../src/core/token/proof/possession.ts';
import { defaultProofRules, proofFrom } from '../../src/core/token/proof/proof.ts';
import { strictJsonFrom } from '../../src/core/token/jose/strict-json.ts';
import { targetUriFrom, targetUriOf } from '../../src/core/token/proof/target-uri.ts';
import { TokenCache } from '../../src/core/token/token-cache.ts';
import { transactionTokenFrom } from '../../src/core/token/transaction-token.ts';
import { useKeyOf } from '../../src/core/token/use-key.ts';
import { verifyTaskToken } from '../../src/core/token/verify.ts';
import { mustCatalog } from '../builders/catalog.ts';

import { mustSpiffeId, mustTrustDomain } from '../builders/spiffe-id.ts';
import { agent, audience, base64url, es256Key, mint, nowMs, ringOf, rules, soundClaims } from '../builders/tokens.ts';
import { pieces } from './reader.ts';
import type { Reader, Readers } from './reader.ts';

const key = es256Key();
const keys = ringOf([key]);
const id = mustSpiffeId(agent);
const trustDomain = mustTrustDomain('acme.test');
const external = {
  types: new Map(),
  audiences: new Set([audience]),
  maxLifetimeSeconds: 3_600,
  clockSkewSeconds: 5,
  maxBytes: 8_192,
};
const catalog = mustCatalog(`servers:
  payments:
    hosts: [payments.acme.test]
    audience: ${audience}
    routes: [{ action: payments.list, method: GET, path: /v1/payments, risk: low }]
`);
const [server = catalog.serversByAudience.get(audience)] = [...catalog.serversByAudience.values()];
if (server === undefined) throw new Error('the catalog has no server');

/** A JWT whose header or payload is the text. */
const inHeader = (text: string): string => `${base64url(text)}.e30.AA`;
const inPayload = (text: string): string =>
  `${base64url(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid: 'es-1' }))}.${base64url(text)}.AA`;
const places = (read: Reader): Readonly<Record<string, Reader>> => ({
  text: read,
  header: (text) => read(inHeader(text)),
  'header member': (text) => read(inHeader(JSON.stringify({ alg: text, kid: text }))),
  payload: (text) => read(inPayload(JSON.stringify({ iss: text, aud: [text], txn: text }))),
});

const form = (name: string, text: string): ReadonlyMap<string, readonly string[]> =>
  new Map([
    ['grant_type', ['client_credentials']],
    [name, [text]],
  ]);
const asked = (name: string) => (text: string) => tokenRequestFrom(form(name, text), agent);
const declared = (detail: object): unknown => {
  const request = tokenRequestFrom(
    new Map([
      ['grant_type', ['client_credentials']],
      ['resource', [audience]],
      ['authorization_details', [JSON.stringify([{ type: 'urn:remit:task', ...detail }])]],
    ]),
    agent,
  );
  if (isOAuthError(request)) return request;
  const declaration = declarationFrom(request, { inherited: null } as never);
  return isOAuthError(declaration)
    ? declaration
    : intentFrom(declaration, catalog, { agent: id, issuer: 'https://remit.acme.test' });
};
const request = { method: 'GET', url: 'https://a.test/', accessToken: null, nowMs, rules: defaultProofRules };
const route = routerOf('https://remit.acme.test/issuer');
const leaf = { id } as never;

/** The readers of tokens, and those of the issuer, whose callers show a certificate. */
export const tokenReaders: Readers = {
  'core/token/jose/claimed-issuer.ts claimedIssuer': {
    token: (text) => claimedIssuer(`a.${text}.b`, 65_536),
    payload: (text) => claimedIssuer(`a.${Buffer.from(text).toString('base64url')}.b`, 131_072),
  },
  'authority/issuer/bounds/address.ts clientAddressOf': clientAddressOf,
  'authority/issuer/client/client-authentication.ts authorizationProblem': (text) => authorizationProblem([text], id),
  'authority/issuer/token/declaration.ts declarationFrom': (text) => declared({ actions: [text], locations: [text] }),
  'authority/issuer/form.ts formFrom': {
    body: (text) => formFrom(Buffer.from(text), 'application/x-www-form-urlencoded'),
    'content type': (text) => formFrom(Buffer.from('a=b'), text),
    value: (text) => formFrom(Buffer.from(`a=${text}`), 'application/x-www-form-urlencoded'),
  },
  'authority/issuer/token/intent-entries.ts namedBy': (text) => namedBy(`${text}.*`, catalog, server),
  'authority/issuer/token/intent-entries.ts nearestAction': (text) => nearestAction(text, catalog, server),
  'authority/issuer/token/intent.ts intentFrom': {
    action: (text) => declared({ actions: [text], locations: [audience] }),
    purpose: (text) => declared({ actions: ['payments.list'], locations: [audience], purpose: text }),
    member: (text) => declared({ actions: ['payments.list'], [text]: text }),
  },
  'authority/issuer/token/intent.ts unknownResource': (text) => unknownResource(text, catalog),
  'authority/issuer/token/narrowing.ts isCovered': (text) => isCovered(text, [text, `${text.slice(1)}.*`]),
  'authority/issuer/token/refresh-token.ts refreshedTaskId': (text) => refreshedTaskId(text),
  'authority/issuer/token/resource.ts audienceFrom': {
    text: (text) => audienceFrom(text, catalog),
    host: (text) => audienceFrom(`https://${text}`, catalog),
  },
  'authority/issuer/routes.ts routerOf': {
    text: (text) => route('GET', text),
    id: (text) => route('GET', `/issuer/tasks/${text}`),
    method: (text) => route(text, '/issuer/tasks'),
  },
  'authority/issuer/token/scope-alone.ts declarationOfScope': (text) => declarationOfScope(audience, text.split(' ')),
  'authority/issuer/signals/set.ts securityEventFrom': places((text) =>
    securityEventFrom(
      text,
      { transmitters: new Map(), keys, maxAgeSeconds: 60, clockSkewSeconds: 60 },
      { nowMs, floorMs: nowMs },
    ),
  ),
  'authority/issuer/token/subject-token.ts subjectFrom': places((text) =>
    subjectFrom(text, { issuers: [], keys, attributeTypes: new Map(), leaf, proofThumbprint: null, nowMs }),
  ),
  'authority/issuer/token/token-request.ts tokenRequestFrom': {
    scope: asked('scope'),
    resource: asked('resource'),
    details: asked('authorization_details'),
    context: asked('context'),
    other: (text) => tokenRequestFrom(form(text, text), agent),
  },
  'authority/issuer/token/token-request.ts clientProblem': (text) => clientProblem(form('client_id', text), agent),
  'authority/issuer/tasks/wait.ts waitFrom': (text) => waitFrom(text, 'withdrawal'),
  'core/token/authorization-details.ts authorizationDetailsFrom': {
    action: (text) => authorizationDetailsFrom([{ type: 'urn:remit:task', actions: [text], locations: [text] }]),
    actions: (text) => authorizationDetailsFrom([{ type: 'urn:remit:task', actions: pieces(text) }]),
    member: (text) => authorizationDetailsFrom([{ type: 'urn:remit:task', [text]: text }]),
  },
  'core/token/authorization-header.ts credentialFrom': {
    text: (text) => credentialFrom([text]),
    token: (text) => credentialFrom([`Bearer ${text}`]),
  },
  'core/token/jose/base64url.ts bytesFromBase64url': bytesFromBase64url,
  'core/token/jose/base64url.ts isSha256Base64url': isSha256Base64url,
  'core/token/claims.ts taskClaimsFrom': {
    text: (text) => taskClaimsFrom({ ...soundClaims, txn: text, scope: text }, { keyId: 'k' }),
    member: (text) => taskClaimsFrom({ ...soundClaims, [text]: text }, { keyId: text }),
  },
  'core/token/claims.ts claimedIssuerOf': (text) => claimedIssuerOf({ iss: text }),
  'core/token/jose/compact-jws.ts jwsPartsFrom': places((text) => jwsPartsFrom(text, 131_072)),
  'core/token/jose/compact-jws.ts compactJwsFrom': places((text) => compactJwsFrom(text, 131_072)),
  'core/token/jose/compact-jws.ts signingInputOf': signingInputOf,
  'core/token/credential.ts tokenCredentialFrom': places((text) =>
    tokenCredentialFrom(
      text,
      { task: rules, external },
      {
        keys,
        nowMs,
        verified: new TokenCache({ tokens: 16, signatures: 16 }),
        digest: digestOfToken(text),
      },
    ),
  ),
  'core/token/external-token.ts externalTokenFrom': places((text) => externalTokenFrom(text, external, keys, nowMs)),
  'core/token/jti-digest.ts jtiDigestOf': jtiDigestOf,
  'core/token/jose/jwt.ts unverifiedJwtFrom': places((text) => unverifiedJwtFrom(text, 131_072)),
  'core/token/jose/jwt.ts digestOfToken': digestOfToken,
  'core/token/proof/possession.ts possessionFrom': places((text) =>
    possessionFrom([text], { scheme: 'DPoP', token: text, confirmation: null }, {
      ...request,
      clocks: { wallMs: nowMs, floorMs: nowMs, monotonicMs: 0 },
      agent: text,
      memory: new ProofMemory({ maxProofs: 16 } as never),
    } as never),
  ),
  'core/token/proof/proof.ts proofFrom': {
    ...places((text) => proofFrom([text], request)),
    url: (text) => proofFrom([inHeader('{}')], { ...request, url: text }),
  },
  'core/token/jose/strict-json.ts strictJsonFrom': {
    text: (text) => strictJsonFrom(Buffer.from(text)),
    string: (text) => strictJsonFrom(Buffer.from(JSON.stringify(text))),
    member: (text) => strictJsonFrom(Buffer.from(JSON.stringify({ [text]: text }))),
    members: (text) =>
      strictJsonFrom(
        Buffer.from(
          `{${pieces(text)
            .map((_, at) => `"a${at}":1`)
            .join()}}`,
        ),
      ),
  },
  'core/token/proof/target-uri.ts targetUriFrom': {
    text: targetUriFrom,
    host: (text) => targetUriFrom(`https://${text}`),
    path: (text) => targetUriFrom(`https://a.test/${text}`),
  },
  'core/token/proof/target-uri.ts targetUriOf': (text) => targetUriOf('https://a.test', text),
  'core/token/transaction-token.ts transactionTokenFrom': places((text) =>
    transactionTokenFrom(text, { trustDomain, clockSkewSeconds: 5, maxBytes: 8_192 }, keys, nowMs),
  ),
  'core/token/use-key.ts useKeyOf': (text) => useKeyOf(text, text),
  'core/token/verify.ts verifyTaskToken': {
    ...places((text) => verifyTaskToken(text, rules, keys, nowMs)),
    'signed claim': (text) => verifyTaskToken(mint(key, { txn: text.slice(0, 4_000) }), rules, keys, nowMs),
  },
};

/** Files and exports of these rooms that read no caller's text by themselves, with what they read or who reads for them. */
export const notOfTokens: Readonly<Record<string, string>> = {
  'authority/issuer/body.ts': 'counts bytes up to 64 KiB',
  'authority/issuer/bounds/connections.ts': 'counts',
  'authority/issuer/bounds/handshakes.ts': 'connections before a byte of them is read',
  'authority/issuer/bounds/requests.ts': 'counts',
  'authority/issuer/bounds/turns.ts': 'a queue',
  'authority/issuer/token/decide-anew.ts': 'our own values',
  'authority/issuer/token/grant.ts': 'tasks of the state',
  'authority/issuer/token/scope-alone.ts isScopeAlone': 'what tokenRequestFrom gave',
  'authority/issuer/oauth-error.ts': 'our own texts',
  'authority/issuer/token/origin.ts': 'tasks of the state',
  'authority/issuer/token/own-token.ts': 'calls unverifiedJwtFrom and verifyTaskToken',
  'authority/issuer/keys/published-keys.ts': 'files of the operator',
  'authority/issuer/token/refresh-token.ts refreshTokenOf': 'an id of our own',
  'authority/issuer/token/refresh-token.ts refreshedTask': 'calls refreshedTaskId',
  'authority/issuer/keys/replica-keys.ts': 'keys of authorities',
  'authority/issuer/reply.ts': 'our own answers',
  'authority/issuer/resource-metadata.ts': 'the configuration',
  'authority/issuer/server.ts': 'requests, by the readers here',
  'authority/issuer/signals/signal-error.ts': 'our own texts',
  'authority/issuer/signals/under-way.ts': 'counts',
  'authority/issuer/keys/signing-key-files.ts': 'files of the operator',
  'authority/issuer/keys/signing-key.ts': 'files of the operator',
  'authority/issuer/keys/signing-keys.ts': 'our own keys',
  'authority/issuer/keys/silent-keys.ts': 'our own keys',
  'authority/issuer/token/token-claims.ts': 'our own claims',
  'authority/issuer/token/transaction-subject.ts': 'calls transactionTokenFrom',
  'authority/issuer/transmit/push.ts': 'answers of configured receivers, of which at most 4,096 bytes are read',
  'authority/issuer/transmit/verification.ts': 'calls pushSet, with a state of the operator',
  'core/token/issued-tokens.ts': 'tokens that this process has just signed, by unverifiedJwtFrom',
  'core/token/jose/algorithms.ts': 'two words that are looked up',
  'core/token/jose/jwks-fetch.ts': 'key sets of issuers',
  'core/token/jose/jwks-refresh.ts': 'key sets of issuers',
  'core/token/jose/jwks.ts': 'key sets of issuers',
  'core/token/jose/keys.ts': 'key sets of issuers',
  'core/token/proof/proof-memory.ts': 'digests',
  'core/token/proof/proof-nonce.ts': 'called by proofFrom',
  'core/token/jose/signature.ts': 'called by verifyTaskToken',
  'core/token/token-cache.ts': 'digests',
  'core/token/uses.ts': 'digests',
  'core/token/jose/verified-signatures.ts': 'digests',
};

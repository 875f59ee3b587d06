import { formFrom } from '../../src/issuer/form.ts';
import { clientAddressOf } from '../../src/issuer/bounds/address.ts';
import { authorizationProblem } from '../../src/issuer/client-authentication.ts';
import { clientFrom } from '../../src/issuer/client.ts';
import { declarationFrom } from '../../src/issuer/declaration.ts';
import { namedBy, nearestAction } from '../../src/issuer/intent-entries.ts';
import { intentFrom, unknownResource } from '../../src/issuer/intent.ts';
import { isCovered } from '../../src/issuer/narrowing.ts';
import { isOAuthError } from '../../src/issuer/oauth-error.ts';
import { refreshedTaskId } from '../../src/issuer/refresh-token.ts';
import { audienceFrom } from '../../src/issuer/resource.ts';
import { routerOf } from '../../src/issuer/routes.ts';
import { declarationOfScope } from '../../src/issuer/scope-alone.ts';
import { securityEventFrom } from '../../src/issuer/signals/set.ts';
import { subjectFrom } from '../../src/issuer/subject-token.ts';
import { clientProblem, tokenRequestFrom } from '../../src/issuer/token-request.ts';
import { waitFrom } from '../../src/issuer/wait.ts';
import { authorizationDetailsFrom } from '../../src/token/authorization-details.ts';
import { credentialFrom } from '../../src/token/authorization-header.ts';
import { bytesFromBase64url, isSha256Base64url } from '../../src/token/base64url.ts';
import { claimedIssuerOf, taskClaimsFrom } from '../../src/token/claims.ts';
import { compactJwsFrom, jwsPartsFrom, signingInputOf } from '../../src/token/compact-jws.ts';
import { tokenCredentialFrom } from '../../src/token/credential.ts';
import { externalTokenFrom } from '../../src/token/external-token.ts';
import { jtiDigestOf } from '../../src/token/jti-digest.ts';
import { digestOfToken, unverifiedJwtFrom } from '../../src/token/jwt.ts';
import { ProofMemory } from '../../src/token/proof-memory.ts';
import { possessionFrom } from '../../src/token/possession.ts';
import { defaultProofRules, proofFrom } from '../../src/token/proof.ts';
import { strictJsonFrom } from '../../src/token/strict-json.ts';
import { targetUriFrom, targetUriOf } from '../../src/token/target-uri.ts';
import { TokenCache } from '../../src/token/token-cache.ts';
import { transactionTokenFrom } from '../../src/token/transaction-token.ts';
import { useKeyOf } from '../../src/token/use-key.ts';
import { verifyTaskToken } from '../../src/token/verify.ts';
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
  'issuer/bounds/address.ts clientAddressOf': clientAddressOf,
  'issuer/client-authentication.ts authorizationProblem': (text) => authorizationProblem([text], id),
  'issuer/client.ts clientFrom': (text) => clientFrom(Buffer.from(text), new Set([trustDomain]), nowMs),
  'issuer/declaration.ts declarationFrom': (text) => declared({ actions: [text], locations: [text] }),
  'issuer/form.ts formFrom': {
    body: (text) => formFrom(Buffer.from(text), 'application/x-www-form-urlencoded'),
    'content type': (text) => formFrom(Buffer.from('a=b'), text),
    value: (text) => formFrom(Buffer.from(`a=${text}`), 'application/x-www-form-urlencoded'),
  },
  'issuer/intent-entries.ts namedBy': (text) => namedBy(`${text}.*`, catalog, server),
  'issuer/intent-entries.ts nearestAction': (text) => nearestAction(text, catalog, server),
  'issuer/intent.ts intentFrom': {
    action: (text) => declared({ actions: [text], locations: [audience] }),
    purpose: (text) => declared({ actions: ['payments.list'], locations: [audience], purpose: text }),
    member: (text) => declared({ actions: ['payments.list'], [text]: text }),
  },
  'issuer/intent.ts unknownResource': (text) => unknownResource(text, catalog),
  'issuer/narrowing.ts isCovered': (text) => isCovered(text, [text, `${text.slice(1)}.*`]),
  'issuer/refresh-token.ts refreshedTaskId': (text) => refreshedTaskId(text),
  'issuer/resource.ts audienceFrom': {
    text: (text) => audienceFrom(text, catalog),
    host: (text) => audienceFrom(`https://${text}`, catalog),
  },
  'issuer/routes.ts routerOf': {
    text: (text) => route('GET', text),
    id: (text) => route('GET', `/issuer/tasks/${text}`),
    method: (text) => route(text, '/issuer/tasks'),
  },
  'issuer/scope-alone.ts declarationOfScope': (text) => declarationOfScope(audience, text.split(' ')),
  'issuer/signals/set.ts securityEventFrom': places((text) =>
    securityEventFrom(
      text,
      { transmitters: new Map(), keys, maxAgeSeconds: 60, clockSkewSeconds: 60 },
      { nowMs, floorMs: nowMs },
    ),
  ),
  'issuer/subject-token.ts subjectFrom': places((text) =>
    subjectFrom(text, { issuers: [], keys, attributeTypes: new Map(), leaf, proofThumbprint: null, nowMs }),
  ),
  'issuer/token-request.ts tokenRequestFrom': {
    scope: asked('scope'),
    resource: asked('resource'),
    details: asked('authorization_details'),
    context: asked('context'),
    other: (text) => tokenRequestFrom(form(text, text), agent),
  },
  'issuer/token-request.ts clientProblem': (text) => clientProblem(form('client_id', text), agent),
  'issuer/wait.ts waitFrom': (text) => waitFrom(text, 'withdrawal'),
  'token/authorization-details.ts authorizationDetailsFrom': {
    action: (text) => authorizationDetailsFrom([{ type: 'urn:remit:task', actions: [text], locations: [text] }]),
    actions: (text) => authorizationDetailsFrom([{ type: 'urn:remit:task', actions: pieces(text) }]),
    member: (text) => authorizationDetailsFrom([{ type: 'urn:remit:task', [text]: text }]),
  },
  'token/authorization-header.ts credentialFrom': {
    text: (text) => credentialFrom([text]),
    token: (text) => credentialFrom([`Bearer ${text}`]),
  },
  'token/base64url.ts bytesFromBase64url': bytesFromBase64url,
  'token/base64url.ts isSha256Base64url': isSha256Base64url,
  'token/claims.ts taskClaimsFrom': {
    text: (text) => taskClaimsFrom({ ...soundClaims, txn: text, scope: text }, { keyId: 'k' }),
    member: (text) => taskClaimsFrom({ ...soundClaims, [text]: text }, { keyId: text }),
  },
  'token/claims.ts claimedIssuerOf': (text) => claimedIssuerOf({ iss: text }),
  'token/compact-jws.ts jwsPartsFrom': places((text) => jwsPartsFrom(text, 131_072)),
  'token/compact-jws.ts compactJwsFrom': places((text) => compactJwsFrom(text, 131_072)),
  'token/compact-jws.ts signingInputOf': signingInputOf,
  'token/credential.ts tokenCredentialFrom': places((text) =>
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
  'token/external-token.ts externalTokenFrom': places((text) => externalTokenFrom(text, external, keys, nowMs)),
  'token/jti-digest.ts jtiDigestOf': jtiDigestOf,
  'token/jwt.ts unverifiedJwtFrom': places((text) => unverifiedJwtFrom(text, 131_072)),
  'token/jwt.ts digestOfToken': digestOfToken,
  'token/possession.ts possessionFrom': places((text) =>
    possessionFrom([text], { scheme: 'DPoP', token: text, confirmation: null }, {
      ...request,
      clocks: { wallMs: nowMs, floorMs: nowMs, monotonicMs: 0 },
      agent: text,
      memory: new ProofMemory({ maxProofs: 16 } as never),
    } as never),
  ),
  'token/proof.ts proofFrom': {
    ...places((text) => proofFrom([text], request)),
    url: (text) => proofFrom([inHeader('{}')], { ...request, url: text }),
  },
  'token/strict-json.ts strictJsonFrom': {
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
  'token/target-uri.ts targetUriFrom': {
    text: targetUriFrom,
    host: (text) => targetUriFrom(`https://${text}`),
    path: (text) => targetUriFrom(`https://a.test/${text}`),
  },
  'token/target-uri.ts targetUriOf': (text) => targetUriOf('https://a.test', text),
  'token/transaction-token.ts transactionTokenFrom': places((text) =>
    transactionTokenFrom(text, { trustDomain, clockSkewSeconds: 5, maxBytes: 8_192 }, keys, nowMs),
  ),
  'token/use-key.ts useKeyOf': (text) => useKeyOf(text, text),
  'token/verify.ts verifyTaskToken': {
    ...places((text) => verifyTaskToken(text, rules, keys, nowMs)),
    'signed claim': (text) => verifyTaskToken(mint(key, { txn: text.slice(0, 4_000) }), rules, keys, nowMs),
  },
};

/** Files and exports of these rooms that read no caller's text by themselves, with what they read or who reads for them. */
export const notOfTokens: Readonly<Record<string, string>> = {
  'issuer/body.ts': 'counts bytes up to 64 KiB',
  'issuer/bounds/connections.ts': 'counts',
  'issuer/bounds/requests.ts': 'counts',
  'issuer/bounds/turns.ts': 'a queue',
  'issuer/decide-anew.ts': 'our own values',
  'issuer/grant.ts': 'tasks of the state',
  'issuer/scope-alone.ts isScopeAlone': 'what tokenRequestFrom gave',
  'issuer/oauth-error.ts': 'our own texts',
  'issuer/origin.ts': 'tasks of the state',
  'issuer/own-token.ts': 'calls unverifiedJwtFrom and verifyTaskToken',
  'issuer/published-keys.ts': 'files of the operator',
  'issuer/refresh-token.ts refreshTokenOf': 'an id of our own',
  'issuer/refresh-token.ts refreshedTask': 'calls refreshedTaskId',
  'issuer/replica-keys.ts': 'keys of authorities',
  'issuer/reply.ts': 'our own answers',
  'issuer/resource-metadata.ts': 'the configuration',
  'issuer/server.ts': 'requests, by the readers here',
  'issuer/signals/signal-error.ts': 'our own texts',
  'issuer/signals/under-way.ts': 'counts',
  'issuer/signing-key-files.ts': 'files of the operator',
  'issuer/signing-key.ts': 'files of the operator',
  'issuer/signing-keys.ts': 'our own keys',
  'issuer/silent-keys.ts': 'our own keys',
  'issuer/token-claims.ts': 'our own claims',
  'issuer/transaction-subject.ts': 'calls transactionTokenFrom',
  'token/algorithms.ts': 'two words that are looked up',
  'token/jwks-fetch.ts': 'key sets of issuers',
  'token/jwks-refresh.ts': 'key sets of issuers',
  'token/jwks.ts': 'key sets of issuers',
  'token/keys.ts': 'key sets of issuers',
  'token/proof-memory.ts': 'digests',
  'token/proof-nonce.ts': 'called by proofFrom',
  'token/signature.ts': 'called by verifyTaskToken',
  'token/token-cache.ts': 'digests',
  'token/uses.ts': 'digests',
  'token/verified-signatures.ts': 'digests',
};

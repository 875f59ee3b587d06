import { readFile } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import type { KeyedIssuer } from '../config/issuer.ts';
import { tlsMaterialOf } from '../identity/svid.ts';
import type { PublicJwks } from '../issuer/signing-keys.ts';
import type { IssuerKind } from '../token/jwt.ts';
import type { JwksFetch } from '../token/jwks-refresh.ts';
import { httpsJwksFetch } from '../token/jwks-fetch.ts';
import { KeyRing } from '../token/keys.ts';
import type { TrustedIssuer } from '../token/keys.ts';
import { after } from '../timers.ts';
import { codeOf, isStartProblem } from './start-problem.ts';
import type { Parts } from './parts.ts';
import type { StartProblem } from './start-problem.ts';

/** Issuers of the configuration with what each is trusted with. */
export type Trusted = KeyedIssuer & { readonly kind: IssuerKind };

/**
 * A ring of the keys of issuers, each from its file or its key server, which is asked in the background. With `own`, it
 * holds the keys of the issuer in this process too, and is to be told of new ones by `replace`.
 */
export async function openKeyRing(
  parts: Parts,
  trusted: readonly Trusted[],
  own: { readonly issuer: string; readonly jwks: PublicJwks } | null,
): Promise<KeyRing | StartProblem> {
  const issuers: TrustedIssuer[] = [];
  if (own !== null) {
    issuers.push({
      issuer: own.issuer,
      kind: 'remit',
      algorithms: ['ES256', 'Ed25519', 'RS256'],
      source: { kind: 'static', jwks: own.jwks },
    });
  }
  for (const { issuer, kind, algorithms, jwks } of trusted) {
    const source = await sourceOf(jwks, parts);
    if (isStartProblem(source)) return source;
    issuers.push({ issuer, kind, algorithms, source });
  }
  const ring = new KeyRing(issuers, {
    ports: parts.ports,
    after,
    onProblem: (issuer, problem) => parts.faults.set(`keys of \`${issuer}\``, problem),
  });
  // Not awaited: a key server that is down holds up readiness, not the start.
  void ring.start();
  return ring;
}

async function sourceOf(jwks: string, parts: Parts): Promise<TrustedIssuer['source'] | StartProblem> {
  if (jwks.startsWith('https://')) return { kind: 'remote', fetch: fetchWithBundle(jwks, parts) };
  const refused = await parts.guard(jwks);
  if (refused !== null) return { problem: refused };
  try {
    return { kind: 'static', jwks: JSON.parse(await readFile(jwks, 'utf8')) };
  } catch (error) {
    return { problem: `the key set \`${jwks}\` cannot be used: ${codeOf(error)}` };
  }
}

/** Key servers may be in the trust domain or on the web: both sets of anchors may vouch for them, as they are at the time. */
function fetchWithBundle(url: string, { svid }: Parts): JwksFetch {
  return (signal, etag) => {
    const current = svid?.current() ?? null;
    const anchors = current === null ? [] : [tlsMaterialOf(current).bundle];
    return httpsJwksFetch(url, [...rootCertificates, ...anchors])(signal, etag);
  };
}

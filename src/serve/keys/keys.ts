import { rootCertificates } from 'node:tls';
import type { KeyedIssuer } from '../../core/config/issuer.ts';
import { tlsMaterialOf } from '../../core/identity/svid.ts';
import type { PublicJwks } from '../../authority/issuer/keys/signing-keys.ts';
import type { IssuerKind } from '../../core/token/jose/jwt.ts';
import type { JwksFetch } from '../../core/token/jose/jwks-refresh.ts';
import { httpsJwksFetch } from '../../core/token/jose/jwks-fetch.ts';
import { verificationKeysFrom } from '../../core/token/jose/jwks.ts';
import { KeyRing } from '../../core/token/jose/keys.ts';
import type { TrustedIssuer } from '../../core/token/jose/keys.ts';
import { after } from '../../core/runtime/timers.ts';
import { isStartProblem } from '../start-problem.ts';
import type { Parts } from '../parts.ts';
import type { StartProblem } from '../start-problem.ts';

/** Issuers of the configuration, each with what it is trusted for. */
export type Trusted = KeyedIssuer & { readonly kind: IssuerKind };

/**
 * Opens a ring with the keys of issuers, each from its file or from its key server, which is fetched in the background. With `own` it also
 * holds the keys of the issuer in this process; announce new keys by `replace`.
 */
export async function openKeyRing(
  parts: Parts,
  trusted: readonly Trusted[],
  own: { readonly issuer: string; readonly jwks: PublicJwks } | null,
  mayBeBehind: () => boolean = () => false,
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
  const files: (Trusted & { readonly text: string })[] = [];
  for (const one of trusted) {
    const { issuer, kind, algorithms, jwks } = one;
    if (jwks.startsWith('https://')) {
      issuers.push({ issuer, kind, algorithms, source: { kind: 'remote', fetch: fetchWithBundle(jwks, parts) } });
      continue;
    }
    const read = await parts.keyFiles.read(jwks);
    if (isStartProblem(read)) return read;
    const set = keySetFrom(read.text, jwks);
    if (isStartProblem(set)) return set;
    files.push({ ...one, text: read.text });
    issuers.push({ issuer, kind, algorithms, source: { kind: 'static', jwks: set.jwks } });
  }
  const ring = new KeyRing(issuers, {
    ports: parts.ports,
    after,
    mayBeBehind,
    onProblem: (issuer, problem) => parts.faults.set(`keys of \`${issuer}\``, problem),
  });
  for (const { text, jwks: path, issuer, algorithms } of files) {
    const allowed = new Set(algorithms);
    const take = (renewed: string): string | null => {
      const set = keySetFrom(renewed, path);
      if (isStartProblem(set)) return set.problem;
      const keys = verificationKeysFrom(set.jwks, allowed);
      return isStartProblem(keys) ? `the key set \`${path}\` ${keys.problem}` : ring.replace(issuer, set.jwks);
    };
    parts.keyFiles.follow({ what: `keys of \`${issuer}\``, path, take, text });
  }
  // Not awaited: an unreachable key server delays readiness, not the start.
  void ring.start();
  return ring;
}

/** Parses the key set in a file. Whether its keys are valid is checked later. */
function keySetFrom(text: string, path: string): { readonly jwks: unknown } | StartProblem {
  try {
    return { jwks: JSON.parse(text) };
  } catch {
    return { problem: `the key set \`${path}\` is not JSON` };
  }
}

/** Key servers may be in the trust domain or on the web, so both sets of trust anchors apply, as they are at each fetch. */
function fetchWithBundle(url: string, { svid }: Parts): JwksFetch {
  return (signal, etag) => {
    const current = svid?.current() ?? null;
    const anchors = current === null ? [] : [tlsMaterialOf(current).bundle];
    return httpsJwksFetch(url, [...rootCertificates, ...anchors])(signal, etag);
  };
}

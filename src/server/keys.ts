import { rootCertificates } from 'node:tls';
import type { KeyedIssuer } from '../config/issuer.ts';
import { tlsMaterialOf } from '../identity/svid.ts';
import type { PublicJwks } from '../issuer/signing-keys.ts';
import type { IssuerKind } from '../token/jwt.ts';
import type { JwksFetch } from '../token/jwks-refresh.ts';
import { httpsJwksFetch } from '../token/jwks-fetch.ts';
import { verificationKeysFrom } from '../token/jwks.ts';
import { KeyRing } from '../token/keys.ts';
import type { TrustedIssuer } from '../token/keys.ts';
import { after } from '../runtime/timers.ts';
import { isStartProblem } from './start-problem.ts';
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
  // Not awaited: a key server that is down holds up readiness, not the start.
  void ring.start();
  return ring;
}

/** The key set in the text of a file; whether its keys are good is another question. */
function keySetFrom(text: string, path: string): { readonly jwks: unknown } | StartProblem {
  try {
    return { jwks: JSON.parse(text) };
  } catch {
    return { problem: `the key set \`${path}\` is not JSON` };
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

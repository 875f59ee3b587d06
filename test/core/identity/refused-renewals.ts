import { createAuthority, type CertificateAuthority, type IssuedSvid } from '../../../src/dev/authority.ts';
import type { SvidRefusalCause } from '../../../src/core/identity/svid.ts';

/** An SVID with its bundle, as files or the Workload API give it. */
export interface OfferedSvid {
  readonly svid: IssuedSvid;
  readonly bundlePem: string;
}

const HOUR_MS = 3_600_000;

/** SVIDs of a domain, none of which may replace a good one of `path`, by what is wrong with each. */
export async function refusedRenewals(
  nowMs: number,
  {
    authority,
    path,
    names = {},
  }: {
    readonly authority: CertificateAuthority;
    readonly path: string;
    readonly names?: { readonly dns?: readonly string[]; readonly ips?: readonly string[] };
  },
): Promise<readonly (readonly [SvidRefusalCause, OfferedSvid])[]> {
  const { bundlePem } = authority;
  const good = await authority.svid(path, names);
  const another = await authority.svid(path, names);
  const stranger = await createAuthority(authority.trustDomain, {
    nowMs: () => nowMs,
    randomBytes: (length) => Buffer.alloc(length, 9),
  });
  return [
    [
      'expired',
      {
        svid: await authority.svid(path, { ...names, notBeforeMs: nowMs - 2 * HOUR_MS, ttlSeconds: 3_600 }),
        bundlePem,
      },
    ],
    ['wrong-key', { svid: { ...good, keyPem: another.keyPem }, bundlePem }],
    ['untrusted', { svid: await stranger.svid(path, names), bundlePem }],
    ['other-id', { svid: await authority.svid(`${path}-other`, names), bundlePem }],
    ['not-yet-valid', { svid: await authority.svid(path, { ...names, notBeforeMs: nowMs + HOUR_MS }), bundlePem }],
  ];
}

import { at, isTrueAt, listAt, textAt } from '../../tree.ts';
import type { Finding } from '../../finding.ts';
import type { EnvoyCheck } from '../envoy-check.ts';
import type { FilterChain } from '../envoy-config.ts';
import type { EnvoyFacts } from '../envoy-facts.ts';
import { trustDomainsIn } from '../fields/tls-fields.ts';
import { guardedOf } from '../remit-filter.ts';
import { isPlain } from './transport.ts';
import { isAnchored, validationContextsOf } from './upstream-tls.ts';

/** Callers show a certificate that Envoy verifies. */
export const verifiedCaller: EnvoyCheck = {
  title: 'callers must show a certificate, and Envoy verifies it',
  run: (facts) => {
    const guarded = guardedOf(facts);
    return guarded.length === 0 ? null : guarded.flatMap(({ chain }) => certificates(chain, facts));
  },
};

function certificates({ transport, where }: FilterChain, facts: EnvoyFacts): readonly Finding[] {
  const { isQuic, tls, type } = transport;
  if (isPlain(transport))
    return [
      {
        code: 'envoy.plaintext',
        where,
        message: 'it accepts calls without TLS, so Remit cannot tell who calls',
        fix: 'give it a `transport_socket` with TLS that requires a client certificate; in Istio `PeerAuthentication` STRICT',
      },
    ];
  if (tls === null)
    return [
      {
        code: 'envoy.unseen',
        where,
        message: `its transport socket is \`${type}\`: this doctor does not know whom it lets in`,
        fix: 'use TLS that requires a client certificate',
      },
    ];
  return [
    ...required(tls, where),
    ...verified(tls, where, facts),
    ...resumed(tls, where),
    ...(isQuic ? quic(where) : []),
  ];
}

const required = (tls: unknown, where: string): readonly Finding[] =>
  isTrueAt(tls, 'require_client_certificate')
    ? []
    : [
        {
          code: 'envoy.client-certificate-optional',
          where,
          message: 'it accepts callers without a certificate, so Remit cannot tell who calls',
          fix: 'set `require_client_certificate: true`',
        },
      ];

const resumed = (tls: unknown, where: string): readonly Finding[] =>
  isTrueAt(tls, 'disable_stateless_session_resumption') && isTrueAt(tls, 'disable_stateful_session_resumption')
    ? []
    : [
        {
          code: 'envoy.session-resumption',
          where,
          level: 'info',
          message:
            'a resumed TLS session is not verified again: a CA that was removed goes on being accepted until it ends',
          fix: 'set `disable_stateless_session_resumption` and `disable_stateful_session_resumption`',
        },
      ];

function verified(tls: unknown, where: string, facts: EnvoyFacts): readonly Finding[] {
  if (!isAnchored(tls, facts))
    return [
      {
        code: 'envoy.certificate-unverified',
        where,
        message: 'it does not verify the certificates of callers, so anybody can call under any SPIFFE ID',
        fix: 'set a validation context with the SPIFFE validator as deploy/envoy/envoy.yaml does, and no `ACCEPT_UNTRUSTED`',
      },
    ];
  return validationContextsOf(tls, facts).flatMap((one) => sharedBundle(one, where, facts));
}

/** One CA for two trust domains. */
function sharedBundle(context: unknown, where: string, { files }: EnvoyFacts): readonly Finding[] {
  const domains = trustDomainsIn(context).map(([name, bundle, path]) => {
    const keys = (files.get(path)?.cas ?? []).map(({ key }) => key);
    return [name, new Set(keys.length > 0 ? keys : [bundle])] as const;
  });
  const shared = domains.find(([, keys], index) =>
    domains.slice(0, index).some((one) => [...keys].some((key) => one[1].has(key))),
  );
  return shared === undefined
    ? []
    : [
        {
          code: 'envoy.weak-tls',
          where,
          message: `the trust domain \`${shared[0]}\` has the bundle, or a CA, of another one: either CA can issue the identities of both`,
          fix: 'give each trust domain a bundle of its own',
        },
      ];
}

const quic = (where: string): readonly Finding[] => [
  {
    code: 'envoy.weak-tls',
    where,
    message:
      'over QUIC Envoy refuses or ignores `require_client_certificate` up to 1.39, and from 1.40 does not verify by SDS or the SPIFFE validator',
    fix: 'serve agents over TCP',
  },
];

/**
 * Trust domains that Envoy accepts by SAN matchers and Remit does not: an error if they have none in common. A mesh accepts only
 * names in its own trust domain, which differs from that of SPIRE unless both were configured alike. `null` if no listener asks
 * Remit, or `own` is not known.
 */
export function commonDomain(facts: EnvoyFacts, own: readonly string[] | null): readonly Finding[] | null {
  const guarded = guardedOf(facts);
  if (guarded.length === 0 || own === null) return null;
  return guarded.flatMap(({ chain: { transport, where } }): readonly Finding[] => {
    const names = validationContextsOf(transport.tls, facts).flatMap(namedDomains);
    const other = names.find((name) => !own.includes(name));
    if (other === undefined) return [];
    const isCommon = names.some((name) => own.includes(name));
    return [
      {
        code: 'envoy.other-domain',
        where,
        level: isCommon ? 'warning' : 'error',
        message: isCommon
          ? `it lets callers of \`${other}\` in too, which \`trustDomains\` of Remit does not have: each of their calls is refused`
          : `it lets callers of \`${other}\` in alone, and \`trustDomains\` of Remit has \`${own.join('`, `')}\`: every call is refused`,
        fix: 'give SPIRE and the mesh one trust domain (`meshConfig.trustDomain`): agents have their tokens by the first, and call by the second',
      },
    ];
  });
}

/** The trust domains in the SAN matchers of a validation context, as istiod writes them. */
const namedDomains = (context: unknown): readonly string[] =>
  [
    ...listAt(context, 'match_subject_alt_names'),
    ...listAt(context, 'match_typed_subject_alt_names').map((one) => at(one, 'matcher')),
  ].flatMap((one) => {
    const [, name] = /^spiffe:\/\/([^/]{1,255})\/$/.exec(textAt(one, 'prefix')) ?? [];
    return name === undefined ? [] : [name];
  });

/** Trust domains that Envoy's SPIFFE validator accepts and Remit (`own`) does not; if `own` is not known, all but the first. */
export function acceptedDomains(facts: EnvoyFacts, own: readonly string[] | null): readonly Finding[] | null {
  const guarded = guardedOf(facts);
  if (guarded.length === 0) return null;
  return guarded.flatMap(({ chain: { transport, where } }) => {
    const names = validationContextsOf(transport.tls, facts).flatMap((context) =>
      trustDomainsIn(context).map(([name]) => name),
    );
    const foreign = own === null ? names.slice(1) : names.filter((name) => !own.includes(name));
    return foreign.map((name): Finding => ({
      code: 'envoy.weak-tls',
      where,
      level: own === null ? 'info' : 'warning',
      message:
        own === null
          ? `the validator accepts a second trust domain, \`${name}\`: its CA issues identities that reach Remit`
          : `the validator accepts the trust domain \`${name}\`, which \`trustDomains\` of Remit does not list`,
      fix: 'remove the trust domain from the validator; with --config the doctor compares it with `trustDomains` of Remit',
    }));
  });
}

/** Checks that the TLS to Remit and to upstreams verifies the other side. */
import { at, isTrueAt, textAt } from '../../tree.ts';
import type { Finding } from '../../finding.ts';
import type { Cluster } from './cluster.ts';
import type { EnvoyFacts } from '../envoy-facts.ts';
import { isOfHost } from '../fields/values-of-fields.ts';
import { isPlain } from './transport.ts';

/** Names of the secrets that hold the validation context of a TLS context. */
export const sdsNamesOf = (tls: unknown): readonly string[] => {
  const common = at(tls, 'common_tls_context');
  return [
    at(common, 'validation_context_sds_secret_config'),
    at(common, 'combined_validation_context', 'validation_context_sds_secret_config'),
  ]
    .map((one) => at(one, 'name'))
    .filter((name) => typeof name === 'string');
};

/** The validation contexts of a TLS context, with those that SDS has delivered. */
export const validationContextsOf = (tls: unknown, { config }: EnvoyFacts): readonly unknown[] => {
  const common = at(tls, 'common_tls_context');
  return [
    at(common, 'validation_context'),
    at(common, 'combined_validation_context', 'default_validation_context'),
    ...sdsNamesOf(tls).map((name) => at(config.secrets.get(name), 'validation_context')),
  ].filter((one) => one !== undefined);
};

const isGiven = (value: unknown): boolean => value !== undefined && !(Array.isArray(value) && value.length === 0);

/** Whether the other side must have a certificate of a CA that the context names. A context from SDS that is not shown counts as naming one. */
export function isAnchored(tls: unknown, facts: EnvoyFacts): boolean {
  const contexts = validationContextsOf(tls, facts);
  const isLoose = contexts.some((one) => textAt(one, 'trust_chain_verification') === 'ACCEPT_UNTRUSTED');
  const hasAnchor = contexts.some((one) => ANCHORS.some((member) => isGiven(at(one, member))));
  return !isLoose && (hasAnchor || sdsNamesOf(tls).some((name) => !facts.config.secrets.has(name)));
}

const ANCHORS = [
  'trusted_ca',
  'custom_validator_config',
  'ca_certificate_provider_instance',
  'system_root_certs',
] as const;

/** Whether the server must have a certificate under a name that the context says. */
export const isNamed = (tls: unknown, facts: EnvoyFacts): boolean =>
  isTrueAt(tls, 'auto_sni_san_validation') ||
  validationContextsOf(tls, facts).some((one) => NAMES.some((member) => isGiven(at(one, member))));

const NAMES = [
  'match_typed_subject_alt_names',
  'match_subject_alt_names',
  'verify_certificate_hash',
  'verify_certificate_spki',
] as const;

/** Calls that leave this host in plaintext, or to a server that is not verified. */
export function readableCalls({ endpoints, name, transports }: Cluster, facts: EnvoyFacts): readonly Finding[] {
  const away = endpoints.find((one) => !isOfHost(one));
  if (away === undefined) return [];
  const isClear = transports.some(isPlain);
  if (!isClear && transports.every(({ tls }) => tls !== null && isAnchored(tls, facts))) return [];
  return [
    {
      code: 'envoy.leak',
      where: `cluster/${name}`,
      level: 'warning',
      message: isClear
        ? `calls go to \`${away}\` in clear: anybody who is on the way reads and changes them after the check`
        : `who answers at \`${away}\` is not verified: another server may get the calls`,
      fix: 'give the cluster a `transport_socket` with mutual TLS and a validation context',
    },
  ];
}

/** The fields of TLS: contexts of callers and of upstreams, validation, and the sockets that wrap them. */
import { at, listAt, textAt } from '../../tree.ts';
import { extension, found, harmless, inside, judged, message, typesOf, unseen } from './field.ts';
import type { Field, Message } from './field.ts';

const TLS = 'envoy.extensions.transport_sockets.tls.v3';

const WEAK: ReadonlySet<string> = new Set(['TLSv1_0', 'TLSv1_1', '1', '2']);

const parameters: Message = message(
  `${TLS}.TlsParameters`,
  found(
    'tls_minimum_protocol_version tls_maximum_protocol_version',
    'envoy.weak-tls',
    (value) => (WEAK.has(String(value)) ? 'error' : null),
    {
      message: 'versions of TLS before 1.2 can be broken: others may read calls and use their tokens',
      fix: 'set `tls_minimum_protocol_version: TLSv1_2`, and no maximum',
    },
  ),
  harmless(
    'BoringSSL offers nothing below it that is broken',
    'cipher_suites compliance_policies ecdh_curves signature_algorithms',
  ),
);

const trustDomain: Message = message(
  `${TLS}.SPIFFECertValidatorConfig.TrustDomain`,
  judged(['envoy.weak-tls'], 'name trust_bundle'),
  harmless('it says when the trust domain counts, and each is judged', 'workload_trust_domain'),
);

const spiffe: Message = message(
  `${TLS}.SPIFFECertValidatorConfig`,
  inside('trust_domains', () => trustDomain),
  found('trust_bundles', 'envoy.weak-tls', 'warning', {
    message: 'it goes before `trust_domains`, and which trust domains it has is not shown',
    fix: 'name each trust domain with a bundle of its own in `trust_domains`',
  }),
);

const validators: ReadonlyMap<string, Field> = typesOf('', {
  [`${TLS}.SPIFFECertValidatorConfig`]: { kind: 'inside', message: () => spiffe, isMap: false, step: () => '' },
});

const BESIDE = {
  message: 'a custom validator may ignore it',
  fix: 'let the SPIFFE validator and the policies of Remit tell callers apart',
};
const besideValidator = (value: unknown, owner: unknown): 'warning' | null =>
  at(owner, 'custom_validator_config') === undefined || (Array.isArray(value) && value.length === 0) ? null : 'warning';

/** The validation context for the certificate of a caller, or of Remit. */
export const validationContext: Message = message(
  `${TLS}.CertificateValidationContext`,
  judged(['envoy.certificate-unverified'], 'trust_chain_verification'),
  found('trusted_ca', 'envoy.weak-tls', (value) => (anchorsIn(value) > 1 ? 'warning' : null), {
    message: 'it has several CAs: each can issue the identities of the trust domains of the others',
    fix: 'use the SPIFFE validator with a bundle for each trust domain, as deploy/envoy/envoy.yaml does',
  }),
  extension('custom_validator_config', () => validators),
  found('system_root_certs', 'envoy.certificate-unverified', 'error', {
    message: 'any public CA can issue a certificate that is accepted',
    fix: 'trust the CA of the trust domain alone',
  }),
  unseen('ca_certificate_provider_instance', 'warning', 'a plugin says which CAs are trusted'),
  found('allow_expired_certificate', 'envoy.weak-tls', 'warning', {
    message: 'expired certificates are accepted; Remit looks at the date, and nothing else does',
    fix: 'remove it',
  }),
  found(
    'crl match_subject_alt_names match_typed_subject_alt_names verify_certificate_hash verify_certificate_spki',
    'envoy.weak-tls',
    besideValidator,
    BESIDE,
  ),
  harmless(
    'it makes verification stricter, or says when files are read again',
    'max_verify_depth only_verify_leaf_cert_crl require_signed_certificate_timestamp suppress_client_ca_list watched_directory',
  ),
);

/** Certificates in a `DataSource` that has them inline; those in a file are not counted. */
const anchorsIn = (source: unknown): number => {
  const bytes = textAt(source, 'inline_bytes');
  const text = bytes === '' ? textAt(source, 'inline_string') : Buffer.from(bytes, 'base64').toString('latin1');
  return text.split(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/).length - 1;
};

const combined: Message = message(
  `${TLS}.CommonTlsContext.CombinedCertificateValidationContext`,
  inside('default_validation_context', () => validationContext),
  judged(['envoy.certificate-unverified'], 'validation_context_sds_secret_config'),
  unseen(
    'validation_context_certificate_provider validation_context_certificate_provider_instance',
    'warning',
    'a plugin says which CAs are trusted',
  ),
);

const common: Message = message(
  `${TLS}.CommonTlsContext`,
  inside('tls_params', () => parameters),
  inside('validation_context', () => validationContext),
  inside('combined_validation_context', () => combined),
  judged(['envoy.certificate-unverified'], 'validation_context_sds_secret_config'),
  unseen(
    'validation_context_certificate_provider validation_context_certificate_provider_instance',
    'warning',
    'a plugin says which CAs are trusted',
  ),
  unseen('custom_handshaker custom_tls_certificate_selector', 'warning', 'code of its own makes the TLS handshake'),
  found('key_log', 'envoy.leak', 'error', {
    message: 'the secrets of TLS sessions are written to a file: who reads it reads all calls and their tokens',
    fix: 'remove it',
  }),
  harmless(
    "it is Envoy's own certificate",
    'tls_certificate_certificate_provider tls_certificate_certificate_provider_instance tls_certificate_provider_instance tls_certificate_sds_secret_configs tls_certificates',
  ),
  harmless('the versions of HTTP are all checked', 'alpn_protocols'),
);

/** TLS to callers. */
const downstreamTls: Message = message(
  `${TLS}.DownstreamTlsContext`,
  inside('common_tls_context', () => common),
  judged(['envoy.client-certificate-optional'], 'require_client_certificate'),
  judged(['envoy.session-resumption'], 'disable_stateful_session_resumption disable_stateless_session_resumption'),
  found('session_ticket_keys session_ticket_keys_sds_secret_config', 'envoy.session-resumption', ticketLevel, {
    message:
      'sessions are resumed by keys that outlive Envoy: a CA that was removed, and who has the keys, go on being accepted',
    fix: 'set `disable_stateless_session_resumption: true`, and remove the keys',
  }),
  harmless(
    'it changes nothing about who is accepted',
    'full_scan_certs_on_sni_mismatch ocsp_staple_policy prefer_client_ciphers require_sni session_timeout',
  ),
);

function ticketLevel(value: unknown): 'warning' | null {
  return value === undefined ? null : 'warning';
}

const quic: Message = message(
  'envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport',
  inside('downstream_tls_context', () => downstreamTls),
  found('enable_early_data', 'envoy.repeated', 'warning', {
    message: 'calls in 0-RTT data are taken, which anybody on the way can send again; Remit is asked about each',
    fix: 'remove it: with a validation context it is off by default',
  }),
  found('enable_resumption', 'envoy.session-resumption', 'warning', {
    message: 'the certificate of a resumed connection is not verified again until its ticket expires',
    fix: 'remove it: with a validation context it is off by default',
  }),
);

/** TLS to an upstream. */
const upstreamTls: Message = message(
  `${TLS}.UpstreamTlsContext`,
  inside('common_tls_context', () => common),
  harmless('it says under which name the upstream is asked, and verified', 'auto_host_sni auto_sni_san_validation sni'),
  harmless('it changes nothing about who is accepted', 'allow_renegotiation enforce_rsa_key_usage max_session_keys'),
);

const TRANSPORT = 'envoy.extensions.transport_sockets';
const into = (of: () => Message): Field => ({ kind: 'inside', message: of, isMap: false, step: () => '' });

const COPIED: Field = {
  kind: 'found',
  found: {
    code: 'envoy.leak',
    level: () => 'warning',
    message: 'what passes is copied, with tokens',
    fix: 'remove it once it is not needed any more',
  },
};

/** Transport sockets of listeners. */
export const downstreamSockets: ReadonlyMap<string, Field> = typesOf(
  '',
  {
    [`${TLS}.DownstreamTlsContext`]: into(() => downstreamTls),
    [`${TRANSPORT}.quic.v3.QuicDownstreamTransport`]: into(() => quic),
    [`${TRANSPORT}.tap.v3.Tap`]: COPIED,
  },
  judged(['envoy.plaintext'], `${TRANSPORT}.raw_buffer.v3.RawBuffer`),
  harmless('statistics; what it wraps is judged', `${TRANSPORT}.tcp_stats.v3.Config`),
);

/** Transport sockets of clusters. */
export const upstreamSockets: ReadonlyMap<string, Field> = typesOf(
  '',
  { [`${TLS}.UpstreamTlsContext`]: into(() => upstreamTls), [`${TRANSPORT}.tap.v3.Tap`]: COPIED },
  judged(['envoy.impostor', 'envoy.leak'], `${TRANSPORT}.raw_buffer.v3.RawBuffer`),
  harmless(
    'what it wraps is judged',
    `${TRANSPORT}.tcp_stats.v3.Config ${TRANSPORT}.proxy_protocol.v3.ProxyProtocolUpstreamTransport ${TRANSPORT}.internal_upstream.v3.InternalUpstreamTransport ${TRANSPORT}.http_11_proxy.v3.Http11ProxyUpstreamTransport`,
  ),
);

/** A transport socket of a listener, or of a cluster. */
export const transportSocket = (types: ReadonlyMap<string, Field>): Message =>
  message(
    'envoy.config.core.v3.TransportSocket',
    extension('typed_config', () => types),
    harmless('its type counts', 'name'),
  );

/** The trust domains that a SPIFFE validator accepts, each with its bundle as one text, and the path of its file; empty for none. */
export const trustDomainsIn = (context: unknown): readonly (readonly [name: string, bundle: string, path: string])[] =>
  listAt(context, 'custom_validator_config', 'typed_config', 'trust_domains').map((one) => [
    textAt(one, 'name'),
    JSON.stringify(at(one, 'trust_bundle') ?? null),
    textAt(one, 'trust_bundle', 'filename'),
  ]);

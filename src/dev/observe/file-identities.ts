import { parseDocument } from 'yaml';
import type { Document } from 'yaml';
import type { EnvoyFiles } from '../../tools/init/envoy-config.ts';

const LISTENERS = ['static_resources', 'listeners'];
const TLS = ['filter_chains', 0, 'transport_socket', 'typed_config', 'common_tls_context'];
/** The timeout of a check, so long that a loaded machine changes no answer of the demo. */
const PATIENCE = '10s';

/**
 * A configuration of Envoy that `remit init` wrote for SPIRE, with certificates from files, for a machine without SPIRE. The
 * second listener gets a free port, and checks have more time. Throws if the file has no certificates from SPIRE.
 */
export function envoyWithFiles(
  text: string,
  { files, adminSocket }: { readonly files: EnvoyFiles; readonly adminSocket: string },
): string {
  const document = parseDocument(patient(text));
  document.setIn(['admin', 'address', 'pipe', 'path'], adminSocket);
  const second = [...LISTENERS, 1];
  const isObserving = document.hasIn(second);
  if (isObserving) document.setIn([...second, 'address', 'socket_address', 'port_value'], 0);
  // The second listener refers to the certificates of the first.
  for (const at of isObserving ? [1, 0] : [0]) withCertificates(document, [...LISTENERS, at, ...TLS], files);
  return document.toString({ lineWidth: 0 });
}

/** `max_interval` of the retry policy also bounds each attempt: a check that takes longer would be made, and counted, twice. */
const patient = (text: string): string =>
  text
    .replaceAll('timeout: 0.5s', `timeout: ${PATIENCE}`)
    .replaceAll('max_interval: 0.5s', `max_interval: ${PATIENCE}`);

function withCertificates(document: Document, tls: readonly (string | number)[], files: EnvoyFiles): void {
  const validated = [...tls, 'validation_context_sds_secret_config'];
  const takes = document.hasIn(validated);
  document.deleteIn(validated);
  if (!document.deleteIn([...tls, 'tls_certificate_sds_secret_configs']))
    throw new Error('the configuration of envoy has no certificates from SPIRE');
  document.setIn(
    [...tls, 'tls_certificates'],
    document.createNode([{ certificate_chain: { filename: files.certificate }, private_key: { filename: files.key } }]),
  );
  if (!takes) return;
  const trustDomains = [...files.bundles].map(([name, filename]) => ({ name, trust_bundle: { filename } }));
  document.setIn(
    [...tls, 'validation_context'],
    document.createNode({
      custom_validator_config: {
        name: 'envoy.tls.cert_validator.spiffe',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig',
          trust_domains: trustDomains,
        },
      },
    }),
  );
}

/** A configuration of `remit serve` that `remit init` wrote, with an SVID from files, and a free port for `/readyz` and metrics. */
export function remitWithFiles(
  text: string,
  {
    svid,
    adminPort,
  }: {
    readonly svid: { readonly certificate: string; readonly key: string; readonly bundle: string };
    readonly adminPort: number;
  },
): string {
  const document = parseDocument(text);
  document.setIn(['svid'], document.createNode(svid));
  document.setIn(['admin'], document.createNode({ listen: `127.0.0.1:${adminPort}` }));
  return document.toString({ lineWidth: 0 });
}

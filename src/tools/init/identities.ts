/** The SPIFFE IDs, namespaces and service accounts of a new folder. */
import type { Answers } from './answers.ts';

/** What an identity of SPIRE is made from. */
type Named = Pick<Answers, 'host' | 'trustDomain'>;

/** The namespace of the shipped files of hosts, whose pods get a sidecar. */
export const SIDECAR_NAMESPACE = 'demo';

/** The SPIFFE ID of Remit itself; in a cluster that of the chart's authority. */
export const remitId = ({ host, trustDomain }: Named): string =>
  host === 'envoy' ? `spiffe://${trustDomain}/remit` : `spiffe://${trustDomain}/ns/remit/sa/remit-authority`;

/** The SPIFFE ID of pods with a sidecar: of the service account that a pod has if it names none. */
export const sidecarId = ({ trustDomain }: Named): string =>
  `spiffe://${trustDomain}/ns/${SIDECAR_NAMESPACE}/sa/default`;

/** The SPIFFE ID of the proxy that asks. */
export const envoyId = ({ host, trustDomain }: Named): string =>
  host === 'envoy' ? `spiffe://${trustDomain}/envoy` : `spiffe://${trustDomain}/ns/gateway/sa/envoy`;

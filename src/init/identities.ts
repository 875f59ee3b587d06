import type { Answers } from './answers.ts';

/** What an identity of SPIRE is made from. */
type Named = Pick<Answers, 'host' | 'trustDomain'>;

/** The SPIFFE ID of Remit itself. */
export const remitId = ({ host, trustDomain }: Named): string =>
  host === 'envoy' ? `spiffe://${trustDomain}/remit` : `spiffe://${trustDomain}/ns/remit/sa/remit`;

/** The SPIFFE ID of the proxy that asks. */
export const envoyId = ({ host, trustDomain }: Named): string =>
  host === 'envoy' ? `spiffe://${trustDomain}/envoy` : `spiffe://${trustDomain}/ns/gateway/sa/envoy`;

import type { Answers } from './answers.ts';

/** The SPIFFE ID of Remit itself. */
export const remitId = ({ trustDomain }: Pick<Answers, 'trustDomain'>): string => `spiffe://${trustDomain}/remit`;

/** The SPIFFE ID of Envoy. */
export const envoyId = ({ trustDomain }: Pick<Answers, 'trustDomain'>): string => `spiffe://${trustDomain}/envoy`;

import { spiffeIdFrom, trustDomainFrom } from '../../src/core/identity/spiffe-id.ts';
import type { SpiffeId, TrustDomain } from '../../src/core/identity/spiffe-id.ts';
import { must } from './must.ts';

/** A text as a SPIFFE ID; throws where it is none. */
export const mustSpiffeId = (text: string): SpiffeId => must(spiffeIdFrom(text));

/** A text as a trust domain; throws where it is none. */
export const mustTrustDomain = (text: string): TrustDomain => must(trustDomainFrom(text));

import type { SpiffeId } from '../identity/spiffe-id.ts';
import { optional } from '../runtime/fields.ts';
import { section } from './fields.ts';
import { spiffeIdText } from './values.ts';

/** The section `authority`. */
export interface AuthorityConfig {
  /** For a sidecar: the SPIFFE ID of its authorities, over TLS. Default `null`. */
  readonly id: SpiffeId | null;
}

/** Reads the section `authority`. */
export const authority = section<AuthorityConfig>({
  id: optional(spiffeIdText, null),
});

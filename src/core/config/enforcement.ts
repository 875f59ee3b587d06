/** Reads the section `enforcement`. */
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { optional } from '../runtime/fields.ts';
import { listed, section } from './fields.ts';
import { spiffeIdText } from './values.ts';

/** Who may change what is enforced while the process serves. */
export interface EnforcementConfig {
  readonly emergency: {
    /** Workloads that may have calls only observed for up to an hour (`remit observe start`). Default none: nobody may. */
    readonly operators: readonly SpiffeId[];
  };
}

/** Reads the section `enforcement`. */
export const enforcement = section<EnforcementConfig>({
  emergency: section({ operators: optional(listed(spiffeIdText), []) }),
});

import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../../core/config/config.ts';
import { statePathOf } from '../../core/config/state.ts';

/** Former default folder of keys, wherever the state file was. */
const BEFORE = '/var/lib/remit/signing-keys';

/**
 * A warning, in a single line, if keys are about to be created beside the state file although keys exist in the former default folder; `null`
 * otherwise.
 */
export function movedKeysWarning(
  { file, state, issuer }: Pick<Config, 'file' | 'state'> & { readonly issuer: { readonly signingKey: string } | null },
  before: string = BEFORE,
): string | null {
  const place = issuer?.signingKey ?? before;
  if (place === before || dirname(place) !== dirname(statePathOf(state)) || existsSync(place) || !existsSync(before))
    return null;
  return `warning: ${file}: \`issuer.signingKey\` is \`${place}\`, where new keys are created now; there are also keys at \`${before}\`, the default of earlier releases: if they belong to this issuer, stop, and move them there or name them with \`issuer.signingKey\``;
}

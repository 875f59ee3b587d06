import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';

/** Where keys were made before, wherever the state file was. */
const BEFORE = '/var/lib/remit/signing-keys';

/**
 * What is to be said, in one line, where keys are about to be made beside the state file while others are where they were made before
 * that was the default; `null` where nothing is.
 */
export function movedKeysWarning(
  { file, state, issuer }: Pick<Config, 'file' | 'state'> & { readonly issuer: { readonly signingKey: string } | null },
  before: string = BEFORE,
): string | null {
  const place = issuer?.signingKey ?? before;
  if (place === before || dirname(place) !== dirname(state) || existsSync(place) || !existsSync(before)) return null;
  return `warning: ${file}: \`issuer.signingKey\` is \`${place}\`, where new keys are made now; keys are at \`${before}\` too, the default of earlier releases: if they are of this issuer, stop, and move them there or name them with \`issuer.signingKey\``;
}

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { movedKeysWarning } from '../../../src/serve/keys/signing-key-place.ts';
import { scratchFolder } from '../../e2e/domain.ts';

// Issue 15, point 3: keys were created away from the state file, so that restoring the state file lost the keys.
it('`movedKeysWarning` warns if keys are at the former default, until there are keys beside the state file', async () => {
  const { folder, remove } = await scratchFolder('remit-keys-');
  const [before, place] = [join(folder, 'before'), join(folder, 'state/signing-keys')];
  const config = {
    file: 'remit.yaml',
    state: { kind: 'sqlite', path: join(folder, 'state/state.db') } as const,
    issuer: { signingKey: place },
  };
  try {
    expect(movedKeysWarning(config, before)).toBeNull();
    await mkdir(before);
    expect(movedKeysWarning(config, before)).toContain(
      `\`issuer.signingKey\` is \`${place}\`, where new keys are created now; there are also keys at \`${before}\``,
    );
    expect(movedKeysWarning({ ...config, issuer: null }, before)).toBeNull();
    expect(movedKeysWarning({ ...config, issuer: { signingKey: before } }, before)).toBeNull();
    await mkdir(place, { recursive: true });
    expect(movedKeysWarning(config, before)).toBeNull();
  } finally {
    await remove();
  }
});

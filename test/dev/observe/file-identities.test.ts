import { expect, it } from '@jest/globals';
import { envoyWithFiles } from '../../../src/dev/observe/file-identities.ts';
import { shippedSpireConfig } from '../../../src/tools/init/envoy-config.ts';
import { observingEnvoyConfig } from '../../../src/tools/init/observing.ts';

const enforcing = await shippedSpireConfig();
const files = { certificate: 'a.pem', key: 'a.key', bundles: new Map([['acme.test', 'bundle.pem']]) };

// Issue 41: on a loaded machine an attempt of half a second was repeated, so that a call was counted twice.
it.each([
  ['observes', observingEnvoyConfig(enforcing)],
  ['enforces', enforcing],
])(
  'gives each attempt of a check time on a loaded machine, in each listener of a configuration that %s',
  (_what, text) => {
    const patient = envoyWithFiles(text, { files, adminSocket: 'admin.sock' });
    expect(text).toMatch(/(?:timeout|max_interval): 0\.5s/);
    expect(patient).not.toMatch(/(?:timeout|max_interval): 0\.5s/);
  },
);

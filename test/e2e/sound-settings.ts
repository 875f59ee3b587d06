import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import { examples } from './domain.ts';

/** The settings of a process that serves checks by the example policies, which are written to the folder. */
export async function soundSettings(folder: string, { adminPort = 0 }: { readonly adminPort?: number } = {}) {
  await cp(examples, join(folder, 'policies'), { recursive: true });
  return {
    trustDomains: ['acme.test'],
    extAuthz: { listen: `unix:${folder}/check.sock` },
    admin: { listen: `127.0.0.1:${adminPort}` },
    policies: 'policies',
    state: 'sqlite:state.db',
  };
}

/** The setting `svid` of a process with this host name, whose files are written to the folder. */
export async function soundSvid(folder: string, dns: string) {
  const acme = await createAuthority('acme.test', systemPorts);
  const own = await writeCredential(folder, 'remit', await acme.svid('/remit', { dns: [dns], ips: [] }));
  return { ...own, bundle: await writeBundle(folder, 'bundle', acme) };
}

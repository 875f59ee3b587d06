import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { svidFrom } from '../../../src/core/identity/svid.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';
import { openSidecar } from '../../builders/sidecar-state.ts';

/**
 * Many sidecars in one process: `node crowded-herd.ts COUNT FOLDER TARGET…`, with the credentials of a `RealFleet` in its folder. Writes how
 * many of them have a lease, a line each time that changes.
 */
const [count = '0', folder = '', ...targets] = process.argv.slice(2);
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const svid = svidFrom(
  {
    chain: [new X509Certificate(read('tools.pem'))],
    key: createPrivateKey(read('tools.key')),
    bundle: [new X509Certificate(read('bundle.pem'))],
    federated: new Map(),
  },
  Date.now(),
);
if ('problem' in svid) throw new Error(svid.problem);
const tls = { svid, authorityId: mustSpiffeId('spiffe://acme.test/authority') };
const sidecars = Array.from({ length: Number(count) }, () =>
  openSidecar(targets, { placeOf: (target) => ({ target, tls }) }),
);
/** Looks each 50 ms took a tenth of the processor time of the herd. */
const LOOK_MS = 250;
let shown = -1;
setInterval(() => {
  const leases = sidecars.filter((sidecar) => sidecar.problem() === null).length;
  if (leases !== shown) process.stdout.write(`${leases}\n`);
  shown = leases;
}, LOOK_MS);
process.stdin.resume().on('end', () => process.exit());

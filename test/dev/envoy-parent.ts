import { setInterval } from 'node:timers';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import { isBinaryProblem } from '../../src/dev/envoy-binary.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig } from '../../src/tools/init/envoy-config.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';

/** A process for a test to kill: starts Envoy, writes one line with its socket and process id, and stays. */
const [, , binary = '', folder = ''] = process.argv;
const acme = await createAuthority('acme.test', systemPorts);
const files = {
  ...(await writeCredential(folder, 'parent', await acme.svid('/envoy'))),
  bundles: new Map([['acme.test', await writeBundle(folder, 'parent-bundle', acme)]]),
};
const nobody = { host: '127.0.0.1', port: 9 };
const shipped = await shippedEnvoyConfig();
const config = (adminSocket: string): string =>
  envoyConfigWithFiles(
    shipped,
    {
      listener: { host: '127.0.0.1', port: 0 },
      adminSocket,
      remitSocket: `${folder}/nobody.sock`,
      payments: nobody,
      files: nobody,
      collector: null,
    },
    files,
  );
const envoy = await EnvoyProcess.start({ binary, config });
if (isBinaryProblem(envoy)) throw new Error(envoy.problem);
process.stdout.write(`${JSON.stringify({ pid: envoy.pid, adminSocket: envoy.adminSocket })}\n`);
setInterval(() => {}, 1_000_000);

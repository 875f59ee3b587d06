import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GoBinaries } from './go-servers.ts';
import { audiences } from './loads.ts';
import { issuerUrl } from './remit-under-test.ts';

const POLICY = join(import.meta.dirname, 'go/opa/policy.rego');

/** What opa-envoy-plugin logs once it serves. */
export const OPA_PLUGIN_READY = 'Starting gRPC server.';

/**
 * The command of opa-envoy-plugin with the policy of `go/opa`, as its documentation starts it, without a decision log. Writes its data, the keys of
 * the issuer, to a file in `folder`, where its REST API listens too.
 */
export async function opaPluginCommand(
  go: GoBinaries,
  {
    folder,
    name,
    socket,
    keys,
  }: { readonly folder: string; readonly name: string; readonly socket: string; readonly keys: string },
): Promise<readonly string[]> {
  const data = join(folder, `${name}.json`);
  await writeFile(data, JSON.stringify({ jwks: keys, issuer: issuerUrl, audience: audiences.files }));
  return [
    go.opaPlugin,
    'run',
    '--server',
    `--addr=unix://${join(folder, `${name}-api.sock`)}`,
    '--skip-version-check',
    `--set=plugins.envoy_ext_authz_grpc.addr=unix://${socket}`,
    '--set=plugins.envoy_ext_authz_grpc.path=envoy/authz/allow',
    POLICY,
    data,
  ];
}

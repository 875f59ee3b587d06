import { readdir, readFile } from 'node:fs/promises';
import { productFile } from '../../core/runtime/system/product-file.ts';
import type { Answers, Host } from './answers.ts';
import { envoyId } from './identities.ts';

/** A host other than a plain Envoy: its shipped files, and what Remit must know of it. */
interface ShippedHost {
  /** Folders of `deploy/hosts/`. */
  readonly folders: readonly string[];
  /** The address of Remit that the host calls. */
  readonly listen: string;
  /** The other keys of `extAuthz`, which depend on what this host shows of the caller. */
  readonly extAuthz: (answers: Answers) => Readonly<Record<string, string>>;
  /** Whether the host has an identity of its own, as a gateway has. */
  readonly isGateway: boolean;
}

const BESIDE = '127.0.0.1:9470';

/** The caller is named by the header that the gateway writes itself. */
const fromHeader = (answers: Answers) => ({ identity: 'xfcc', proxyId: envoyId(answers) });

/** The hosts whose files are shipped in `deploy/hosts/`. */
export const SHIPPED_HOSTS: ReadonlyMap<Host, ShippedHost> = new Map<Host, ShippedHost>([
  // Sidecars keep connections that were opened with a former certificate, and with Istio's own CA have another than the agent.
  ['istio', { folders: ['istio'], listen: BESIDE, extAuthz: () => ({ binding: 'spiffe-id' }), isGateway: false }],
  [
    'istio-waypoint',
    {
      folders: ['istio-waypoint', 'istio'],
      listen: BESIDE,
      extAuthz: (answers) => ({ ...fromHeader(answers), binding: 'spiffe-id' }),
      isGateway: true,
    },
  ],
  [
    'envoy-gateway',
    { folders: ['envoy-gateway'], listen: 'unix:/run/remit/check.sock', extAuthz: fromHeader, isGateway: true },
  ],
  [
    'agentgateway',
    { folders: ['agentgateway'], listen: BESIDE, extAuthz: () => ({ certificateFrom: 'metadata' }), isGateway: true },
  ],
  ['kgateway', { folders: ['kgateway'], listen: BESIDE, extAuthz: fromHeader, isGateway: true }],
  ['consul', { folders: ['consul'], listen: BESIDE, extAuthz: () => ({}), isGateway: false }],
]);

/** The files of a host by path, with the names of these answers in place of the examples; empty for a plain Envoy. */
export async function hostFiles(answers: Answers): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const folder of SHIPPED_HOSTS.get(answers.host)?.folders ?? []) {
    const shipped = productFile(`deploy/hosts/${folder}/`);
    for (const name of (await readdir(shipped)).toSorted())
      files.set(`${folder}/${name}`, withNames(await readFile(`${shipped}${name}`, 'utf8'), answers));
  }
  return files;
}

/** Names and addresses have no character that YAML or HCL would read otherwise. */
const withNames = (text: string, { tools, trustDomain, upstream: { host, port } }: Answers): string =>
  text
    .replaceAll('payments.acme.test', tools)
    .replaceAll('acme.test', trustDomain)
    .replaceAll('127.0.0.1:8081', `${host}:${port}`)
    .replaceAll('127.0.0.1, port: 8081', `${host}, port: ${port}`);

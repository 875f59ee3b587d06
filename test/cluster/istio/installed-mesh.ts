import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IstioClusterParts } from '../../parts/istio-cluster.ts';
import { SPIRE_NAMESPACE } from '../addons/spire.ts';
import { startCluster } from '../cluster.ts';
import type { Cluster } from '../cluster.ts';
import type { ClusterParts } from '../cluster-parts.ts';
import { currentRelease } from '../release.ts';
import { installIstio } from './mesh.ts';
import type { MeshOptions } from './mesh.ts';
import { installByIstioPage, preparePage } from './page.ts';

/** A cluster with Istio and Remit, and the folder in which the commands of the page ran. Lifecycle: {@link startMesh}; `close` ends it. */
export interface Mesh {
  readonly cluster: Cluster;
  readonly folder: string;
  /** When the cluster was started. */
  readonly startedMs: number;
  readonly close: () => Promise<void>;
}

/** What is not the same in every mesh. */
export interface StartMeshOptions extends MeshOptions {
  /** The life of SVIDs. Default that of SPIRE, an hour. */
  readonly svidSeconds?: number;
  /** Whether checks have 10 s in place of half a second, so that a machine without processor time changes no answer. Default no. */
  readonly isPatient?: boolean;
  /** Whether all calls are observed. Default no. */
  readonly isObserved?: boolean;
}

/** Starts a cluster, Istio and Remit as the page says, with the tool servers of the page: their certificates are those of Istio's own CA. */
export async function startMesh(
  parts: ClusterParts,
  istio: IstioClusterParts,
  { isObserved, isPatient = false, svidSeconds, ...options }: StartMeshOptions = {},
): Promise<Mesh> {
  await currentRelease();
  const folder = mkdtempSync(join(tmpdir(), 'ri-'));
  const startedMs = Date.now();
  const cluster = await startCluster(parts, { images: istio.images });
  const close = async (): Promise<void> => {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    if (svidSeconds !== undefined) await limitSvids(cluster, svidSeconds);
    await Promise.all([installIstio(cluster, istio, folder, options), preparePage(cluster, folder)]);
    await installByIstioPage(cluster, folder, {
      isObserved,
      change: isPatient ? (mesh) => mesh.replace('timeout: 0.5s', 'timeout: 10s') : undefined,
    });
  } catch (error) {
    await close();
    throw error;
  }
  return { cluster, folder, startedMs, close };
}

/** Sets how long SVIDs live that SPIRE issues from now on. */
async function limitSvids(cluster: Cluster, seconds: number): Promise<void> {
  const get = `-n ${SPIRE_NAMESPACE} get configmap spire-server -o jsonpath={.data.server\\.conf}`;
  const text = (await cluster.kubectl(get)).replace('server {', `server {\n  default_x509_svid_ttl = "${seconds}s"`);
  const data = JSON.stringify({ data: { 'server.conf': text } });
  await cluster.run(['kubectl', '-n', SPIRE_NAMESPACE, 'patch', 'configmap', 'spire-server', '-p', data]);
  await cluster.kubectl(`-n ${SPIRE_NAMESPACE} rollout restart deployment/spire-server`);
  await cluster.kubectl(`-n ${SPIRE_NAMESPACE} rollout status deployment/spire-server`);
}

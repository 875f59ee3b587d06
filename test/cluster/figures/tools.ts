import type { Cluster } from '../cluster.ts';
import { TOOLS } from '../demo.ts';

/** Makes the pods of the tool server again, and waits until the new ones are ready. */
export async function restartTools(cluster: Cluster): Promise<void> {
  await cluster.kubectl(`-n ${TOOLS.namespace} rollout restart deployment/${TOOLS.name}`);
  await cluster.kubectl(`-n ${TOOLS.namespace} rollout status deployment/${TOOLS.name}`);
}

/** The pod of the tool server that is not about to end. */
export async function toolPod(cluster: Cluster): Promise<string> {
  const { items } = JSON.parse(await cluster.kubectl(`-n ${TOOLS.namespace} get pods -l app=${TOOLS.name} -o json`));
  const running = items.find(
    ({ metadata }: { readonly metadata: { readonly deletionTimestamp?: string } }) =>
      metadata.deletionTimestamp === undefined,
  );
  return running.metadata.name;
}

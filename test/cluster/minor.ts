import { REGISTRY } from '../../.ci/release/signing.ts';
import type { Cluster } from './cluster.ts';
import { IMAGE, VERSION } from './release.ts';
import type { Release } from './release.ts';
import { publishVariant } from './variant.ts';

/** The release after that of this tree: one minor version on. */
export const NEXT = VERSION.replace(/^(\d+)\.(\d+)\.\d+/, (_, major, minor) => `${major}.${Number(minor) + 1}.0`);

/** Its image. */
export const NEXT_IMAGE = IMAGE.replace(/:[^:]*$/, `:${NEXT}`);

/** The chart with another version, in its files too, packed and pushed. */
const CHART = `
mkdir -p "$1"
tar --extract --gzip --file "$2" --directory "$1"
grep --recursive --files-with-matches --fixed-strings "$3" "$1" | xargs sed -i "s/\\b$3\\b/$4/g"
helm package "$1"/remit --destination "$1"
helm push "$1/remit-$4.tgz" "$5"
`;

/** Publishes a release as the next minor version: its image and its chart say so, and differ in nothing else. */
export async function publishNext(cluster: Cluster, release: Release): Promise<void> {
  await publishVariant(cluster, release, { tag: NEXT, files: { 'usr/lib/remit/dist/version.txt': `${NEXT}\n` } });
  const words = [`${cluster.layout.state}/next`, release.chart, VERSION, NEXT, `oci://${REGISTRY}/charts`];
  await cluster.run(['sh', '-ec', CHART, 'sh', ...words]);
}

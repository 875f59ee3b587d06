import { createHash } from 'node:crypto';
import { productionPackages, resolvedFrom } from './lock-file.ts';
import type { ProductionPackage } from './lock-file.ts';

/** The product in its bill of materials. */
interface Product {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly dependencies: readonly string[];
  /** When it was released, in seconds since 1970. */
  readonly seconds: number;
}

/**
 * The bill of materials of what the product runs with, made from the lock file. Its serial number is derived from its content, so that the same
 * sources give the same bytes.
 *
 * @see CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/
 */
export function billOfMaterials(root: string, product: Product): object {
  const packages = productionPackages(root);
  const byPath = new Map(packages.map((one) => [one.path, one]));
  const self = `pkg:npm/${product.name}@${product.version}`;
  const refsOf = (path: string, needs: readonly string[]): readonly string[] =>
    needs.flatMap((name) => resolvedFrom(path, name, byPath) ?? []).map(refOf);
  const content = {
    metadata: {
      timestamp: new Date(product.seconds * 1000).toISOString(),
      component: {
        type: 'application',
        'bom-ref': self,
        name: product.name,
        version: product.version,
        licenses: [{ license: { id: product.license } }],
        purl: self,
      },
    },
    components: packages.map(componentOf),
    dependencies: [
      { ref: self, dependsOn: refsOf('', product.dependencies) },
      ...packages.map((one) => ({ ref: refOf(one), dependsOn: refsOf(one.path, one.needs) })),
    ],
  };
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(content))}`;
  return { bomFormat: 'CycloneDX', specVersion: '1.6', serialNumber, version: 1, ...content };
}

function componentOf(one: ProductionPackage): object {
  const [scope, name = ''] = one.name.startsWith('@') ? one.name.split('/') : [undefined, one.name];
  const [algorithm = '', digest = ''] = one.integrity.split('-');
  return {
    type: 'library',
    'bom-ref': refOf(one),
    ...(scope === undefined ? {} : { group: scope }),
    name,
    version: one.version,
    hashes: [{ alg: algorithm.replace('sha', 'SHA-'), content: Buffer.from(digest, 'base64').toString('hex') }],
    licenses: [one.license.includes(' ') ? { expression: one.license } : { license: { id: one.license } }],
    purl: purlOf(one),
  };
}

const purlOf = ({ name, version }: ProductionPackage): string => `pkg:npm/${name.replace('@', '%40')}@${version}`;

/** Its path too, since one version may be installed at several places. */
const refOf = (one: ProductionPackage): string => `${purlOf(one)}#${one.path}`;

/** A UUID derived from a text. @see RFC 9562 section 5.8 */
function uuidOf(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

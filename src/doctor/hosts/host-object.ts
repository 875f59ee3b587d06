import { at, listAt, membersAt, textAt } from '../tree.ts';

/** A document of a file: an object of Kubernetes, or the configuration of a host. */
export interface HostObject {
  /** The file, and the number of the document where there are several: `mesh.yaml`, `policy.yaml#2`. */
  readonly file: string;
  /** `apiVersion` without its version, such as `security.istio.io`; empty for none. */
  readonly group: string;
  /** `MeshConfig` and `Agentgateway` for configurations that have no `kind`. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: unknown;
}

const KINDLESS = [
  ['MeshConfig', 'extensionProviders'],
  ['Agentgateway', 'binds'],
] as const;

/** The objects in a document; a `List` has several, a ConfigMap may hold a mesh configuration that `parse` reads. */
export function objectsFrom(file: string, value: unknown, parse: (text: string) => unknown): readonly HostObject[] {
  const kind = textAt(value, 'kind');
  if (kind === 'List') return listAt(value, 'items').flatMap((item) => objectsFrom(file, item, parse));
  const [known] = KINDLESS.find(([, member]) => at(value, member) !== undefined) ?? [kind];
  if (known === '') return [];
  const own = objectOf(file, known, value);
  const mesh = kind === 'ConfigMap' ? textAt(value, 'data', 'mesh') : '';
  const inner = mesh === '' ? at(value, 'spec', 'meshConfig') : parse(mesh);
  return inner === undefined ? [own] : [own, { ...own, kind: 'MeshConfig', group: '', value: inner }];
}

const objectOf = (file: string, kind: string, value: unknown): HostObject => ({
  file,
  group: textAt(value, 'apiVersion').replace(/^[^/]*$|\/[^/]{0,63}$/, ''),
  kind,
  namespace: textAt(value, 'metadata', 'namespace') || 'default',
  name: textAt(value, 'metadata', 'name'),
  labels: new Map(
    membersAt(value, 'metadata', 'labels').flatMap(([name, label]) =>
      typeof label === 'string' ? [[name, label]] : [],
    ),
  ),
  value,
});

/** The place of an object in a finding: `policy.yaml: AuthorizationPolicy demo/remit`. */
export const placeOf = ({ file, kind, name, namespace }: HostObject): string =>
  name === '' ? `${file}: ${kind}` : `${file}: ${kind} ${namespace}/${name}`;

/** The objects of a kind. */
export const ofKind = (objects: readonly HostObject[], kind: string, group = ''): readonly HostObject[] =>
  objects.filter((one) => one.kind === kind && one.group.endsWith(group));

import { isObject } from '../../../core/runtime/fields.ts';
import { at, listAt, membersAt, textAt } from '../tree.ts';

/** A document of a file: an object of Kubernetes, or the configuration of a host. */
export interface HostObject {
  /** The file, and the number of the document if there are several: `mesh.yaml`, `policy.yaml#2`. */
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

/** Configurations without a kind, by a member that they have. */
const KINDLESS = [
  ['MeshConfig', 'extensionProviders'],
  ['Agentgateway', 'binds'],
  ['IstioValues', 'meshConfig'],
] as const;

/** The annotation of a pod with settings of its sidecar. */
const OF_SIDECAR = 'proxy.istio.io/config';

/** The objects in a document; a `List` has several, and an object may hold a configuration of Istio, as a text that `parse` reads too. */
export function objectsFrom(file: string, value: unknown, parse: (text: string) => unknown): readonly HostObject[] {
  const kind = textAt(value, 'kind');
  if (kind === 'List') return listAt(value, 'items').flatMap((item) => objectsFrom(file, item, parse));
  const [known] = KINDLESS.find(([, member]) => kind === '' && at(value, member) !== undefined) ?? [kind];
  if (known === '') return [];
  const own = objectOf(file, known, value);
  const configMap = (name: string): unknown =>
    kind === 'ConfigMap' ? parsed(textAt(value, 'data', name), parse) : undefined;
  const values = at(value, 'spec', 'values') ?? configMap('values') ?? (known === 'IstioValues' ? value : undefined);
  const meshes = [configMap('mesh'), at(value, 'spec', 'meshConfig'), at(values, 'meshConfig')];
  const proxies = [
    parsed(textAt(value, 'metadata', 'annotations', OF_SIDECAR), parse),
    parsed(textAt(value, 'spec', 'template', 'metadata', 'annotations', OF_SIDECAR), parse),
  ];
  return [
    ...(known === 'IstioValues' ? [] : [own]),
    ...within(own, 'IstioValues', [values]),
    ...within(own, 'MeshConfig', meshes),
    ...within(own, 'ProxyConfig', proxies),
  ];
}

const parsed = (text: string, parse: (text: string) => unknown): unknown => (text === '' ? undefined : parse(text));

const within = (own: HostObject, kind: string, values: readonly unknown[]): readonly HostObject[] =>
  values.flatMap((value) => (isObject(value) ? [{ ...own, kind, group: '', value }] : []));

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

import { isObject } from '../../../core/runtime/fields.ts';
import { at, listAt, membersAt, textAt } from '../tree.ts';
import { argoValuesOf } from './argo-values.ts';

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

/** Configurations without a kind, by members that only they have. A file may hold several: no member of one hides another. */
const KINDLESS: readonly (readonly [kind: string, ...members: readonly (readonly string[])[]])[] = [
  ['MeshConfig', ['extensionProviders'], ['extension_providers'], ['defaultConfig'], ['default_config']],
  ['Agentgateway', ['binds']],
  ['IstioValues', ['meshConfig'], ['sidecarInjectorWebhook'], ['global', 'proxy']],
];

const kindlessIn = (value: unknown): readonly string[] =>
  KINDLESS.flatMap(([kind, ...members]) => (members.some((path) => at(value, ...path) !== undefined) ? [kind] : []));

/** The annotation of a pod with settings of its sidecar. */
const OF_SIDECAR = 'proxy.istio.io/config';

/** The name of the ConfigMap of the injector begins with it; a revision of istiod adds its own. */
const INJECTOR = 'istio-sidecar-injector';

/** The objects in a document. A list holds several; an object can hold a configuration of Istio, maybe as text for `parse`. */
export function objectsFrom(file: string, value: unknown, parse: (text: string) => unknown): readonly HostObject[] {
  const kind = textAt(value, 'kind');
  const items = isListOf(kind, value) ? itemsOf(value, kind).flatMap((item) => objectsFrom(file, item, parse)) : null;
  // Helm ignores a `kind` in a file of values, so a document with a kind may also be such a configuration.
  const kinds = (kind === '' || items !== null ? [] : [kind]).concat(kindlessIn(value));
  const owns = kinds.map((one) => objectOf(file, one, value));
  const [own] = owns;
  if (own === undefined) return items ?? [];
  const configMap = (name: string): unknown =>
    kind === 'ConfigMap' ? parsed(textAt(value, 'data', name), parse) : undefined;
  const values = [
    at(value, 'spec', 'values') ?? configMap('values'),
    at(value, 'spec', 'unvalidatedValues'),
    ...argoValuesOf(value, parse),
    ...(kinds.includes('IstioValues') ? [value] : []),
  ];
  const meshes = [
    configMap('mesh'),
    at(value, 'spec', 'meshConfig'),
    ...values.map((one) => at(one, 'meshConfig')),
    ...(kinds.includes('MeshConfig') ? [value] : []),
  ];
  const proxies = [
    parsed(textAt(value, 'metadata', 'annotations', OF_SIDECAR), parse),
    parsed(textAt(value, 'spec', 'template', 'metadata', 'annotations', OF_SIDECAR), parse),
  ];
  return [
    ...(items ?? []),
    ...owns.filter((one) => !ofIstio.has(one.kind)),
    ...within(own, 'IstioValues', values),
    ...within(
      own,
      'MeshConfig',
      meshes.map((one) => camelNames(one)),
    ),
    ...within(
      own,
      'ProxyConfig',
      proxies.map((one) => camelNames(one)),
    ),
    ...within(own, 'IstioInjector', own.name.startsWith(INJECTOR) ? [configMap('config')] : []),
  ];
}

/** Kinds that `within` gives, so the document itself is not given again. */
const ofIstio: ReadonlySet<string> = new Set(['IstioValues', 'MeshConfig']);

/** `List`, or a list of one kind such as `ConfigMapList`. */
const isListOf = (kind: string, value: unknown): boolean => kind.endsWith('List') && Array.isArray(at(value, 'items'));

/** The items of a list. In a list of one kind an item may leave out its `kind`. */
const itemsOf = (list: unknown, kind: string): readonly unknown[] =>
  listAt(list, 'items').map((item) =>
    kind !== 'List' && isObject(item) && textAt(item, 'kind') === '' ? itemFrom(item, list, kind) : item,
  );

const itemFrom = (item: object, list: unknown, kind: string): unknown => ({
  apiVersion: textAt(list, 'apiVersion'),
  ...item,
  kind: kind.slice(0, -'List'.length),
});

const MAX_DEPTH = 40;

/** A message of Istio with the names of ProtoJSON. Istio also takes those of the proto files: `default_config`. Names of data in that form are renamed too; no check reads them. */
function camelNames(value: unknown, depth = 0): unknown {
  if (depth > MAX_DEPTH) return value;
  if (Array.isArray(value)) return value.map((one) => camelNames(one, depth + 1));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, own]) => [
      /^[a-z][a-z0-9_]*$/.test(name)
        ? name.replaceAll(/_([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase())
        : name,
      camelNames(own, depth + 1),
    ]),
  );
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

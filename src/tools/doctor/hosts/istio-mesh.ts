import type { Check } from '../check.ts';
import type { Finding } from '../finding.ts';
import type { Message } from '../envoy/fields/field.ts';
import { fieldFindings } from '../envoy/fields/walk.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { documentsFrom } from '../collect/host-text.ts';
import { at, membersAt, textAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { ruleFindings } from './host-rule.ts';
import type { HostRule } from './host-rule.ts';
import { meshConfig, proxyConfig } from './mesh-fields.ts';

const BY_ANNOTATIONS = 'pods get annotations that may take calls past the sidecar';

/** Settings of the injector, which hold for every pod of the mesh: in the values of its chart, and in the ConfigMap that is made of them. */
const injector: readonly HostRule[] = (
  [
    ['IstioValues', 'global.proxy.excludeInboundPorts', isNotOwnPort, 'calls of these ports go past every sidecar'],
    [
      'IstioValues',
      'global.proxy.includeInboundPorts',
      isNotAll,
      'calls of other ports than these go past every sidecar',
    ],
    ['IstioValues', 'global.proxy.autoInject', isNotEnabled, 'pods have no sidecar'],
    ['IstioInjector', 'policy', isNotEnabled, 'pods have no sidecar'],
    ['IstioValues', 'sidecarInjectorWebhook.neverInjectSelector', isList, 'pods that it selects have no sidecar'],
    ['IstioInjector', 'neverInjectSelector', isList, 'pods that it selects have no sidecar'],
    ['IstioValues', 'sidecarInjectorWebhook.injectedAnnotations', isMap, BY_ANNOTATIONS],
    ['IstioInjector', 'injectedAnnotations', isMap, BY_ANNOTATIONS],
    ['IstioValues', 'sidecarInjectorWebhook.templates', hasOtherTemplate, 'pods have another sidecar'],
    ['IstioInjector', 'templates', hasUnknownTemplate, 'pods have another sidecar'],
    ['IstioValues', 'sidecarInjectorWebhook.defaultTemplates', isList, 'pods have another sidecar, or none'],
    ['IstioInjector', 'defaultTemplates', isNotSidecar, 'pods have another sidecar, or none'],
    ['IstioValues', 'cni.excludeNamespaces[]', isNotSystem, 'calls of its pods are not taken to their sidecars'],
  ] as const
).map(([kind, path, isBad, message]) => ({
  kind,
  group: '',
  path,
  isBad,
  code: 'istio.past-sidecar' as const,
  message: `${message}, and reach the tool unchecked`,
  fix: 'remove it',
}));

function isText(value: unknown): boolean {
  return typeof value === 'string' ? value !== '' : typeof value === 'number';
}

/** 9471 is the port of Remit itself. */
function isNotOwnPort(value: unknown): boolean {
  return isText(value) && String(value) !== '9471';
}

/** The injector takes any other word for no policy, and injects nothing. */
function isNotEnabled(value: unknown): boolean {
  return value !== undefined && value !== 'enabled';
}

/** The former annotation of the shipped template for the port of Remit itself, in quotes that end on its line. */
const OWN_PORT = /traffic\.sidecar\.istio\.io\/excludeInboundPorts: (?:"9471"|'9471')$/gm;

/**
 * The actions of the shipped templates: they write constants, and annotations of the pod in quotes. Each stands between white space, so that it
 * joins no texts.
 */
const OWN_ACTION =
  /(?<!\S)\{\{-? (?:else|end|if eq \(index \.ObjectMeta\.Labels "[\w./-]{1,64}"\) "\w{1,16}"|if not \(index \.ObjectMeta\.Annotations "[\w./-]{1,64}"\)|with index \.ObjectMeta\.Annotations "[\w./-]{1,64}"|printf "%q" \.|printf "%q" \(or \(index \.ObjectMeta\.Annotations "[\w./-]{1,64}"\) "[^"\\]{0,64}"\)) \}\}(?!\S)/g;

/** Words of a template by which calls bypass the sidecar. */
const CHANGES_SIDECAR = /istio-proxy|istio-init|istio\.io\/|hostNetwork|\$patch|\$retainKeys/;
/** Ways of writing such words otherwise: actions that join texts, and escapes. */
const HIDES_WORDS = /\{\{|\\/;

/** The templates of Remit and of its helper for agents: each adds a container, and leaves Istio's own alone. */
export const OWN_TEMPLATES: ReadonlySet<string> = new Set(['remit', 'remit-agent']);

function hasOtherTemplate(value: unknown): boolean {
  return membersAt(value).some(([name, text]) => isOtherTemplate(name, text));
}

const isOtherTemplate = (name: string, text: unknown): boolean =>
  OWN_TEMPLATES.has(name) ? changesSidecar(text) : name !== 'spire' || !isOfSpire(text);

/**
 * Whether a template is that of `deploy/guide/install/hosts/istio.md`, by which Envoy has its certificate from SPIRE: with any name of the socket, and
 * laid out in any way.
 */
function isOfSpire(text: unknown): boolean {
  if (typeof text !== 'string' || text.length > MAX_TEMPLATE) return false;
  const documents = documentsFrom(text);
  if (isProblem(documents)) return false;
  const socket = textAt(documents[0], 'spec', 'initContainers', 0, 'env', 0, 'value');
  return /^[\w.-]{1,64}$/.test(socket) && JSON.stringify(documents) === JSON.stringify([spireTemplate(socket)]);
}

const MAX_TEMPLATE = 4_096;

const spireTemplate = (socket: string): object => ({
  spec: {
    initContainers: [
      {
        name: 'istio-proxy',
        volumeMounts: [{ name: 'workload-socket', mountPath: '/run/secrets/workload-spiffe-uds', readOnly: true }],
        env: [{ name: 'WORKLOAD_IDENTITY_SOCKET_FILE', value: socket }],
      },
    ],
    volumes: [{ name: 'workload-socket', emptyDir: null, csi: { driver: 'csi.spiffe.io', readOnly: true } }],
  },
});

const changesSidecar = (text: unknown): boolean =>
  typeof text !== 'string' ||
  CHANGES_SIDECAR.test(text.replaceAll(OWN_PORT, '')) ||
  HIDES_WORDS.test(text.replaceAll(OWN_ACTION, ''));

/** The templates of Istio's own chart. Their text depends on its version, and is not judged. */
const OF_ISTIO: ReadonlySet<string> = new Set(
  'sidecar gateway grpc-simple grpc-agent waypoint kube-gateway agentgateway'.split(' '),
);

function hasUnknownTemplate(value: unknown): boolean {
  return membersAt(value).some(([name, text]) => !OF_ISTIO.has(name) && isOtherTemplate(name, text));
}

function isNotSidecar(value: unknown): boolean {
  return isList(value) && JSON.stringify(value) !== '["sidecar"]';
}

/** Namespaces of the platform, in which no tool runs. */
const PLATFORM: ReadonlySet<unknown> = new Set(['kube-system', 'istio-system', 'spire', 'remit']);

function isNotSystem(value: unknown): boolean {
  return isText(value) && !PLATFORM.has(value);
}

/** Whether ports are left out: by any value but `*`. An empty list leaves all of them out. */
function isNotAll(value: unknown): boolean {
  return value !== undefined && value !== '*';
}

function isList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

function isMap(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

const fieldsIn = (message: Message, value: unknown, object: HostObject): readonly Finding[] =>
  fieldFindings(message, value, placeOf(object)).map(ofIstio);

/** The same finding, under a code of Istio. */
const ofIstio = ({ code, ...finding }: Finding): Finding => ({
  ...finding,
  code: code === 'envoy.unseen' ? 'istio.unseen' : code,
});

/** Settings of all sidecars, of those of a namespace, and of a pod. */
export const istioMeshCheck = (isAsked: (objects: readonly HostObject[]) => boolean): Check => ({
  category: 'istio',
  title: 'each setting of the mesh and of its sidecars is known, and harmless',
  run: ({ objects }) => {
    if (!isAsked(objects)) return null;
    return [
      ...ofKind(objects, 'MeshConfig').flatMap((one) => fieldsIn(meshConfig, one.value, one)),
      ...ofKind(objects, 'ProxyConfig').flatMap((one) =>
        fieldsIn(proxyConfig, at(one.value, 'spec') ?? one.value, one),
      ),
      ...ruleFindings(injector, objects),
    ];
  },
});

import type { Check } from '../check.ts';
import type { Finding } from '../finding.ts';
import type { Message } from '../envoy/fields/field.ts';
import { fieldFindings } from '../envoy/fields/walk.ts';
import { at, membersAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { ruleFindings } from './host-rule.ts';
import type { HostRule } from './host-rule.ts';
import { meshConfig, proxyConfig } from './mesh-fields.ts';

/** Settings of the injector, which hold for every pod of the mesh. */
const injector: readonly HostRule[] = (
  [
    ['global.proxy.excludeInboundPorts', isNotOwnPort, 'calls of these ports go past every sidecar'],
    ['global.proxy.includeInboundPorts', isNotAll, 'calls of other ports than these go past every sidecar'],
    ['global.proxy.autoInject', (value: unknown) => value === 'disabled', 'pods have no sidecar'],
    ['sidecarInjectorWebhook.neverInjectSelector', isList, 'pods that it selects have no sidecar'],
    ['sidecarInjectorWebhook.injectedAnnotations', isMap, 'pods get annotations that may take calls past the sidecar'],
    ['sidecarInjectorWebhook.templates', hasOtherTemplate, 'pods have another sidecar'],
    ['sidecarInjectorWebhook.defaultTemplates', isList, 'pods have another sidecar, or none'],
  ] as const
).map(([path, isBad, message]) => ({
  kind: 'IstioValues',
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

/** Words of a template by which calls bypass the sidecar, except for the port of Remit itself. */
const CHANGES_SIDECAR =
  /istio-proxy|istio-init|traffic\.sidecar\.istio\.io\/(?!excludeInboundPorts: ["']?9471\b["']?\s)/;

/** The templates of Remit and of its helper for agents: each adds a container, and leaves Istio's own alone. */
export const OWN_TEMPLATES: ReadonlySet<string> = new Set(['remit', 'remit-agent']);

function hasOtherTemplate(value: unknown): boolean {
  return membersAt(value).some(
    ([name, text]) => !OWN_TEMPLATES.has(name) || typeof text !== 'string' || CHANGES_SIDECAR.test(text),
  );
}

function isNotAll(value: unknown): boolean {
  return isText(value) && value !== '*';
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

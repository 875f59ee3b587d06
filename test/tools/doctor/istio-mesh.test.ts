import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { documentsFrom } from '../../../src/tools/doctor/collect/host-text.ts';
import { NO_FACTS } from '../../../src/tools/doctor/facts.ts';
import { objectsFrom } from '../../../src/tools/doctor/hosts/host-object.ts';
import { istioMeshCheck } from '../../../src/tools/doctor/hosts/istio-mesh.ts';

const shipped = readFileSync(resolve(import.meta.dirname, '../../../deploy/inject/istio.yaml'), 'utf8');

function documentsOf(text: string): readonly unknown[] {
  const documents = documentsFrom(text);
  if (isProblem(documents)) throw new Error(documents.problem);
  return documents;
}

/** What is found in a file of a mesh that asks Remit, as `code field`. */
function foundIn(text: string): readonly string[] {
  const objects = documentsOf(text).flatMap((one) => objectsFrom('mesh.yaml', one, (inner) => documentsOf(inner)[0]));
  const found = istioMeshCheck(() => true).run({ ...NO_FACTS, objects }) ?? [];
  return found.map(({ code, message }) => `${code} ${/^`([^`]*)`/.exec(message)?.[1] ?? ''}`);
}

const PAST = 'istio.past-sidecar';
const IDENTITY = 'istio.weak-identity';

/** Values of istiod with the shipped template `remit` after a change of its text. */
const withTemplate = (change: (text: string) => string): string => {
  const values = parse(shipped);
  const { templates } = values.sidecarInjectorWebhook;
  return stringify({ sidecarInjectorWebhook: { templates: { ...templates, remit: change(templates.remit) } } });
};
const beginning = (metadata: string): string =>
  withTemplate((text) => text.replace('spec:\n  initContainers:', `${metadata}\nspec:\n  initContainers:`));

const configMap = (config: object, name = 'istio-sidecar-injector'): string =>
  stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'istio-system' },
    data: { config: stringify(config) },
  });

/** The template by which Envoy has its certificate from SPIRE, as the guide has it. */
const SPIRE = ((): string => {
  const page = readFileSync(resolve(import.meta.dirname, '../../../deploy/guide/install/hosts/istio.md'), 'utf8');
  const [, example = ''] = /```yaml\n(sidecarInjectorWebhook:\n  templates:\n    spire:[^`]*)```/.exec(page) ?? [];
  return parse(example).sidecarInjectorWebhook.templates.spire;
})();
const values = (spire: string): string => stringify({ sidecarInjectorWebhook: { templates: { spire } } });

describe('istioMeshCheck', () => {
  it.each<[name: string, text: string, found: string]>([
    [
      'a mesh',
      'extensionProviders: []\ndefaultConfig: { interceptionMode: NONE }',
      `${PAST} defaultConfig.interceptionMode`,
    ],
    ['a mesh without providers', 'defaultConfig: { interceptionMode: NONE }', `${PAST} defaultConfig.interceptionMode`],
    [
      'names of the proto files',
      'default_config: { interception_mode: NONE }',
      `${PAST} defaultConfig.interceptionMode`,
    ],
    ['an enum by its number', 'defaultConfig: { interceptionMode: 2 }', `${PAST} defaultConfig.interceptionMode`],
    [
      'an enum by its number, as a text',
      'defaultConfig: { interceptionMode: "2" }',
      `${PAST} defaultConfig.interceptionMode`,
    ],
    [
      'a merge',
      'x: &x { interceptionMode: NONE }\ndefaultConfig: { <<: *x }',
      `istio.unseen x,${PAST} defaultConfig.interceptionMode`,
    ],
    [
      'no mutual TLS, by its number',
      'defaultConfig: { controlPlaneAuthPolicy: 0 }',
      'istio.impostor defaultConfig.controlPlaneAuthPolicy',
    ],
    [
      'identities kept, by number',
      'defaultConfig: { gatewayTopology: { forwardClientCertDetails: 5 } }',
      `${IDENTITY} defaultConfig.gatewayTopology`,
    ],
    [
      'identities kept in headers, by number',
      'defaultConfig: { proxyHeaders: { forwardedClientCert: 2 } }',
      `${IDENTITY} defaultConfig.proxyHeaders`,
    ],
    [
      'the PROXY protocol, whose message is empty',
      'defaultConfig: { gatewayTopology: { proxyProtocol: {} } }',
      `${IDENTITY} defaultConfig.gatewayTopology`,
    ],
    [
      'a trusted hop, as a text',
      'defaultConfig: { gatewayTopology: { numTrustedProxies: "1" } }',
      `${IDENTITY} defaultConfig.gatewayTopology`,
    ],
    [
      'servers that are not verified, as a text',
      'defaultConfig: {}\nverifyCertificateAtClient: "false"',
      `${IDENTITY} verifyCertificateAtClient`,
    ],
    [
      'values beside a decoy of another kind',
      'binds: []\nextensionProviders: []\nglobal: { proxy: { excludeInboundPorts: "80" } }',
      `${PAST} global.proxy.excludeInboundPorts,istio.unseen binds,istio.unseen global`,
    ],
    [
      'values that name a kind',
      'kind: Values\nglobal: { proxy: { excludeInboundPorts: "80" } }',
      `${PAST} global.proxy.excludeInboundPorts`,
    ],
    [
      'values that name a kind and a version',
      'apiVersion: v1\nkind: List\nitems: []\nglobal: { proxy: { excludeInboundPorts: "80" } }',
      `${PAST} global.proxy.excludeInboundPorts`,
    ],
    [
      'values alone',
      'sidecarInjectorWebhook: { neverInjectSelector: [{ matchLabels: { a: b } }] }',
      `${PAST} sidecarInjectorWebhook.neverInjectSelector`,
    ],
    [
      'values that are not validated',
      'apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: { unvalidatedValues: { global: { proxy: { excludeInboundPorts: 80 } } } }',
      `${PAST} global.proxy.excludeInboundPorts`,
    ],
    [
      'a mesh in values that are not validated',
      'apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: { unvalidatedValues: { meshConfig: { defaultConfig: { interceptionMode: NONE } } } }',
      `${PAST} defaultConfig.interceptionMode`,
    ],
    [
      'an item of a list of one kind',
      `apiVersion: v1\nkind: ConfigMapList\nitems: [{ metadata: { name: istio }, data: { mesh: "defaultConfig: { interceptionMode: NONE }" } }]`,
      `${PAST} defaultConfig.interceptionMode`,
    ],
    ['injection that is off', 'global: { proxy: { autoInject: disabled } }', `${PAST} global.proxy.autoInject`],
    [
      'injection that is off by a word of YAML 1.1',
      'global: { proxy: { autoInject: off } }',
      `${PAST} global.proxy.autoInject`,
    ],
    [
      'injection by a word that is no policy',
      'global: { proxy: { autoInject: Enabled } }',
      `${PAST} global.proxy.autoInject`,
    ],
    ['no port', 'global: { proxy: { includeInboundPorts: "" } }', `${PAST} global.proxy.includeInboundPorts`],
    [
      'a port beside that of Remit',
      'global: { proxy: { excludeInboundPorts: "9471, 80" } }',
      `${PAST} global.proxy.excludeInboundPorts`,
    ],
    [
      'namespaces past the CNI plugin',
      'meshConfig: {}\ncni: { excludeNamespaces: [kube-system, demo] }',
      `${PAST} cni.excludeNamespaces[]`,
    ],
    ['a policy of the injector', configMap({ policy: 'disabled' }), `${PAST} policy`],
    [
      'a policy of the injector of a revision',
      configMap({ policy: 'disabled' }, 'istio-sidecar-injector-canary'),
      `${PAST} policy`,
    ],
    [
      'pods that the injector passes over',
      configMap({ policy: 'enabled', neverInjectSelector: [{}] }),
      `${PAST} neverInjectSelector`,
    ],
    ['annotations of the injector', configMap({ injectedAnnotations: { a: 'b' } }), `${PAST} injectedAnnotations`],
    ['a template of the injector', configMap({ templates: { sidecar: 'x', other: 'spec: {}' } }), `${PAST} templates`],
    ['templates by default', configMap({ defaultTemplates: ['sidecar', 'other'] }), `${PAST} defaultTemplates`],
    [
      'a template on the network of the host',
      withTemplate((text) => text.replace('spec:\n  init', 'spec:\n  hostNetwork: true\n  init')),
      `${PAST} sidecarInjectorWebhook.templates`,
    ],
    [
      'a template with an annotation of Istio',
      beginning('metadata: { annotations: { sidecar.istio.io/interceptionMode: NONE } }'),
      `${PAST} sidecarInjectorWebhook.templates`,
    ],
    [
      'a template with further ports',
      beginning('metadata: { annotations: { traffic.sidecar.istio.io/excludeInboundPorts: 9471 ,80 } }'),
      `${PAST} sidecarInjectorWebhook.templates`,
    ],
    [
      'a template with further ports on the next line',
      beginning('metadata:\n  annotations:\n    traffic.sidecar.istio.io/excludeInboundPorts: "9471\n      ,80"'),
      `${PAST} sidecarInjectorWebhook.templates`,
    ],
    [
      'a template with an escape',
      beginning(String.raw`metadata: { annotations: { "sidecar.istio\x2eio/interceptionMode": NONE } }`),
      `${PAST} sidecarInjectorWebhook.templates`,
    ],
    [
      'a template that joins texts',
      withTemplate((text) => text.replace('name: remit\n', 'name: {{ print "istio" "-proxy" }}\n')),
      `${PAST} sidecarInjectorWebhook.templates`,
    ],
    [
      'a template whose default is the sidecar',
      withTemplate((text) =>
        text.replace(
          'name: remit\n',
          'name: {{ printf "%q" (or (index .ObjectMeta.Annotations "x") "istio-proxy") }}\n',
        ),
      ),
      `${PAST} sidecarInjectorWebhook.templates`,
    ],
    [
      'a template with an action in a word',
      withTemplate((text) =>
        text.replace('name: remit\n', 'name: ist{{ if eq (index .ObjectMeta.Labels "a") "b" }}X{{ end }}io-proxy\n'),
      ),
      `${PAST} sidecarInjectorWebhook.templates`,
    ],
    [
      'another template by the name of SPIRE',
      values(SPIRE.replace('env:', 'ports: [{ containerPort: 80 }]\n      env:')),
      `${PAST} sidecarInjectorWebhook.templates`,
    ],
    [
      'a template that takes containers away',
      withTemplate((text) => text.replace('spec:\n  init', 'spec:\n  containers: [{ $patch: replace }]\n  init')),
      `${PAST} sidecarInjectorWebhook.templates`,
    ],
  ])('finds %s', (_name, text, found) => {
    expect(foundIn(text).toSorted().join()).toBe(found.split(',').toSorted().join());
  });

  it.each<[name: string, text: string]>([
    ['the shipped templates', shipped],
    ['the template of the guide for SPIRE', values(SPIRE)],
    ['that template with another socket', values(SPIRE.replace('spire-agent.sock', 'api.sock'))],
    ['that template in the ConfigMap of the injector', configMap({ policy: 'enabled', templates: { spire: SPIRE } })],
    [
      'the shipped templates in the ConfigMap of the injector',
      configMap({
        policy: 'enabled',
        templates: { sidecar: '{{ x }}', ...parse(shipped).sidecarInjectorWebhook.templates },
        defaultTemplates: ['sidecar'],
      }),
    ],
    [
      'the former annotation of the shipped template',
      beginning('metadata:\n  annotations:\n    traffic.sidecar.istio.io/excludeInboundPorts: "9471"'),
    ],
    [
      'defaults that are written',
      'meshConfig: { defaultConfig: { interceptionMode: 0, controlPlaneAuthPolicy: 1 } }\nglobal: { proxy: { autoInject: enabled, includeInboundPorts: "*", excludeInboundPorts: "" } }',
    ],
    ['the namespaces of the platform', 'meshConfig: {}\ncni: { excludeNamespaces: [kube-system, istio-system] }'],
    ['a ConfigMap of others with a policy', configMap({ policy: 'disabled' }, 'app')],
  ])('takes %s', (_name, text) => {
    expect(foundIn(text)).toEqual([]);
  });
});

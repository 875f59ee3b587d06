import type { Check } from '../check.ts';
import type { Finding } from '../finding.ts';
import { at, listAt, membersAt, textAt } from '../tree.ts';
import { waysAround } from './around-tools.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { networkFindings } from './network-policy.ts';
import { hasRemit, socketFindings } from './socket-mounts.ts';
import { toolPodsIn } from './tool-pods.ts';
import { workloadsIn } from './workloads.ts';

/** The Services that gateways and meshes ask as Remit, as `NAMESPACE/NAME`. */
const askedIn = (objects: readonly HostObject[]): ReadonlySet<string> =>
  new Set([
    ...ofKind(objects, 'SecurityPolicy').flatMap(({ namespace, value }) =>
      [
        ...listAt(value, 'spec', 'extAuth', 'grpc', 'backendRefs'),
        ...[at(value, 'spec', 'extAuth', 'grpc', 'backendRef')].filter((one) => one !== undefined),
      ]
        .filter((ref) => ['', 'Service'].includes(textAt(ref, 'kind')))
        .map((ref) => `${textAt(ref, 'namespace') || namespace}/${textAt(ref, 'name')}`),
    ),
    ...ofKind(objects, 'MeshConfig').flatMap(({ value }) =>
      listAt(value, 'extensionProviders').flatMap((provider) => {
        const service = textAt(provider, 'envoyExtAuthzGrpc', 'service').replace(/^[^/]*\//, '');
        const [name = '', namespace = '', kind] = service.split('.');
        return kind === 'svc' ? [`${namespace}/${name}`] : [];
      }),
    ),
  ]);

/** A Service of Remit without a selector, or with an external name: others can write its endpoints. */
const impostors = (service: HostObject): readonly Finding[] => {
  const isNamed = textAt(service.value, 'spec', 'type') === 'ExternalName';
  if (!isNamed && membersAt(service.value, 'spec', 'selector').length > 0) return [];
  return [
    {
      code: 'kubernetes.impostor',
      where: placeOf(service),
      message: `checks go to it, and it ${
        isNamed ? 'is a name for another host (`ExternalName`)' : 'has no `selector`'
      }: the program that answers there, or the writer of its endpoints, allows every call`,
      fix: 'give it a selector of the pods of Remit',
    },
  ];
};

/** Hooks by which pods get Remit or a proxy, or are refused without. */
const HOOKS = [
  'MutatingWebhookConfiguration',
  'MutatingAdmissionPolicy',
  'ValidatingWebhookConfiguration',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
];

/** A binding of the guard that only warns or writes an audit entry. */
const isWithoutDenial = ({ kind, value }: HostObject): boolean =>
  kind === 'ValidatingAdmissionPolicyBinding' && !listAt(value, 'spec', 'validationActions').includes('Deny');

function lenientHooks(hook: HostObject): readonly Finding[] {
  if (isWithoutDenial(hook))
    return [
      {
        code: 'kubernetes.around',
        where: placeOf(hook),
        message: '`validationActions` without `Deny`: pods without Remit or a proxy beside them are not refused',
        fix: 'set `validationActions: [Deny]`',
      },
    ];
  const policies = [at(hook.value, 'spec'), ...listAt(hook.value, 'webhooks')].map((one) =>
    textAt(one, 'failurePolicy'),
  );
  return policies.includes('Ignore')
    ? [
        {
          code: 'kubernetes.around',
          where: placeOf(hook),
          message:
            '`failurePolicy: Ignore`: pods that are made while it fails have no Remit and no proxy beside them, or are not refused without',
          fix: 'set `failurePolicy: Fail`',
        },
      ]
    : [];
}

const isOfInjection = ({ name }: HostObject): boolean => /remit|istio-sidecar-injector|istio-revision-tag/.test(name);

/** The checks of Kubernetes objects around the tools and Remit, for any host. */
export const kubernetesChecks: readonly Check[] = [
  {
    category: 'kubernetes',
    title: 'no port, Service or pod leads to a tool past the Envoy that asks',
    run: ({ objects }) => {
      const pods = toolPodsIn(objects);
      return pods.length === 0
        ? null
        : pods.flatMap((pod) => waysAround(pod, objects).concat(networkFindings(pod, objects)));
    },
  },
  {
    category: 'kubernetes',
    title: 'no other container can write or use the folders of Remit',
    run: ({ objects }) => {
      const workloads = workloadsIn(objects);
      return workloads.some(hasRemit) ? socketFindings(workloads) : null;
    },
  },
  {
    category: 'kubernetes',
    title: 'the Service that is asked leads to Remit',
    run: ({ objects }) => {
      const asked = askedIn(objects);
      const services = ofKind(objects, 'Service').filter(({ name, namespace }) => asked.has(`${namespace}/${name}`));
      return services.length === 0 ? null : services.flatMap(impostors);
    },
  },
  {
    category: 'kubernetes',
    title: 'no pod is made without Remit while its injection fails',
    run: ({ objects }) => {
      const hooks = HOOKS.flatMap((kind) => ofKind(objects, kind)).filter(isOfInjection);
      return hooks.length === 0 ? null : hooks.flatMap(lenientHooks);
    },
  },
];

import { nearestOf } from '../../../core/runtime/nearest-name.ts';
import type { Check } from '../check.ts';
import type { Finding } from '../finding.ts';
import { at, listAt, membersAt, numberAt, textAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { istioEffectChecks } from './istio-effects.ts';
import { istioDomainCheck } from './istio-domain.ts';
import { istioMeshCheck } from './istio-mesh.ts';
import { istioReachChecks } from './istio-reach.ts';
import { isInScope, targetsOf } from './istio-selection.ts';
import { providerFindings } from './istio-provider.ts';
import type { IstioProvider } from './istio-provider.ts';

const policiesIn = (objects: readonly HostObject[]): readonly HostObject[] =>
  ofKind(objects, 'AuthorizationPolicy', 'istio.io').filter(
    ({ value }) => textAt(value, 'spec', 'action') === 'CUSTOM',
  );

const providersIn = (objects: readonly HostObject[]): readonly IstioProvider[] =>
  ofKind(objects, 'MeshConfig').flatMap((mesh) =>
    listAt(mesh.value, 'extensionProviders').flatMap((one) => {
      const grpc = at(one, 'envoyExtAuthzGrpc');
      const fields = grpc ?? at(one, 'envoyExtAuthzHttp');
      return fields === undefined ? [] : [{ name: textAt(one, 'name'), mesh, fields, isHttp: grpc === undefined }];
    }),
  );

const providerOf = ({ value }: HostObject): string => textAt(value, 'spec', 'provider', 'name');

/** The providers that are Remit's: by name, service or port; else the only provider. */
function remitProvidersIn(objects: readonly HostObject[]): readonly IstioProvider[] {
  const providers = providersIn(objects);
  const named = providers.filter(
    ({ fields, name }) => /remit/i.test(`${name} ${textAt(fields, 'service')}`) || numberAt(fields, 'port') === 9470,
  );
  return named.length > 0 || providers.length !== 1 ? named : providers;
}

/** Policies that ask Remit, and those whose provider is not known. */
function remitPoliciesIn(objects: readonly HostObject[]): readonly HostObject[] {
  const all = new Set(providersIn(objects).map(({ name }) => name));
  const own = new Set(remitProvidersIn(objects).map(({ name }) => name));
  return policiesIn(objects).filter((policy) => own.has(providerOf(policy)) || !all.has(providerOf(policy)));
}

/** Policies that name the provider of Remit, whatever their action is. */
function namingRemit(objects: readonly HostObject[]): readonly HostObject[] {
  const own = new Set(remitProvidersIn(objects).map(({ name }) => name));
  return ofKind(objects, 'AuthorizationPolicy', 'istio.io').filter(
    (policy) => own.has(providerOf(policy)) || /remit/i.test(providerOf(policy)),
  );
}

const ofPolicies = (find: (policy: HostObject, objects: readonly HostObject[]) => readonly Finding[]): Check['run'] => {
  return ({ objects }) => {
    const policies = remitPoliciesIn(objects);
    return policies.length === 0 ? null : policies.flatMap((policy) => find(policy, objects));
  };
};

function ruleFindings(policy: HostObject): readonly Finding[] {
  const rules = listAt(policy.value, 'spec', 'rules');
  const where = placeOf(policy);
  if (rules.length === 0)
    return [
      {
        code: 'istio.no-rule',
        where,
        message: 'it has no rule, so it matches no call, and Remit is never asked',
        fix: 'set `rules: [{}]`, which matches every call',
      },
    ];
  if (rules.some((rule) => membersAt(rule).length === 0)) return [];
  const names = new Set(rules.flatMap(conditionsOf));
  const isByPath = names.has('paths') || names.has('notPaths');
  return [
    {
      code: 'istio.conditional-rule',
      where,
      message: isByPath
        ? 'its rules have `paths`: `//v1/x` and `/v1%2Fx` do not match `/v1/*`, and reach the tool without a check'
        : `its rules match by ${[...names].map((name) => `\`${name}\``).join(', ')}: calls that do not match are not checked`,
      fix: 'set `rules: [{}]`, and let the policies of Remit tell calls apart',
    },
  ];
}

/** Names of what a rule matches by. */
const conditionsOf = (rule: unknown): readonly string[] =>
  listAt(rule, 'to')
    .flatMap((to) => membersAt(to, 'operation').map(([name]) => name))
    .concat(listAt(rule, 'when').length > 0 ? ['when'] : [], listAt(rule, 'from').length > 0 ? ['from'] : []);

function nameFindings(policy: HostObject, objects: readonly HostObject[]): readonly Finding[] {
  const names = providersIn(objects).map(({ name }) => name);
  const name = providerOf(policy);
  if (ofKind(objects, 'MeshConfig').length === 0 || names.includes(name)) return [];
  const near = nearestOf(name, names);
  return [
    {
      code: 'istio.provider-unknown',
      where: placeOf(policy),
      message: `no \`extensionProviders\` of the mesh configuration is called \`${name}\`: istiod denies every call and says so in its own log alone`,
      fix: near === null ? 'add the provider of deploy/hosts/istio/mesh.yaml' : `write \`provider: { name: ${near} }\``,
    },
  ];
}

/** Two CUSTOM policies with different providers on the same workload. */
function twoProviders(policy: HostObject, objects: readonly HostObject[]): readonly Finding[] {
  const other = policiesIn(objects).find(
    (one) =>
      providerOf(one) !== providerOf(policy) &&
      (isInScope(one, policy.namespace, objects) || isInScope(policy, one.namespace, objects)) &&
      mayOverlap(one, policy),
  );
  return other === undefined
    ? []
    : [
        {
          code: 'istio.two-providers',
          where: placeOf(policy),
          message: `\`${placeOf(other)}\` has another provider and may select the same workload: without PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS istiod denies every call`,
          fix: 'leave one provider for a workload, or set PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS=true in istiod',
        },
      ];
}

/** Two selectors overlap unless a label has two values. */
function mayOverlap(a: HostObject, b: HostObject): boolean {
  const labels = new Map(membersAt(a.value, 'spec', 'selector', 'matchLabels'));
  return membersAt(b.value, 'spec', 'selector', 'matchLabels').every(
    ([name, value]) => !labels.has(name) || labels.get(name) === value,
  );
}

function mtlsFindings({ namespace, value, ...rest }: HostObject): readonly Finding[] {
  const mode = textAt(value, 'spec', 'mtls', 'mode');
  const ports = membersAt(value, 'spec', 'portLevelMtls').map(([, port]) => textAt(port, 'mode'));
  return [mode, ...ports].some((one) => one === 'PERMISSIVE' || one === 'DISABLE')
    ? [
        {
          code: 'istio.mtls-optional',
          where: placeOf({ namespace, value, ...rest }),
          message: 'it accepts calls without mutual TLS, so Remit cannot tell who calls, and denies them',
          fix: 'set `mtls: { mode: STRICT }`',
        },
      ]
    : [];
}

const MODES: ReadonlySet<string> = new Set(['STRICT', 'PERMISSIVE', 'DISABLE']);

/** Whether a PeerAuthentication that holds for a workload of a policy, not necessarily for all, sets a mode. */
const hasMode = (policy: HostObject, objects: readonly HostObject[]): boolean =>
  ofKind(objects, 'PeerAuthentication', 'istio.io').some(
    (one) =>
      MODES.has(textAt(one.value, 'spec', 'mtls', 'mode')) &&
      isInScope(one, policy.namespace, objects) &&
      mayOverlap(policy, one),
  );

/** Without a mode of a PeerAuthentication sidecars accept calls in plaintext. A waypoint gets calls from ztunnel alone. */
const permissive = (policy: HostObject, objects: readonly HostObject[]): readonly Finding[] =>
  targetsOf(policy).length > 0 || hasMode(policy, objects)
    ? []
    : [
        {
          code: 'istio.mtls-optional',
          where: placeOf(policy),
          message:
            'no PeerAuthentication of the files sets a mode for its workloads, and by default calls in clear are accepted: Remit denies them',
          fix: 'add the PeerAuthentication of deploy/hosts/istio/policy.yaml',
        },
      ];

/** The checks of Istio's files. */
export const istioChecks: readonly Check[] = [
  { category: 'istio', title: 'each AuthorizationPolicy of Remit matches every call', run: ofPolicies(ruleFindings) },
  {
    category: 'istio',
    title: 'the provider of each policy is in the mesh configuration',
    run: ofPolicies(nameFindings),
  },
  { category: 'istio', title: 'a workload has one provider', run: ofPolicies(twoProviders) },
  {
    category: 'istio',
    title: 'the provider denies what Remit did not answer, soon, and sends whole bodies',
    run: ({ objects }) => {
      const providers = remitProvidersIn(objects);
      return providers.length === 0 ? null : providers.flatMap((one) => providerFindings(one, objects));
    },
  },
  {
    category: 'istio',
    title: 'workloads require mutual TLS',
    run: ({ objects }) => {
      const found = ofKind(objects, 'PeerAuthentication', 'istio.io');
      const asking = remitPoliciesIn(objects);
      if (asking.length === 0) return null;
      return [...asking.flatMap((policy) => permissive(policy, objects)), ...found.flatMap(mtlsFindings)];
    },
  },
  ...istioReachChecks(namingRemit),
  istioDomainCheck,
  istioMeshCheck((objects) => remitPoliciesIn(objects).length > 0),
  ...istioEffectChecks((objects) => remitPoliciesIn(objects).length > 0),
];

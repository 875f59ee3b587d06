import type { Check } from '../check.ts';
import { numberAt, textAt } from '../tree.ts';
import { retryLevel } from '../envoy/fields/values-of-fields.ts';
import { addedFields } from './envoy-filter.ts';
import type { HostObject } from './host-object.ts';
import { ofKind } from './host-object.ts';
import { ruleFindings } from './host-rule.ts';
import type { HostRule } from './host-rule.ts';

const ISTIO = 'istio.io';

/** Whether Istio retries calls, and under conditions that are not safe. */
const isRetrying = (value: unknown): boolean =>
  value !== undefined &&
  (numberAt(value, 'attempts') ?? 2) > 0 &&
  retryLevel(textAt(value, 'retryOn') || '5xx') === 'error';

const REMOVE = 'remove it';
const REWRITTEN = 'at a gateway or waypoint the tool gets another call than was decided';
const MIRRORED = 'a second server gets each call too, after one decision and with one record';
const REPEATED =
  'a call is sent again that the tool may have carried out, or that Remit has counted: one decision and several effects, or two uses';
const SAFE = 'set `attempts: 0`, or `retryOn: connect-failure,refused-stream,reset-before-request`';

const rules: readonly HostRule[] = [
  ...['rewrite', 'headers'].map((name): HostRule => ({
    kind: 'VirtualService',
    group: ISTIO,
    path: `spec.http[].${name}`,
    code: 'istio.changed-call',
    message: REWRITTEN,
    fix: REMOVE,
  })),
  {
    kind: 'VirtualService',
    group: ISTIO,
    path: 'spec.http[].route[].headers',
    code: 'istio.changed-call',
    message: REWRITTEN,
    fix: REMOVE,
  },
  ...['mirror', 'mirrors'].map((name): HostRule => ({
    kind: 'VirtualService',
    group: ISTIO,
    path: `spec.http[].${name}`,
    code: 'istio.changed-call',
    message: MIRRORED,
    fix: REMOVE,
  })),
  {
    kind: 'VirtualService',
    group: ISTIO,
    path: 'spec.http[].retries',
    isBad: isRetrying,
    code: 'istio.repeated',
    message: REPEATED,
    fix: SAFE,
  },
  {
    kind: 'MeshConfig',
    group: '',
    path: 'defaultHttpRetryPolicy',
    isBad: isRetrying,
    code: 'istio.repeated',
    message: REPEATED,
    fix: SAFE,
  },
  {
    kind: 'RequestAuthentication',
    group: ISTIO,
    path: 'spec.jwtRules[]',
    isBad: (rule) =>
      rule !== undefined && (rule as { readonly forwardOriginalToken?: unknown }).forwardOriginalToken !== true,
    code: 'istio.fails-calls',
    message: 'it takes the token out of each call, and refuses those of other issuers',
    fix: 'set `forwardOriginalToken: true`, or leave tokens to Remit',
  },
  {
    kind: 'Gateway',
    group: ISTIO,
    path: 'spec.servers[].tls.mode',
    isBad: (mode) => mode === 'OPTIONAL_MUTUAL' || mode === 'SIMPLE',
    code: 'istio.weak-identity',
    message: 'it accepts callers without a certificate, so Remit cannot tell who calls',
    fix: 'set `mode: MUTUAL`',
  },
  {
    kind: 'Sidecar',
    group: ISTIO,
    path: 'spec.ingress[].tls.mode',
    isBad: (mode) => mode === 'OPTIONAL_MUTUAL' || mode === 'SIMPLE',
    code: 'istio.weak-identity',
    message: 'it accepts callers without a certificate, so Remit cannot tell who calls',
    fix: 'set `mode: MUTUAL`, or remove `tls`',
  },
  ...['spec.trafficPolicy', 'spec.subsets[].trafficPolicy']
    .flatMap((path) => [path, `${path}.portLevelSettings[]`])
    .map((path): HostRule => ({
      kind: 'DestinationRule',
      group: ISTIO,
      path: `${path}.tls.insecureSkipVerify`,
      code: 'istio.weak-identity',
      message: 'another server may get the calls',
      fix: REMOVE,
    })),
  {
    kind: 'MeshConfig',
    group: '',
    path: 'trustDomainAliases',
    code: 'istio.weak-identity',
    message: 'identities of another trust domain count as those of this domain',
    fix: 'remove it, or list those domains in `trustDomains` of Remit',
  },
  {
    kind: 'MeshConfig',
    group: '',
    path: 'caCertificates',
    code: 'istio.weak-identity',
    message: 'further CAs issue identities of the mesh',
    fix: 'remove it, unless each of them is yours',
  },
  {
    kind: 'MeshConfig',
    group: '',
    path: 'pathNormalization.normalization',
    isBad: (value) => value === 'NONE' || value === 'BASE',
    code: 'istio.unseen',
    message: 'the tool may read a path otherwise than rules and Remit do',
    fix: 'set `normalization: MERGE_SLASHES`',
  },
  {
    kind: 'Telemetry',
    group: ISTIO,
    path: 'spec.accessLogging[].disabled',
    code: 'istio.unseen',
    message: 'Remit gets no access log: records have no outcomes',
    fix: REMOVE,
  },
  ...['WasmPlugin', 'TrafficExtension'].map((kind): HostRule => ({
    kind,
    group: ISTIO,
    path: 'spec',
    isBad: (spec) => !['AUTHN', 'AUTHZ'].includes(textAt(spec, 'phase')),
    code: 'istio.changed-call',
    level: 'warning',
    message: 'it runs after the check, and can change the call',
    fix: 'set `phase: AUTHN`, which is before it',
  })),
];

/** The checks of what Istio does with calls besides asking Remit. `isAsked` says whether the files ask Remit at all. */
export const istioEffectChecks = (isAsked: (objects: readonly HostObject[]) => boolean): readonly Check[] => [
  {
    category: 'istio',
    title: 'nothing changes, repeats or copies a call, or weakens who calls',
    run: ({ objects }) => (isAsked(objects) ? ruleFindings(rules, objects) : null),
  },
  {
    category: 'istio',
    title: 'each EnvoyFilter is known, and harmless',
    run: ({ objects }) => {
      const filters = ofKind(objects, 'EnvoyFilter', ISTIO);
      return !isAsked(objects) || filters.length === 0 ? null : filters.flatMap(addedFields);
    },
  },
];

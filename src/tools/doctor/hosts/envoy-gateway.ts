import type { Check } from '../check.ts';
import type { Finding } from '../finding.ts';
import { at, isTrueAt, listAt, numberAt, textAt } from '../tree.ts';
import { MAX_CHECK_MS } from '../envoy/values.ts';
import { hostDurationMs } from './duration.ts';
import { coverageOf, holdsFor, sectionsOf } from './envoy-gateway-coverage.ts';
import { envoyGatewayPolicies } from './envoy-gateway-policies.ts';
import { envoyGatewayRoutes } from './envoy-gateway-routes.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { ruleFindings } from './host-rule.ts';

const GROUP = 'gateway.envoyproxy.io';

const asking = (objects: readonly HostObject[]): readonly HostObject[] =>
  ofKind(objects, 'SecurityPolicy', GROUP).filter(({ value }) => at(value, 'spec', 'extAuth') !== undefined);

/** Whether the files are of Envoy Gateway at all. */
const isHere = (objects: readonly HostObject[]): boolean =>
  objects.some(({ group, kind }) => group === GROUP && kind !== 'EnvoyGateway');

const ofAsking = (find: (policy: HostObject, objects: readonly HostObject[]) => readonly Finding[]): Check['run'] => {
  return ({ objects }) => {
    const policies = asking(objects);
    return policies.length === 0 ? null : policies.flatMap((policy) => find(policy, objects));
  };
};

const API = 'gateway.networking.k8s.io';
const CONTROLLER = 'gateway.envoyproxy.io/gatewayclass-controller';

/** Gateways of other hosts among the files: their class has another controller, or is known to be of another host. */
function othersGateways(objects: readonly HostObject[]): readonly HostObject[] {
  const classes = new Map(
    ofKind(objects, 'GatewayClass', API).map(({ name, value }) => [name, textAt(value, 'spec', 'controllerName')]),
  );
  return ofKind(objects, 'Gateway', API).filter(({ value }) => {
    const name = textAt(value, 'spec', 'gatewayClassName');
    const controller = classes.get(name);
    return controller === undefined ? /^(?:istio|kgateway|agentgateway)/.test(name) : controller !== CONTROLLER;
  });
}

/** Whether all gateways of a route are of other hosts. */
function isOfOthers(route: HostObject, others: readonly HostObject[]): boolean {
  const parents = listAt(route.value, 'spec', 'parentRefs');
  return (
    parents.length > 0 &&
    parents.every((one) => {
      const namespace = textAt(one, 'namespace') || route.namespace;
      return (
        !['', 'Gateway'].includes(textAt(one, 'kind')) ||
        others.some((gateway) => gateway.name === textAt(one, 'name') && gateway.namespace === namespace)
      );
    })
  );
}

function strengthFindings(policy: HostObject): readonly Finding[] {
  const where = placeOf(policy);
  const extAuth = at(policy.value, 'spec', 'extAuth');
  const found: Finding[] = [];
  if (isTrueAt(extAuth, 'failOpen'))
    found.push({
      code: 'envoy-gateway.fails-open',
      where,
      message: '`failOpen` is on: calls pass while Remit is down, and the filter is left out if its backend is missing',
      fix: 'set `failOpen: false`',
    });
  if (at(extAuth, 'http') !== undefined)
    found.push({
      code: 'envoy-gateway.http',
      where,
      message: 'it asks by `http`; Remit answers gRPC alone, so every call is denied',
      fix: 'use `grpc` as deploy/hosts/envoy-gateway/security.yaml does',
    });
  if (String(at(extAuth, 'statusOnError')) !== '503')
    found.push({
      code: 'envoy-gateway.status-on-error',
      where,
      message: 'a call whose check failed is answered like a denial (403)',
      fix: 'set `statusOnError: 503`',
    });
  const timeout = textAt(extAuth, 'timeout');
  const ms = timeout === '' ? 10_000 : hostDurationMs(timeout);
  if (ms === null || ms === 0 || ms > MAX_CHECK_MS)
    found.push({
      code: 'envoy-gateway.long-timeout',
      where,
      message: `a check may take ${timeout === '' ? '10 s, the default' : `\`${timeout}\``}: if Remit hangs, calls pile up for so long`,
      fix: 'set `timeout: 500ms`',
    });
  if (isTrueAt(extAuth, 'recomputeRoute'))
    found.push({
      code: 'envoy-gateway.changed-after-check',
      where,
      message: '`recomputeRoute` is on: the route is chosen again after the check, and its settings may differ',
      fix: 'remove `recomputeRoute`',
    });
  return [...found, ...contentFindings(extAuth, where)];
}

function contentFindings(extAuth: unknown, where: string): readonly Finding[] {
  const headers = listAt(extAuth, 'headersToExtAuth').map((name) => String(name).toLowerCase());
  const found: Finding[] = [];
  if (at(extAuth, 'bodyToExtAuth') === undefined)
    found.push({
      code: 'envoy-gateway.no-body',
      where,
      message: 'Remit gets no body, and denies actions with arguments',
      fix: 'set `bodyToExtAuth: { maxRequestBytes: 65536 }`',
    });
  if (headers.length > 0 && !headers.includes('authorization'))
    found.push({
      code: 'envoy-gateway.headers-hidden',
      where,
      message: '`headersToExtAuth` leaves out `authorization`, so Remit sees no token and denies every call',
      fix: 'remove `headersToExtAuth`',
    });
  return found;
}

function backendFindings(policy: HostObject, objects: readonly HostObject[]): readonly Finding[] {
  const service = at(policy.value, 'spec', 'extAuth', 'grpc');
  const refs = [...listAt(service, 'backendRefs'), ...[at(service, 'backendRef')].filter((one) => one !== undefined)];
  const backends = ofKind(objects, 'Backend', GROUP);
  const missing = refs.filter((ref) => {
    const namespace = textAt(ref, 'namespace') || policy.namespace;
    return (
      textAt(ref, 'kind') === 'Backend' &&
      !backends.some((one) => one.name === textAt(ref, 'name') && one.namespace === namespace)
    );
  });
  return missing.map((ref) => ({
    code: 'envoy-gateway.backend-missing',
    where: placeOf(policy),
    level: backends.length === 0 ? 'info' : 'error',
    message: `the files have no Backend \`${textAt(ref, 'name')}\`: every call is answered 500, or passes if \`failOpen\` is on`,
    fix: 'add deploy/hosts/envoy-gateway/remit.yaml, or correct the name and namespace',
  }));
}

const XFCC: Readonly<Record<string, 'envoy-gateway.xfcc-forwarded' | 'envoy-gateway.xfcc-appended'>> = {
  ForwardOnly: 'envoy-gateway.xfcc-forwarded',
  AlwaysForwardOnly: 'envoy-gateway.xfcc-forwarded',
  AppendForward: 'envoy-gateway.xfcc-appended',
};

function clientFindings(policy: HostObject): readonly Finding[] {
  const mode = textAt(policy.value, 'spec', 'headers', 'xForwardedClientCert', 'mode');
  const code = Object.hasOwn(XFCC, mode) ? XFCC[mode] : undefined;
  const found: Finding[] = [];
  if (code !== undefined)
    found.push({
      code,
      where: placeOf(policy),
      message: `\`${mode}\` keeps the header x-forwarded-client-cert of the client, by which it says who it is`,
      fix: 'set `xForwardedClientCert: { mode: SanitizeSet, certDetailsToAdd: [URI] }`',
    });
  if (isTrueAt(policy.value, 'spec', 'tls', 'clientValidation', 'optional'))
    found.push({
      code: 'envoy-gateway.client-certificate-optional',
      where: placeOf(policy),
      message: 'it accepts callers without a certificate, so Remit cannot tell who calls',
      fix: 'set `clientValidation.optional: false`',
    });
  return found;
}

/** Modes in which a caller without a valid certificate is let in. */
const LOOSE: ReadonlySet<string> = new Set(['AllowInsecureFallback', 'AllowUnverified']);

/** Listeners that no filter reads, or that are in clear, have findings of their own. */
const OTHER_PROTOCOLS: ReadonlySet<string> = new Set(['HTTP', 'TCP', 'UDP']);

/** A Gateway verifies callers by its own `tls.frontend`, or by a ClientTrafficPolicy. */
function gatewayFindings(gateway: HostObject, clients: readonly HostObject[]): readonly Finding[] {
  const frontend = at(gateway.value, 'spec', 'tls', 'frontend');
  const ofClients = clients.filter(({ value }) => at(value, 'spec', 'tls', 'clientValidation') !== undefined);
  const perPort = listAt(frontend, 'perPort').filter((one) => at(one, 'tls', 'validation') !== undefined);
  const ofAll = [
    at(frontend, 'default', 'validation'),
    ...ofClients
      .filter((one) => holdsFor(one, gateway) === 'whole')
      .map(({ value }) => at(value, 'spec', 'tls', 'clientValidation')),
  ].filter((one) => one !== undefined);
  const ports = new Set(perPort.map((one) => numberAt(one, 'port')));
  const sections = new Set(
    ofClients.flatMap((one) => (holdsFor(one, gateway) === 'part' ? sectionsOf(one, gateway.name) : [])),
  );
  const listeners = listAt(gateway.value, 'spec', 'listeners').filter(
    (one) => !OTHER_PROTOCOLS.has(textAt(one, 'protocol')),
  );
  const isHeld = (listener: unknown): boolean =>
    ports.has(numberAt(listener, 'port')) || sections.has(textAt(listener, 'name'));
  const validations = [...ofAll, ...perPort.map((one) => at(one, 'tls', 'validation'))];
  const isLoose =
    validations.some((one) => LOOSE.has(textAt(one, 'mode'))) ||
    (ofAll.length === 0 && !(listeners.length > 0 && listeners.every(isHeld)));
  return isLoose
    ? [
        {
          code: 'envoy-gateway.client-certificate-optional',
          where: placeOf(gateway),
          message: 'it accepts callers without a verified certificate, so Remit cannot tell who calls',
          fix: 'set `tls.frontend.default.validation` with `mode: AllowValidOnly` as deploy/hosts/envoy-gateway/gateway.yaml does',
        },
      ]
    : [];
}

/** Findings of the objects that are not of another host, if a policy asks Remit. */
function ofOwn(find: (objects: readonly HostObject[]) => readonly Finding[]): Check['run'] {
  return ({ objects }) => {
    if (asking(objects).length === 0) return null;
    const others = othersGateways(objects);
    const own = objects.filter(
      (one) => !others.includes(one) && !(one.kind.endsWith('Route') && isOfOthers(one, others)),
    );
    return find(own);
  };
}

/** The checks of the files of Envoy Gateway. */
export const envoyGatewayChecks: readonly Check[] = [
  {
    category: 'envoy-gateway',
    title: 'each route has a SecurityPolicy that asks Remit',
    run: ({ objects }) => {
      const others = othersGateways(objects);
      const routes = [...ofKind(objects, 'HTTPRoute'), ...ofKind(objects, 'GRPCRoute')].filter(
        (route) => !isOfOthers(route, others),
      );
      return !isHere(objects) || routes.length === 0 ? null : routes.flatMap((route) => coverageOf(route, objects));
    },
  },
  {
    category: 'envoy-gateway',
    title: 'a call whose check fails is denied, soon, with 503',
    run: ofAsking(strengthFindings),
  },
  { category: 'envoy-gateway', title: 'the backend of each policy is there', run: ofAsking(backendFindings) },
  {
    category: 'envoy-gateway',
    title: 'callers show a certificate, and bring no identity in a header',
    run: ({ objects }) => {
      const policies = ofKind(objects, 'ClientTrafficPolicy', GROUP);
      const others = othersGateways(objects);
      const gateways = isHere(objects) ? ofKind(objects, 'Gateway', API).filter((one) => !others.includes(one)) : [];
      if (policies.length + gateways.length === 0) return null;
      return policies.flatMap(clientFindings).concat(gateways.flatMap((one) => gatewayFindings(one, policies)));
    },
  },
  {
    category: 'envoy-gateway',
    title: 'no route goes past the filters, and none changes, repeats or copies a call',
    run: ofOwn((objects) => ruleFindings(envoyGatewayRoutes, objects)),
  },
  {
    category: 'envoy-gateway',
    title: 'each policy beside that of Remit is known, and harmless',
    run: ofOwn((objects) => ruleFindings(envoyGatewayPolicies, objects)),
  },
];

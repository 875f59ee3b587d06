import type { Finding } from '../finding.ts';
import { at, isTrueAt, listAt, numberAt, textAt } from '../tree.ts';
import { MAX_CHECK_MS, MIN_CHECK_MS } from '../envoy/values.ts';
import { hostDurationMs } from './duration.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';

/** A provider of external authorization in a mesh configuration. */
export interface IstioProvider {
  readonly name: string;
  readonly mesh: HostObject;
  /** The fields of `envoyExtAuthzGrpc`, or of `envoyExtAuthzHttp`. */
  readonly fields: unknown;
  readonly isHttp: boolean;
}

/** What is wrong with the provider of Remit in a mesh configuration. */
export function providerFindings(provider: IstioProvider, objects: readonly HostObject[]): readonly Finding[] {
  const where = `${placeOf(provider.mesh)} provider ${provider.name}`;
  if (provider.isHttp)
    return [
      {
        code: 'istio.provider-http',
        where,
        message: 'it is an `envoyExtAuthzHttp`; Remit answers gRPC alone, so every call is denied',
        fix: 'use `envoyExtAuthzGrpc` as deploy/hosts/istio/mesh.yaml does',
      },
    ];
  return [
    ...answerFindings(provider.fields, where),
    ...bodyFindings(provider.fields, where),
    ...serviceFindings(provider, where, objects),
    ...clearFindings(provider, objects),
  ];
}

function answerFindings(fields: unknown, where: string): readonly Finding[] {
  const found: Finding[] = [];
  if (isTrueAt(fields, 'failOpen'))
    found.push({
      code: 'istio.fails-open',
      where,
      message: '`failOpen` is on: while Remit is down, slow or overloaded, every call passes',
      fix: 'set `failOpen: false`',
    });
  if (String(at(fields, 'statusOnError')) !== '503')
    found.push({
      code: 'istio.status-on-error',
      where,
      message: 'a call whose check failed is answered like a denial (403)',
      fix: "set `statusOnError: '503'`",
    });
  const timeout = textAt(fields, 'timeout');
  const ms = timeout === '' ? 600_000 : hostDurationMs(timeout);
  if (ms === null || ms === 0 || ms > MAX_CHECK_MS)
    found.push({
      code: 'istio.long-timeout',
      where,
      message: `a check may take ${timeout === '' ? '600 s, the default' : `\`${timeout}\``}: if Remit hangs, calls pile up for so long`,
      fix: 'set `timeout: 0.5s`',
    });
  if (ms !== null && ms > 0 && ms < MIN_CHECK_MS)
    found.push({
      code: 'istio.fails-calls',
      where,
      message: `no check is answered within \`${timeout}\`, so every call is denied`,
      fix: 'set `timeout: 0.5s`',
    });
  return found;
}

function bodyFindings(fields: unknown, where: string): readonly Finding[] {
  const body = at(fields, 'includeRequestBodyInCheck');
  const fix =
    'set `includeRequestBodyInCheck: { maxRequestBytes: 65536, allowPartialMessage: false, packAsBytes: true }`';
  if (body === undefined)
    return [{ code: 'istio.no-body', where, message: 'Remit gets no body, and denies actions with arguments', fix }];
  const found: Finding[] = [];
  if (isTrueAt(body, 'allowPartialMessage'))
    found.push({
      code: 'istio.partial-body',
      where,
      message: 'Remit decides on the beginning of a long body, and the tool gets all of it',
      fix,
    });
  if (!isTrueAt(body, 'packAsBytes'))
    found.push({
      code: 'istio.no-body',
      where,
      message: 'bodies arrive as text: bytes that are not UTF-8 are replaced before Remit sees them',
      fix,
    });
  return found;
}

/** A DestinationRule that switches off TLS to a Remit that is not on the host of the sidecar. */
const clearFindings = ({ fields }: IstioProvider, objects: readonly HostObject[]): readonly Finding[] =>
  ofKind(objects, 'DestinationRule', 'istio.io')
    .filter(
      ({ namespace, value }) =>
        isForService(textAt(value, 'spec', 'host'), namespace, textAt(fields, 'service').replace(/^[^/]*\//, '')) &&
        policiesIn(value).some((policy) => textAt(policy, 'tls', 'mode') === 'DISABLE') &&
        !isOnHost(textAt(fields, 'service'), objects),
    )
    .map((rule) => ({
      code: 'istio.impostor',
      where: placeOf(rule),
      message: 'checks go over the network in clear: the program that answers at that address allows every call',
      fix: 'set `tls.mode: ISTIO_MUTUAL`, or let Remit be beside the sidecar',
    }));

/** The settings of a DestinationRule for all ports, and for each port. */
const policiesIn = (value: unknown): readonly unknown[] => {
  const policy = at(value, 'spec', 'trafficPolicy');
  return [policy, ...listAt(policy, 'portLevelSettings')];
};

/** Whether the host of a DestinationRule is a service: by its whole name, by its name in the namespace of the rule, or by a wildcard. */
const isForService = (host: string, namespace: string, service: string): boolean =>
  host === service ||
  `${host}.${namespace}.svc.cluster.local` === service ||
  (host.startsWith('*') && service.endsWith(host.slice(1)));

/** Whether a ServiceEntry says that Remit is at loopback or a Unix socket. */
const isOnHost = (service: string, objects: readonly HostObject[]): boolean =>
  ofKind(objects, 'ServiceEntry', 'istio.io')
    .filter(({ value }) => listAt(value, 'spec', 'hosts').includes(service.replace(/^[^/]*\//, '')))
    .flatMap(({ value }) => listAt(value, 'spec', 'endpoints'))
    .some((one) => /^(?:127\.|unix:)/.test(textAt(one, 'address')));

const GRPC: ReadonlySet<string> = new Set(['GRPC', 'HTTP2', 'GRPC-WEB']);

/** The ServiceEntry of the provider, if the files have any. A Kubernetes Service is not looked for. */
function serviceFindings({ fields }: IstioProvider, where: string, objects: readonly HostObject[]): readonly Finding[] {
  const service = textAt(fields, 'service').replace(/^[^/]*\//, '');
  const entries = ofKind(objects, 'ServiceEntry', 'istio.io');
  if (entries.length === 0 || service.endsWith('.svc.cluster.local') || !service.includes('.')) return [];
  const entry = entries.find(({ value }) => listAt(value, 'spec', 'hosts').includes(service));
  const port = numberAt(fields, 'port');
  const found = listAt(entry?.value, 'spec', 'ports').find((one) => numberAt(one, 'number') === port);
  if (entry === undefined || found === undefined)
    return [
      {
        code: 'istio.service-unknown',
        where,
        message: `no ServiceEntry has the host \`${service}\` with the port ${String(port)}: istiod denies every call and says so in its own log alone`,
        fix: 'write the host and port of the ServiceEntry of Remit into the provider: deploy/hosts/istio/remit.yaml',
      },
    ];
  const protocol = textAt(found, 'protocol').toUpperCase();
  return GRPC.has(protocol)
    ? []
    : [
        {
          code: 'istio.port-http1',
          where: placeOf(entry),
          message: `the port ${String(port)} has the protocol \`${protocol}\`: checks are sent by HTTP/1.1, and every call is denied`,
          fix: 'set `protocol: GRPC`',
        },
      ];
}

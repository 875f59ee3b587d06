import type { Check } from '../check.ts';
import type { Finding } from '../finding.ts';
import { at, isTrueAt, listAt, membersAt, textAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';

/** One use of external authorization. */
interface ExtAuthz {
  readonly where: string;
  readonly fields: unknown;
}

const MAX_DEPTH = 20;

/** All `extAuthz` policies of a configuration: of a listener, of a route, or named. */
function within(value: unknown, where: string, depth = 0): readonly ExtAuthz[] {
  if (depth > MAX_DEPTH || typeof value !== 'object' || value === null) return [];
  return membersAt(value).flatMap(([name, own]) =>
    name === 'extAuthz'
      ? [{ where, fields: own }]
      : Array.isArray(own)
        ? own.flatMap((one, index) => within(one, `${where}/${textAt(one, 'name') || `${name}/${index}`}`, depth + 1))
        : within(own, where, depth + 1),
  );
}

const extAuthzIn = (objects: readonly HostObject[]): readonly ExtAuthz[] =>
  ofKind(objects, 'Agentgateway')
    .flatMap((one) => within(one.value, placeOf(one)))
    .concat(
      ofKind(objects, 'AgentgatewayPolicy').flatMap((one) => {
        const fields = at(one.value, 'spec', 'traffic', 'extAuth');
        return fields === undefined ? [] : [{ where: placeOf(one), fields }];
      }),
    );

/** A check of each use of external authorization, in files of agentgateway and objects of Kubernetes; `null` without any use. */
const ofAll = (find: (one: ExtAuthz) => readonly Finding[]): Check['run'] => {
  return ({ objects }) => {
    const found = extAuthzIn(objects);
    return found.length === 0 ? null : found.flatMap(find);
  };
};

const OPEN: ReadonlySet<string> = new Set(['allow', 'failopen']);

function strength({ fields, where }: ExtAuthz): readonly Finding[] {
  const found: Finding[] = [];
  if (at(fields, 'cache') !== undefined || at(fields, 'protocol', 'http', 'cache') !== undefined)
    found.push({
      code: 'agentgateway.cache',
      where,
      message: 'it caches answers: a task that has ended, and a budget that is used up, are allowed until they expire',
      fix: 'remove `cache`',
    });
  if (OPEN.has(textAt(fields, 'failureMode').toLowerCase()))
    found.push({
      code: 'agentgateway.fails-open',
      where,
      message: 'calls pass while Remit is down, slow or overloaded',
      fix: 'set `failureMode: { denyWithStatus: 503 }`',
    });
  if (at(fields, 'protocol', 'http') !== undefined || at(fields, 'http') !== undefined)
    found.push({
      code: 'agentgateway.http',
      where,
      message: 'it asks by HTTP; Remit answers gRPC alone, so every call is denied',
      fix: 'use `protocol: { grpc: {} }` as deploy/hosts/agentgateway/config.yaml does',
    });
  return found;
}

function content({ fields, where }: ExtAuthz): readonly Finding[] {
  const body = at(fields, 'includeRequestBody');
  const found: Finding[] = [];
  const grpc = at(fields, 'protocol', 'grpc');
  if (
    grpc !== undefined &&
    !membersAt(grpc, 'metadata').some(([, text]) => String(text).includes('source.certificate'))
  )
    found.push({
      code: 'agentgateway.no-certificate',
      where,
      message:
        'it does not send the certificate of the caller, and Remit denies tokens that are bound to a certificate',
      fix: 'set `metadata: { remit: \'{"peer_certificate": source.certificate}\' }`, and `extAuthz.certificateFrom: metadata` in Remit',
    });
  if (grpc !== undefined && body === undefined)
    found.push({
      code: 'agentgateway.no-body',
      where,
      message: 'Remit gets no body, and denies actions with arguments',
      fix: 'set `includeRequestBody: { maxRequestBytes: 65536, allowPartialMessage: false, packAsBytes: true }`',
    });
  if (isTrueAt(body, 'allowPartialMessage'))
    found.push({
      code: 'agentgateway.partial-body',
      where,
      message: 'Remit decides on the beginning of a long body, and the tool gets all of it',
      fix: 'set `allowPartialMessage: false`',
    });
  return found;
}

/** Routes without the policy. Routes of TCP cannot have it: nobody reads the calls in their connections. */
function neverAsked(object: HostObject): readonly Finding[] {
  return listAt(object.value, 'binds').flatMap((bind, index) =>
    listAt(bind, 'listeners').flatMap((listener) => {
      const isAsking = (route: unknown): boolean =>
        [listener, route].some((one) => at(one, 'policies', 'extAuthz') !== undefined);
      return [...listAt(listener, 'routes').filter((route) => !isAsking(route)), ...listAt(listener, 'tcpRoutes')]
        .filter((route) => listAt(route, 'backends').length > 0)
        .map((route) => ({
          code: 'agentgateway.never-asked' as const,
          where: `${placeOf(object)}/binds/${index}/${textAt(listener, 'name')}/${textAt(route, 'name')}`,
          message: 'the route has no `extAuthz`: its calls reach the tool unchecked',
          fix: 'give it the `extAuthz` of deploy/hosts/agentgateway/config.yaml; let tools have no `tcpRoutes`',
        }));
    }),
  );
}

/** The checks of the files of agentgateway. */
export const agentgatewayChecks: readonly Check[] = [
  {
    category: 'agentgateway',
    title: 'each route asks Remit',
    run: ({ objects }) => {
      const found = ofKind(objects, 'Agentgateway');
      return found.length === 0 ? null : found.flatMap(neverAsked);
    },
  },
  { category: 'agentgateway', title: 'each call is checked, and denied if its check fails', run: ofAll(strength) },
  { category: 'agentgateway', title: 'Remit gets certificate and whole body', run: ofAll(content) },
];

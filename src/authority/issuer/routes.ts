import type { RequestKind } from './bounds/limits.ts';
import { answerIntentCheck } from './tasks/check-intent.ts';
import { answerContext } from './tasks/context.ts';
import { answerIntrospection } from './revoke/introspect.ts';
import { answerEmergencies, answerEmergency, answerEmergencyEnd } from './emergencies/emergencies-api.ts';
import { answerLimits } from './limits/limits-api.ts';
import { answerTokenRequest } from './token/issue.ts';
import { answerAuthorization, answerJwks, answerMetadata, answerTransactionJwks } from './metadata.ts';
import { oauthError } from './oauth-error.ts';
import { errorReply, type Reply } from './reply.ts';
import { answerResourceMetadata } from './resource-metadata.ts';
import { answerRevocation } from './revoke/revoke.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';
import { answerLift, answerStop, answerStops } from './stops/stops-api.ts';
import { answerSignal } from './signals/receiver.ts';
import { answerEvent, answerFurtherToken, answerResume, answerTask, answerTimeline } from './tasks/task-api.ts';

/** Answers a request to an endpoint. */
export type IssuerRoute = (request: IssuerRequest, services: IssuerServices) => Reply | Promise<Reply>;

interface Route {
  /** Path below that of the issuer; `{id}` is a task id, `{order}` the id of an order. */
  readonly path: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly endpoint: IssuerRoute;
  /** Default `ordinary`. */
  readonly kind?: RequestKind;
  /** Default: a query is refused, except for the `wait` of a withdrawal. */
  readonly ignoresQuery?: boolean;
}

const signals: Route = { path: '/signals', method: 'POST', endpoint: answerSignal, kind: 'withdrawal' };

const routes: readonly Route[] = [
  { path: '/.well-known/jwks.json', method: 'GET', endpoint: answerJwks },
  { path: '/transactions/jwks.json', method: 'GET', endpoint: answerTransactionJwks },
  { path: '/oauth/authorize', method: 'GET', endpoint: answerAuthorization, ignoresQuery: true },
  { path: '/oauth/token', method: 'POST', endpoint: answerTokenRequest },
  { path: '/intents/check', method: 'POST', endpoint: answerIntentCheck },
  { path: '/oauth/introspect', method: 'POST', endpoint: answerIntrospection },
  { path: '/oauth/revoke', method: 'POST', endpoint: answerRevocation, kind: 'withdrawal' },
  { path: '/tasks/{id}', method: 'GET', endpoint: answerTask },
  { path: '/tasks/{id}/timeline', method: 'GET', endpoint: answerTimeline },
  { path: '/tasks/{id}/complete', method: 'POST', endpoint: answerEvent('complete'), kind: 'withdrawal' },
  { path: '/tasks/{id}/cancel', method: 'POST', endpoint: answerEvent('cancel'), kind: 'withdrawal' },
  { path: '/tasks/{id}/suspend', method: 'POST', endpoint: answerEvent('suspend'), kind: 'withdrawal' },
  { path: '/tasks/{id}/resume', method: 'POST', endpoint: answerResume },
  { path: '/tasks/{id}/token', method: 'POST', endpoint: answerFurtherToken },
  { path: '/tasks/{id}/context', method: 'PUT', endpoint: answerContext, kind: 'withdrawal' },
  { path: '/stops', method: 'GET', endpoint: answerStops },
  { path: '/stops', method: 'POST', endpoint: answerStop, kind: 'withdrawal' },
  { path: '/stops/{order}', method: 'DELETE', endpoint: answerLift, kind: 'withdrawal' },
  { path: '/limits', method: 'GET', endpoint: answerLimits },
  { path: '/emergencies', method: 'GET', endpoint: answerEmergencies },
  { path: '/emergencies', method: 'POST', endpoint: answerEmergency, kind: 'withdrawal' },
  { path: '/emergencies/{order}/end', method: 'POST', endpoint: answerEmergencyEnd, kind: 'withdrawal' },
  signals,
];

const TASK_ID = '(?<taskId>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})';
const ORDER_ID = '(?<orderId>[0-9a-f]{16})';
/** With the port that the client called, if given. */
const SERVER_ID = '(?<serverId>[a-z0-9_-]{1,63}(?::[1-9][0-9]{0,4})?)';

/** The endpoint of a request, its kind, and the ids in its path (`''` if there is none). */
export interface FoundEndpoint {
  readonly endpoint: IssuerRoute;
  readonly kind: RequestKind;
  readonly ignoresQuery: boolean;
  /** Its path in the table, such as `/tasks/{id}/complete`. */
  readonly route: string;
  readonly taskId: string;
  readonly orderId: string;
  readonly serverId: string;
}

/** The endpoint of a request, or a refusal. */
export type FoundRoute = FoundEndpoint | Reply;

/** Finds endpoints by method and path. Well-known paths precede the issuer's path, all others follow it. */
export function routerOf(
  issuerUrl: string,
  serves: 'all' | 'signals' = 'all',
): (method: string, path: string) => FoundRoute {
  const prefix = new URL(issuerUrl).pathname.replace(/\/$/, '');
  const after: readonly (Route & { readonly route?: string })[] = (serves === 'all' ? routes : [signals]).map(
    ({ path, ...route }) => Object.assign({ path: prefix + path, route: path }, route),
  );
  const before: readonly (Route & { readonly route?: string })[] = [
    {
      path: `/.well-known/oauth-authorization-server${prefix}`,
      route: '/.well-known/oauth-authorization-server',
      method: 'GET',
      endpoint: answerMetadata,
    },
    {
      path: `/.well-known/oauth-protected-resource${prefix}/{server}`,
      route: '/.well-known/oauth-protected-resource/{server}',
      method: 'GET',
      endpoint: answerResourceMetadata,
    },
  ];
  const known = serves === 'all' ? [...after, ...before] : after;
  const table = known.map(({ path, route = path, method, endpoint, kind = 'ordinary', ignoresQuery = false }) => ({
    pattern: patternOf(path),
    route,
    method,
    endpoint,
    kind,
    ignoresQuery,
  }));
  return (method, path) => {
    const served = new Set<Route['method']>();
    for (const route of table) {
      const match = route.pattern.exec(path);
      if (match === null) continue;
      const isServed = method === route.method || (method === 'HEAD' && route.method === 'GET');
      served.add(route.method);
      if (!isServed) continue;
      const { endpoint, kind, ignoresQuery, route: shown } = route;
      const { taskId = '', orderId = '', serverId = '' } = match.groups ?? {};
      return { endpoint, kind, ignoresQuery, route: shown, taskId, orderId, serverId };
    }
    if (served.size > 0) return notAllowed([...served]);
    return errorReply(oauthError('not_found', 'no such path'));
  };
}

const patternOf = (path: string): RegExp =>
  // oxlint-disable-next-line remit/linear-expression -- anchored; ids have a fixed or bounded length
  new RegExp(
    `^${path
      .replaceAll(/[.*+?^$()|[\]\\]/g, String.raw`\$&`)
      .replace('{id}', TASK_ID)
      .replace('{order}', ORDER_ID)
      .replace('{server}', SERVER_ID)}$`,
  );

const notAllowed = (methods: readonly Route['method'][]): Reply =>
  errorReply(oauthError('method_not_allowed', `this path supports ${methods.join(' and ')} only`), {
    headers: { allow: methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ') },
  });

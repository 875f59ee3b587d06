import { answerContext } from './context.ts';
import { answerTokenRequest } from './issue.ts';
import { answerJwks, answerMetadata } from './metadata.ts';
import { oauthError } from './oauth-error.ts';
import { errorReply, type Reply } from './reply.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';
import { answerSignal } from './signals/receiver.ts';
import { answerEnd, answerTask, answerTimeline } from './task-api.ts';

/** Answers one request to an endpoint. */
export type Endpoint = (request: IssuerRequest, services: IssuerServices) => Reply | Promise<Reply>;

interface Route {
  /** The path; `{id}` stands for a task id, and the issuer's own path comes before it. */
  readonly path: string;
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly endpoint: Endpoint;
}

const routes: readonly Route[] = [
  { path: '/.well-known/jwks.json', method: 'GET', endpoint: answerJwks },
  { path: '/oauth/token', method: 'POST', endpoint: answerTokenRequest },
  { path: '/tasks/{id}', method: 'GET', endpoint: answerTask },
  { path: '/tasks/{id}/timeline', method: 'GET', endpoint: answerTimeline },
  { path: '/tasks/{id}/complete', method: 'POST', endpoint: answerEnd('complete') },
  { path: '/tasks/{id}/cancel', method: 'POST', endpoint: answerEnd('cancel') },
  { path: '/tasks/{id}/context', method: 'PUT', endpoint: answerContext },
  { path: '/signals', method: 'POST', endpoint: answerSignal },
];

const TASK_ID = '([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})';

/** The endpoint a request is for, with the task id of its path (`''` where it has none); else the refusal. */
export type Found = { readonly endpoint: Endpoint; readonly taskId: string } | Reply;

/** Finds endpoints by method and path. RFC 8414 puts its path before that of the issuer, everything else comes after. */
export function routerOf(issuerUrl: string): (method: string, path: string) => Found {
  const prefix = new URL(issuerUrl).pathname.replace(/\/$/, '');
  const table = routes.map(({ path, method, endpoint }) => ({ pattern: patternOf(prefix + path), method, endpoint }));
  const metadata = patternOf(`/.well-known/oauth-authorization-server${prefix}`);
  table.push({ pattern: metadata, method: 'GET', endpoint: answerMetadata });
  return (method, path) => {
    for (const route of table) {
      const match = route.pattern.exec(path);
      if (match === null) continue;
      const isServed = method === route.method || (method === 'HEAD' && route.method === 'GET');
      return isServed ? { endpoint: route.endpoint, taskId: match[1] ?? '' } : notAllowed(route.method);
    }
    return errorReply(oauthError('not_found', 'there is nothing at this path'));
  };
}

const patternOf = (path: string): RegExp =>
  new RegExp(`^${path.replaceAll(/[.*+?^$()|[\]\\]/g, String.raw`\$&`).replace('{id}', TASK_ID)}$`);

const notAllowed = (method: Route['method']): Reply =>
  errorReply(oauthError('method_not_allowed', `this path takes ${method} alone`), {
    allow: method === 'GET' ? 'GET, HEAD' : method,
  });

import type { Server } from '../../src/core/action/catalog/catalog.ts';
import type { Action } from '../../src/core/action/http/http.ts';

/** A server of a catalog. */
export const serverOf = (change: Partial<Server> = {}): Server => ({
  id: 'payments',
  hosts: new Set(['payments.acme.test']),
  audience: 'https://payments.acme.test',
  transactionToken: false,
  exactPaths: false,
  paths: [],
  attributes: new Map(),
  externalUrl: 'https://a.test',
  ...change,
});

/** An attempted action of high risk, over HTTP. */
export const actionOf = (change: Partial<Action> = {}): Action => ({
  id: 'payments.create',
  risk: 'high',
  server: serverOf(),
  template: '/v1/payments',
  endpoint: 'POST /v1/payments',
  kind: 'http',
  isSession: false,
  isDecidedOnHeaders: true,
  accepts: new Set(['task-token']),
  labels: new Set(),
  staticSecrets: [],
  jsonRpcId: null,
  args: new Map(),
  ...change,
});

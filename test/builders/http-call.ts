import type { HttpCall } from '../../src/core/action/http/call.ts';

/** A call of the payments server by `GET`, with what a test changes; its segments are those of its path. */
export const httpCall = ({ path = '/v1/payments', ...change }: Partial<HttpCall> = {}): HttpCall => ({
  method: 'GET',
  scheme: 'https',
  host: 'payments.acme.test',
  port: null,
  path,
  segments: path.split('/').slice(1).map(decodeURIComponent),
  query: '',
  headers: new Map(),
  body: null,
  requestId: null,
  ...change,
});

/** Headers as a call has them. */
export const headersOf = (
  headers: Readonly<Record<string, string | readonly string[]>>,
): ReadonlyMap<string, readonly string[]> =>
  new Map(Object.entries(headers).map(([name, value]) => [name, [value].flat()]));

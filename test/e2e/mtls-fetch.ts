import { request } from 'node:https';
import { Readable } from 'node:stream';
import type { IssuedSvid } from '../../src/dev/authority.ts';

/** The caller, and the address of Envoy. */
export interface MtlsCaller {
  readonly port: number;
  readonly svid: IssuedSvid;
  readonly bundlePem: string;
}

/** `fetch` as in an agent's runtime: with its SVID, the trust anchors of the mesh, and Envoy behind every host name. */
export function fetchOverMtls(url: string | URL, init: RequestInit, caller: MtlsCaller): Promise<Response> {
  const { pathname, host } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  const outgoing = request(
    {
      host: '127.0.0.1',
      port: caller.port,
      path: pathname,
      method: init.method ?? 'GET',
      headers: { ...Object.fromEntries(new Headers(init.headers)), host },
      ca: caller.bundlePem,
      cert: caller.svid.certPem,
      key: caller.svid.keyPem,
      agent: false,
      ...(init.signal ? { signal: init.signal } : {}),
    },
    (incoming) => {
      incoming.on('error', () => undefined);
      const status = incoming.statusCode ?? 0;
      const got = Object.entries(incoming.headers).flatMap(([name, value]) =>
        [value ?? []].flat().map((one) => [name, one] as [string, string]),
      );
      const body = status === 202 || status === 204 ? null : (Readable.toWeb(incoming) as ReadableStream);
      resolve(new Response(body, { status, headers: got }));
    },
  );
  outgoing.on('error', reject);
  outgoing.end(typeof init.body === 'string' ? init.body : undefined);
  return promise;
}

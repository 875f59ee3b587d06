import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { once } from 'node:events';

/** An ext_authz server that allows every call and remembers the checks. It stands in for Remit in tests of Envoy. */
export interface AllowAll {
  /** The call metadata and the bytes of each CheckRequest, oldest first. */
  readonly checks: readonly { readonly metadata: IncomingHttpHeaders; readonly request: Buffer }[];
  close(): Promise<void>;
}

/** One gRPC message of no bytes: a CheckResponse whose status is unset, which Envoy takes as an allow. */
const emptyMessage = Buffer.alloc(5);

/** Starts it on a Unix socket. It answers health checks with the same empty message, which means "unknown". */
export async function startAllowAll(socket: string): Promise<AllowAll> {
  const checks: { metadata: IncomingHttpHeaders; request: Buffer }[] = [];
  const server = createServer();
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream: ServerHttp2Stream, metadata: IncomingHttpHeaders) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      if (metadata[':path']?.endsWith('/Check') === true && !metadata[':path'].includes('health')) {
        checks.push({ metadata, request: Buffer.concat(chunks).subarray(5) });
      }
      // The stream of the access log ends with its Envoy.
      if (stream.destroyed || stream.closed) return;
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(emptyMessage);
    });
  });
  server.listen(socket);
  await once(server, 'listening');
  return {
    checks,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}

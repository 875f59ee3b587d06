import type { IncomingMessage } from 'node:http';

/** Largest request body, in bytes. */
export const MAX_BODY_BYTES = 65_536;

/** Reads the body; `null` if it exceeds `MAX_BODY_BYTES`, without reading the rest. Rejects if the client disconnects. */
export async function bodyOf(request: IncomingMessage): Promise<Uint8Array | null> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) return null;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

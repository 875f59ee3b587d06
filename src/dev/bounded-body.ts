/** Longest body read, in bytes. */
const MAX_BODY_BYTES = 65_536;

/** The body of a request to a server of the demo; `null` if it is longer than 64 KiB, or if the client disconnected. */
export async function boundedBody(request: AsyncIterable<Buffer>): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request) {
      length += chunk.length;
      if (length <= MAX_BODY_BYTES) chunks.push(chunk);
    }
  } catch {
    // Nobody reads the answer.
    return null;
  }
  return length > MAX_BODY_BYTES ? null : Buffer.concat(chunks);
}

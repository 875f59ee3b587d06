import { HeldStart } from './held-start.ts';

/** A longer first event is passed on unchanged. */
const MAX_EVENT_BYTES = 8_192;

/**
 * Rewrites the URL in MCP's `endpoint` event, if an event stream begins with it. The client sends its messages to that URL.
 * The rest of the stream passes unchanged.
 *
 * @param localised gives the URL that the client must call
 * @see MCP 2024-11-05, Transports, HTTP with SSE
 */
export const endpointEvent = (localised: (url: string) => string): HeldStart =>
  new HeldStart({ maxBytes: MAX_EVENT_BYTES, rewritten: (start) => localEvent(start, localised) });

/** The start of a stream with its first event in local form; `null` if the event has no end yet. */
function localEvent(start: Buffer, localised: (url: string) => string): Buffer | null {
  const end = /\r\n\r\n|\n\n|\r\r/.exec(start.toString('latin1'))?.index;
  if (end === undefined) return null;
  const event = start.toString('latin1', 0, end);
  if (!/(?:^|[\r\n])event: ?endpoint(?:[\r\n]|$)/.test(event)) return start;
  const local = event.replace(
    /((?:^|[\r\n])data: ?)([^\r\n]*)/,
    (_line, field: string, url: string) => field + localised(url),
  );
  return Buffer.concat([Buffer.from(local, 'latin1'), start.subarray(end)]);
}

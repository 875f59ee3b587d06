import type { IncomingMessage, ServerResponse } from 'node:http';

/** One request on its way to the upstream. */
export interface Http1Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Path and query below the upstream's URL. */
  readonly rest: string;
  /** Path of the listener before that of the upstream. */
  readonly prefix: string;
}

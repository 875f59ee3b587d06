/** The stages that rewrite URLs in the body of an answer: in the card of an agent, and in the `endpoint` event of MCP. */
import type { Duplex } from 'node:stream';
import { agentCardUrls, isForCard } from './agent-card.ts';
import { endpointEvent } from './endpoint-event.ts';
import { localReference } from './local/local-reference.ts';
import type { ForwardTarget } from './forward-target.ts';
import { type HeaderLines, linesWithout, valuesOf } from './passed-headers.ts';

/** A request and the header lines of its answer, as far as URLs are concerned. */
export interface ReferenceExchange {
  readonly method: string | undefined;
  /** Path and query of the request below the upstream's URL. */
  readonly rest: string;
  /** Path of the listener before that of the upstream. */
  readonly prefix: string;
  /** The host that the client asked for; empty if it named none. */
  readonly host: string;
  readonly target: Pick<ForwardTarget, 'origin' | 'base'>;
  /** Of the answer. */
  readonly lines: HeaderLines;
}

/** The stages of an answer that may have URLs of the upstream in its body; empty if it has none that are known. An encoded body is not read. */
export function referenceStages({ method, rest, prefix, host, target, lines }: ReferenceExchange): readonly Duplex[] {
  if (valuesOf(lines, 'content-encoding').length > 0) return [];
  const [type = ''] = valuesOf(lines, 'content-type');
  const localised = (url: string): string => localReference(url, target, prefix);
  if (method === 'GET' && isForCard(rest) && /^application\/json\b/i.test(type))
    return [agentCardUrls((url) => absolute(localised(url), host))];
  return /^text\/event-stream\b/i.test(type) ? [endpointEvent(localised)] : [];
}

/** The header lines of a request so that its answer can be read: an agent's card must not be encoded. */
export const readableRequest = (rest: string, lines: string[]): string[] =>
  isForCard(rest) ? linesWithout(lines, 'accept-encoding') : lines;

/** The URL of a path at the listener, for clients that resolve none themselves. */
const absolute = (reference: string, host: string): string =>
  reference.startsWith('/') && host !== '' ? `http://${host}${reference}` : reference;

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { Forwarded } from './forwarded.ts';
import type { Http1Call } from './http1-call.ts';
import { listStages } from './listing/list-stages.ts';
import { type HeaderChange, linesOfShown } from './listing/shown-header.ts';
import { localReference } from './local/local-reference.ts';
import { passedAnswerLines, passedAnswerTrailers, valuesOf } from './passed-headers.ts';
import { referenceStages } from './reference-stages.ts';

/**
 * Passes an answer on as it comes, with back-pressure. If the upstream aborts it, the connection of the client is aborted too.
 * `asked` gives the body of the request; `null` if not all of it is known.
 */
export function passAnswer(
  answer: IncomingMessage,
  { request, response, rest, prefix }: Http1Call,
  {
    forwarded: { denials, listed, mark, target },
    asked,
  }: { readonly forwarded: Forwarded; readonly asked: () => Buffer | null },
): void {
  const { statusCode = 502, statusMessage = '', rawHeaders } = answer;
  const localised = (url: string): string => localReference(url, target, prefix);
  // Read from the raw lines: for `headers` Node.js would build an object of all of them.
  const [length] = valuesOf(rawHeaders, 'content-length');
  const passed = answerLines(answer, localised);
  const marked = mark?.answer(passed, target, prefix) ?? passed;
  const exchange = { method: request.method, status: statusCode, requestLines: request.rawHeaders, lines: rawHeaders };
  const listing = listStages({ ...exchange, asked, denials }, listed);
  const [host = ''] = valuesOf(request.rawHeaders, 'host');
  const references = referenceStages({ method: request.method, rest, prefix, host, target, lines: rawHeaders });
  const stages = [...references, ...listing.stages];
  // The client cannot get another token; a 401 would make it try.
  const status = statusCode === 401 ? 403 : statusCode;
  response.sendDate = false;
  /** Bytes of the whole answer, if the header that the client gets says how many. */
  let whole: number | null = null;
  const begin = (change: HeaderChange): void => {
    if (change === 'none') whole = Number(length);
    response.writeHead(status, status === statusCode ? statusMessage : 'Forbidden', linesOfShown(marked, change));
  };
  // A stage may change the bytes, so `shown` drops `content-length` and the other headers about them.
  if (listing.onDecided === null) begin(stages.length > 0 ? 'shown' : 'none');
  else listing.onDecided((change) => orDestroy(response, () => begin(change)));
  answer.once('error', () => response.destroy());
  answer.once('end', () => {
    if (answer.rawTrailers.length > 0) response.addTrailers(pairsOf(passedAnswerTrailers(answer.rawTrailers)));
  });
  const source = stages.reduce<Readable>((from, stage) => from.pipe(stage), answer);
  // Bytes that are not what the headers say.
  for (const stage of stages) stage.once('error', () => response.destroy());
  source.once('end', () => {
    if (!response.destroyed) response.end();
  });
  source.once('data', (chunk: Buffer) => {
    // If the client is gone, the rest of the answer is read anyway.
    if (response.destroyed) return;
    // A whole body goes out in one packet with the headers.
    if (chunk.length === whole) response.end(chunk);
    else {
      response.write(chunk);
      source.pipe(response, { end: false });
    }
  });
  // Headers and first bytes go out in one packet, unless the first bytes may take long.
  if (length !== undefined || request.method === 'HEAD' || listing.onDecided !== null) return;
  setImmediate(() => {
    if (!response.writableEnded) response.flushHeaders();
  });
}

/** Ends the connection if Node.js refuses what it is to send. An error thrown in an event would end the process. */
function orDestroy(response: ServerResponse, send: () => void): void {
  if (response.destroyed) return;
  try {
    send();
  } catch {
    response.destroy();
  }
}

function answerLines(answer: IncomingMessage, localised: (url: string) => string): string[] {
  const lines = passedAnswerLines(answer.rawHeaders);
  for (let at = 0; at < lines.length; at += 2) {
    const name = lines[at]?.toLowerCase();
    if (name === 'location' || name === 'content-location') lines[at + 1] = localised(lines[at + 1] ?? '');
  }
  return lines;
}

const pairsOf = (lines: readonly string[]): [string, string][] =>
  lines.flatMap((name, at) => (at % 2 === 0 ? [[name, lines[at + 1] ?? ''] as [string, string]] : []));

import type { HttpCall } from '../../../core/action/http/call.ts';
import type { CallFacts } from '../../../core/decide/facts.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import type { AskedCheck } from '../asked-check.ts';
import { detail, listText } from './detail.ts';
import type { Detail, Shown } from './detail.ts';

/** Headers whose values are shown. Of all others only the length is, since any may hold a credential. */
const SHOWN_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'content-encoding',
  'content-length',
  'content-type',
  'te',
  'transfer-encoding',
  'x-envoy-auth-partial-body',
  'x-forwarded-proto',
  'x-request-id',
]);
const MAX_HEADER_CHARACTERS = 128;

/** What Envoy sent. Path, host and query are from `facts`, which hold no credential. */
export function askedDetails(
  { facts: asked, call: { traceparent } }: AskedCheck,
  { call }: CallFacts,
  shown: Shown,
): readonly Detail[] {
  if (isDeny(asked) || isDeny(call)) {
    return [...detail('problem', isDeny(call) ? call.detail : null), ...detail('trace of Envoy', traceparent)];
  }
  const { peer, sourceAddress, sourcePort, trace } = asked;
  const { method, scheme, host, port, path, query, body } = call;
  const from = sourceAddress === null ? null : `${sourceAddress}${sourcePort === null ? '' : ` port ${sourcePort}`}`;
  return [
    ...detail('call', `${method} ${scheme}://${host}${port === null ? '' : `:${port}`}${path}`),
    ...detail('query', query === '' ? null : parameterNames(query)),
    ...detail('headers', listText([...asked.call.headers].map((header) => headerText(header, shown)))),
    ...detail('body', body === null ? 'not sent to the check' : `${body.length} bytes`),
    ...detail('mcp filter', call.mcpReadings === undefined ? null : `${call.mcpReadings.length} messages`),
    ...detail('from', from),
    ...detail('principal', peer.principal === '' ? 'none' : shown(peer.principal)),
    ...detail('certificate', peer.certificate === '' ? 'none' : `${peer.certificate.length} characters`),
    ...detail('x-forwarded-client-cert', peer.xfcc.length === 0 ? null : `${peer.xfcc.length} values`),
    ...detail('trace of Envoy', trace.parent),
    ...detail('trace of the call', trace.application),
  ];
}

/** Names of query parameters; their values may be secret. */
const parameterNames = (query: HttpCall['query']): string =>
  listText(query.split('&').map((pair) => pair.split('=')[0] ?? ''));

function headerText([name, values]: readonly [string, readonly string[]], shown: Shown): string {
  const short = shown(name).slice(0, MAX_HEADER_CHARACTERS);
  const [value = ''] = values;
  if (values.length > 1) return `${short} (${values.length} values)`;
  if (!SHOWN_HEADERS.has(name)) return `${short} (${value.length} characters)`;
  return `${short}: ${shown(value).slice(0, MAX_HEADER_CHARACTERS)}`;
}

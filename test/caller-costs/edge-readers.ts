import { isForCard } from '../../src/agent/forward/agent-card.ts';
import { shownToken } from '../../src/agent/forward/shown-token.ts';
import { requestLines } from '../../src/agent/forward/http1-request.ts';
import { jsonRpcAnswer } from '../../src/agent/forward/json-rpc-answer.ts';
import { EventCutter } from '../../src/agent/forward/listing/event-cutter.ts';
import { isListRequest, mayBeJsonRpc } from '../../src/agent/forward/listing/list-request.ts';
import { isToolListAnswer, shownList, shownMessageText } from '../../src/agent/forward/listing/shown-list.ts';
import { hasToolsMark, ToolsMark } from '../../src/agent/forward/listing/tools-mark.ts';
import { gated, passedRest, strangerRefusal } from '../../src/agent/forward/local/local-gate.ts';
import { refusal } from '../../src/agent/forward/local/local-answer.ts';
import { localReference } from '../../src/agent/forward/local/local-reference.ts';
import { LocalUrls } from '../../src/agent/forward/local/local-urls.ts';
import { linesWithout, valuesOf } from '../../src/agent/forward/passed-headers.ts';
import { readableRequest, referenceStages } from '../../src/agent/forward/reference-stages.ts';
import { TaskMark } from '../../src/agent/forward/task-mark.ts';
import { holdsSecret, secretKey, segmentOf } from '../../src/agent/service/local-secret.ts';
import { taskRequestFrom } from '../../src/agent/service/task-request.ts';
import { requestedIntent } from '../../src/agent/service/templates.ts';
import { userOf } from '../../src/agent/service/user-places.ts';
import { servedCallFrom } from '../../src/sidecar/envoy/access-log/access-log-entry.ts';
import { logMessageFrom } from '../../src/sidecar/envoy/access-log/access-log-message.ts';
import { askingAgentIn, carriesProof } from '../../src/sidecar/envoy/check/asking-agent.ts';
import { authorityFrom, methodFrom, targetFrom } from '../../src/sidecar/envoy/check/canonical.ts';
import { decodedCheckRequestFrom } from '../../src/sidecar/envoy/check/check-request.ts';
import type { DecodedCheckRequest } from '../../src/sidecar/envoy/check/check-request.ts';
import { decodedHeaderFrom } from '../../src/sidecar/envoy/check/decoded-header.ts';
import { framingProblem } from '../../src/sidecar/envoy/grpc/framing.ts';
import { GrpcMessages } from '../../src/sidecar/envoy/grpc/grpc-messages.ts';
import { grpcTimeoutMs } from '../../src/sidecar/envoy/grpc/grpc-timeout.ts';
import { headerLineFrom } from '../../src/sidecar/envoy/check/header-line.ts';
import { plain } from '../../src/sidecar/envoy/check/header-text.ts';
import { headersFrom } from '../../src/sidecar/envoy/check/headers.ts';
import {
  clientTextAt,
  idAt,
  isTextAt,
  pathAt,
  plainAt,
  spiffeIdAt,
  uuidAt,
  wordAt,
} from '../../src/sidecar/envoy/access-log/log-text.ts';
import type { MadeOf } from '../../src/sidecar/envoy/access-log/log-text.ts';
import { mcpReadingsFrom } from '../../src/sidecar/envoy/check/mcp-metadata.ts';
import { ownCopyOf } from '../../src/sidecar/envoy/check/own-copy.ts';
import { peerCertificateFrom } from '../../src/sidecar/envoy/check/peer-certificate.ts';
import { peerFrom } from '../../src/sidecar/envoy/check/peer-facts.ts';
import { refusedRequest } from '../../src/sidecar/envoy/check/refused-request.ts';
import { checkFactsFrom } from '../../src/sidecar/envoy/check/request.ts';
import { deny, isDeny } from '../../src/core/decision/decision.ts';
import { FrameReader } from '../../src/sidecar/http2/frame-reader.ts';
import { HeaderDecoder } from '../../src/sidecar/http2/header-decoder.ts';
import { fieldNamedAs, fieldOf } from '../../src/sidecar/http2/header-field.ts';
import { decodeHuffman } from '../../src/sidecar/http2/huffman.ts';
import { unpadded } from '../../src/sidecar/http2/padding.ts';
import { contentLengthOf, requestHeadFrom } from '../../src/sidecar/http2/request-head.ts';
import { settingsFrom } from '../../src/sidecar/http2/settings.ts';
import { callerFrom } from '../../src/core/identity/caller.ts';
import { elementsIn, extensionsFrom, sequenceIn, uriNamesIn } from '../../src/core/identity/certificate-extensions.ts';
import { leafFromDer, leafFromPem, leafFromUrlEncodedPem } from '../../src/core/identity/leaf-certificate.ts';
import { refusedCallerFrom } from '../../src/core/identity/refused-caller.ts';
import { coversSpiffeId, matchesSpiffeId } from '../../src/core/identity/spiffe-id-pattern.ts';
import { spiffeIdFrom, trustDomainFrom } from '../../src/core/identity/spiffe-id.ts';
import { xfccFrom } from '../../src/core/identity/xfcc.ts';
import { canonicalFrom } from '../../src/core/ledger/canonical-json.ts';
import { recordText } from '../../src/core/ledger/record.ts';
import { aligned, printable } from '../../src/core/ledger/timeline-text.ts';
import { eachField, eachVarint } from '../../src/core/protobuf/fields.ts';
import { utf8From } from '../../src/core/protobuf/utf8.ts';
import { ProtobufWriter } from '../../src/core/protobuf/writer.ts';
import { changesWithin } from '../../src/core/runtime/edit-distance.ts';
import { withoutEnd } from '../../src/core/runtime/without-end.ts';
import { mustSpiffeId, mustTrustDomain } from '../builders/spiffe-id.ts';
import { envoyCheckRequestType } from '../sidecar/envoy/protos.ts';
import { pieces } from './reader.ts';
import type { Reader, Readers } from './reader.ts';

const proxy = mustSpiffeId('spiffe://acme.test/proxy');
const rules = {
  mode: 'peer',
  trustDomains: new Set([mustTrustDomain('acme.test')]),
  proxyIds: [proxy],
  forwarders: new Set([proxy]),
} as const;

const asking = { 'x-request-id': 'r', 'content-type': 'application/json' };
const http = (text: string, over: object): Buffer => {
  const all = { method: 'POST', path: '/a', host: 'a.test', scheme: 'https', headers: asking, ...over };
  return envoyCheckRequestType.serialize({ attributes: { request: { http: all }, source: { principal: text } } });
};
const facts = (text: string, over: object): unknown => {
  const request = decodedCheckRequestFrom(http('', over));
  return isDeny(request) ? request : checkFactsFrom(request, text, { partialBodyBytes: null });
};
const REFUSED = deny('request.malformed', 'refused');
const shown = (text: string, over: object, read: (request: DecodedCheckRequest) => unknown): unknown => {
  const request = decodedCheckRequestFrom(http(text, over));
  return isDeny(request) ? request : read(request);
};
/** Text in place of bytes. */
const bytes =
  (read: (of: Buffer) => unknown): Reader =>
  (text) =>
    read(Buffer.from(text));
const made = (read: MadeOf<unknown>): Reader => bytes((of) => read(of, 0, of.length));
/** A HPACK literal without index: text of any length in one field. */
const field = (name: string, value: string): Buffer => Buffer.concat([Buffer.of(0), literal(name), literal(value)]);

function literal(text: string): Buffer {
  const raw = Buffer.from(text, 'latin1');
  if (raw.length < 127) return Buffer.concat([Buffer.of(raw.length), raw]);
  const length = [127];
  for (let rest = raw.length - 127; ; rest = Math.floor(rest / 128)) {
    length.push(rest >= 128 ? (rest % 128) | 128 : rest);
    if (rest < 128) return Buffer.concat([Buffer.from(length), raw]);
  }
}

const mark = new TaskMark('secret');
const localUrls = new LocalUrls();
localUrls.add({ port: 4_100, secret: 'secret', target: { origin: 'https://a.test', base: '/b' } });

/** The readers of the rooms before `action/`, of records, and of the forwarder. */
export const edgeReaders: Readers = {
  'agent/forward/reference-stages.ts referenceStages': (text) =>
    referenceStages({
      method: 'GET',
      rest: `/${text}`,
      prefix: '/secret',
      host: text,
      target: { origin: 'https://a.test', base: '' },
      lines: ['content-type', text],
    }),
  'agent/forward/reference-stages.ts readableRequest': (text) => readableRequest(`/${text}`, ['accept', text]),
  'agent/forward/agent-card.ts isForCard': isForCard,
  'agent/forward/passed-headers.ts linesWithout': (text) =>
    linesWithout([text, text, 'accept-encoding', text], 'accept-encoding'),
  'agent/forward/http1-request.ts requestLines': (text) =>
    requestLines(
      { rawHeaders: [text, text, 'connection', text], method: 'GET' } as never,
      {
        target: { origin: 'https://a.test', base: '', resource: 'https://a.test' } as never,
        localUrls,
        proofKey: null,
      },
      { token: 'x', rest: `/${text}` },
    ),
  'agent/forward/shown-token.ts shownToken': (text) =>
    shownToken(
      'x',
      { proofKey: { proofFor: ({ url }) => url }, target: { resource: `https://a.test/${text}` } as never },
      { method: 'GET', path: `/${text}` },
    ),
  'agent/forward/json-rpc-answer.ts jsonRpcAnswer': (text) =>
    jsonRpcAnswer(refusal(403, 'x', 'x'), Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: text, method: text }))),
  'agent/forward/listing/list-request.ts isListRequest': (text) =>
    isListRequest(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: text, method: 'tools/list', params: text }))),
  'agent/forward/listing/list-request.ts mayBeJsonRpc': (text) => mayBeJsonRpc(Buffer.from(text)),
  'agent/forward/listing/tools-mark.ts hasToolsMark': (text) => hasToolsMark(Buffer.from(text)),
  'agent/forward/listing/tools-mark.ts ToolsMark': (text) => new ToolsMark().sees(Buffer.from(text)),
  'agent/forward/listing/shown-list.ts shownList': (text) =>
    shownList(
      { result: { tools: [{ name: text, description: text }], text } },
      { shown: new Map([[text, { limits: text }]]), hidden: new Set([text]) },
    ),
  'agent/forward/listing/shown-list.ts shownMessageText': (text) =>
    shownMessageText({ result: { tools: [{ name: text }] } }, { shown: new Map(), hidden: new Set() }),
  'agent/forward/listing/shown-list.ts isToolListAnswer': (text) => isToolListAnswer({ result: { tools: [text] } }),
  'agent/forward/listing/event-cutter.ts EventCutter': (text) => new EventCutter().cut(Buffer.from(text)),
  'agent/forward/local/local-gate.ts gated': (text) =>
    gated(
      { method: 'GET', target: `/${text}`, hosts: ['127.0.0.1:1'], lines: ['origin', text] },
      { kind: 'tcp', port: 1, secret: Buffer.from('x') },
    ),
  'agent/forward/local/local-gate.ts passedRest': (text) => passedRest('GET', `/${text}`),
  'agent/forward/local/local-gate.ts strangerRefusal': (text) =>
    strangerRefusal({ method: 'GET', target: '/', hosts: [text], lines: ['origin', text] }, 1),
  'agent/service/local-secret.ts holdsSecret': (text) => holdsSecret(`remit_${text}`),
  'agent/service/local-secret.ts secretKey': secretKey,
  'agent/service/local-secret.ts segmentOf': (text) => segmentOf(`/${text}`),
  'agent/service/task-request.ts taskRequestFrom': (text) =>
    taskRequestFrom(Buffer.from(JSON.stringify({ intent: text, purpose: text, subject_token: text }))),
  'agent/service/templates.ts requestedIntent': (text) =>
    requestedIntent(
      {
        intent: { purpose: text, access: [{ resource: text, actions: [text] }] },
        purpose: text,
        constraints: { [text]: text },
        subject: null,
        expiresInSeconds: null,
        idleSeconds: null,
        hold: false,
      },
      new Map(),
    ),
  'agent/service/user-places.ts userOf': (text) => userOf(`a.${Buffer.from(text).toString('base64url')}.b`),
  'agent/forward/local/local-reference.ts localReference': (text) =>
    localReference(text, { origin: 'https://a.test', base: '/' }, '/s'),
  'agent/forward/local/local-urls.ts LocalUrls': (text) => localUrls.hidden(`http://127.0.0.1:4100${text}`),
  'agent/forward/task-mark.ts TaskMark': (text) => [
    mark.request(['cookie', text, 'mcp-session-id', text]),
    mark.answer(['set-cookie', text], { base: '/b' }, '/s'),
    mark.isForeign(['mcp-session-id', text]),
  ],
  'agent/forward/passed-headers.ts valuesOf': (text) => valuesOf([text, text], 'origin'),
  'sidecar/envoy/access-log/access-log-entry.ts servedCallFrom': bytes(servedCallFrom),
  'sidecar/envoy/access-log/access-log-message.ts logMessageFrom': bytes(logMessageFrom),
  'sidecar/envoy/check/asking-agent.ts askingAgentIn': {
    bytes: bytes((of) => askingAgentIn(of, 'peer')),
    principal: (text) => askingAgentIn(http(text, {}), 'peer'),
    header: (text) => askingAgentIn(http('', { headers: { 'x-forwarded-client-cert': text } }), 'xfcc'),
  },
  'sidecar/envoy/check/asking-agent.ts carriesProof': (text) => carriesProof(http('', { headers: { [text]: text } })),
  'sidecar/envoy/check/canonical.ts methodFrom': methodFrom,
  'sidecar/envoy/check/canonical.ts targetFrom': {
    text: targetFrom,
    path: (text) => targetFrom(`/${text}`),
    query: (text) => targetFrom(`/?${text}`),
  },
  'sidecar/envoy/check/canonical.ts authorityFrom': authorityFrom,
  'sidecar/envoy/check/check-request.ts decodedCheckRequestFrom': {
    bytes: bytes(decodedCheckRequestFrom),
    header: (text) => decodedCheckRequestFrom(http('', { headers: { [text]: text } })),
    headers: (text) =>
      decodedCheckRequestFrom(http('', { headers: Object.fromEntries(pieces(text).map((one, at) => [`${at}`, one])) })),
  },
  'sidecar/envoy/check/decoded-header.ts decodedHeaderFrom': bytes((of) => decodedHeaderFrom(of, 0, of.length)),
  'sidecar/envoy/check/decoded-header.ts DecodedHeader': (text) => headerLineFrom('accept', text),
  'sidecar/envoy/grpc/framing.ts framingProblem': (text) =>
    framingProblem({
      method: 'POST',
      headers: new Map([
        ['content-length', [text]],
        ['expect', [text]],
      ]),
      body: null,
    }),
  'sidecar/envoy/grpc/grpc-messages.ts GrpcMessages': (text) => {
    const messages = new GrpcMessages(4_194_304);
    for (let at = 0; at < text.length; at += 64) messages.add(Buffer.from(text.slice(at, at + 64)));
    return messages.only();
  },
  'sidecar/envoy/grpc/grpc-timeout.ts grpcTimeoutMs': grpcTimeoutMs,
  'sidecar/envoy/check/header-line.ts headerLineFrom': {
    name: (text) => headerLineFrom(text, 'x'),
    value: (text) => headerLineFrom('x', text),
  },
  'sidecar/envoy/check/header-text.ts plain': plain,
  'sidecar/envoy/check/headers.ts headersFrom': {
    lines: (text) => headersFrom(pieces(text).map((one) => headerLineFrom('x-a', one))),
    connection: (text) => headersFrom([headerLineFrom('connection', text)]),
  },
  'sidecar/envoy/access-log/log-text.ts wordAt': made(wordAt),
  'sidecar/envoy/access-log/log-text.ts clientTextAt': made(clientTextAt),
  'sidecar/envoy/access-log/log-text.ts idAt': made(idAt),
  'sidecar/envoy/access-log/log-text.ts pathAt': made(pathAt),
  'sidecar/envoy/access-log/log-text.ts plainAt': made(plainAt),
  'sidecar/envoy/access-log/log-text.ts uuidAt': made(uuidAt),
  'sidecar/envoy/access-log/log-text.ts isTextAt': (text) => made(isTextAt(text))(text),
  'sidecar/envoy/access-log/log-text.ts spiffeIdAt': made(spiffeIdAt),
  'sidecar/envoy/check/mcp-metadata.ts mcpReadingsFrom': (text) =>
    mcpReadingsFrom({ mcp_proxy: { fields: { status: { stringValue: text }, [text]: { stringValue: text } } } }),
  'sidecar/envoy/check/own-copy.ts ownCopyOf': bytes(ownCopyOf),
  'sidecar/envoy/check/peer-certificate.ts peerCertificateFrom': (text) => peerCertificateFrom(text, undefined, 'peer'),
  'sidecar/envoy/check/peer-facts.ts peerFrom': {
    principal: (text) => shown(text, {}, (request) => peerFrom(request, new Map(), {})),
    forwarded: (text) =>
      shown('', {}, (request) => peerFrom(request, new Map([['x-forwarded-client-cert', [text]]]), {})),
  },
  'sidecar/envoy/check/refused-request.ts refusedRequest': {
    principal: (text) => shown(text, {}, (request) => refusedRequest(REFUSED, request, {})),
    host: (text) => shown('', { host: text }, (request) => refusedRequest(REFUSED, request, {})),
    header: (text) =>
      shown('', { headers: { ...asking, authorization: text } }, (request) => refusedRequest(REFUSED, request, {})),
    'header names': (text) =>
      shown('', { headers: { ...asking, [`x-${text}`]: 'a' } }, (request) => refusedRequest(REFUSED, request, {})),
  },
  'sidecar/envoy/check/request.ts checkFactsFrom': {
    header: (text) => facts('', { headers: { ...asking, 'x-a': text } }),
    'header names': (text) => facts('', { headers: { ...asking, [`x-${text}`]: 'a' } }),
    body: (text) => facts('', { body: text, headers: { ...asking, 'x-envoy-auth-partial-body': 'false' } }),
    trace: (text) => facts(text, {}),
    path: (text) => facts('', { path: `/${text}` }),
  },
  'sidecar/http2/frame-reader.ts FrameReader': bytes((of) => new FrameReader().read(of, () => true)),
  'sidecar/http2/header-decoder.ts HeaderDecoder': {
    block: bytes((of) => new HeaderDecoder().decode(of.subarray(0, 32_768))),
    field: (text) => new HeaderDecoder().decode(field('x', text.slice(0, 32_000))),
    fields: (text) =>
      new HeaderDecoder().decode(
        Buffer.concat(
          text
            .slice(0, 8_000)
            .split('')
            .map((one) => field('x', one)),
        ),
      ),
  },
  'sidecar/http2/header-field.ts fieldOf': (text) => fieldOf(text, text),
  'sidecar/http2/header-field.ts fieldNamedAs': (text) => fieldNamedAs(fieldOf(text, ''), text),
  'sidecar/http2/huffman.ts decodeHuffman': bytes((of) => decodeHuffman(of, 0, of.length, Buffer.alloc(of.length * 2))),
  'sidecar/http2/padding.ts unpadded': bytes((of) => unpadded(of, 0x8)),
  'sidecar/http2/request-head.ts requestHeadFrom': (text) =>
    requestHeadFrom([
      fieldOf(':method', 'GET'),
      fieldOf(':path', text),
      ...text
        .slice(0, 128)
        .split('')
        .map((one) => fieldOf('a', one)),
      fieldOf('b', text),
    ]),
  'sidecar/http2/request-head.ts contentLengthOf': (text) =>
    contentLengthOf({ method: 'POST', path: '/', headers: new Map([['content-length', text]]) }),
  'sidecar/http2/settings.ts settingsFrom': bytes(settingsFrom),
  'core/identity/caller.ts callerFrom': {
    principal: (text) => callerFrom({ principal: text, certificate: '', xfcc: [] }, rules, 0),
    path: (text) => callerFrom({ principal: `spiffe://acme.test/${text}`, certificate: text, xfcc: [] }, rules, 0),
    xfcc: (text) =>
      callerFrom(
        { principal: proxy, certificate: '', xfcc: [`By=${proxy};URI=${text}`] },
        { ...rules, mode: 'xfcc' },
        0,
      ),
  },
  'core/identity/certificate-extensions.ts extensionsFrom': bytes(extensionsFrom),
  'core/identity/certificate-extensions.ts uriNamesIn': bytes(uriNamesIn),
  'core/identity/certificate-extensions.ts sequenceIn': bytes(sequenceIn),
  'core/identity/certificate-extensions.ts elementsIn': bytes(elementsIn),
  'core/identity/leaf-certificate.ts leafFromUrlEncodedPem': {
    text: leafFromUrlEncodedPem,
    content: (text) => leafFromUrlEncodedPem(`-----BEGIN CERTIFICATE-----%0A${text}%0A-----END CERTIFICATE-----%0A`),
  },
  'core/identity/leaf-certificate.ts leafFromPem': {
    text: leafFromPem,
    content: (text) => leafFromPem(`-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`),
  },
  'core/identity/leaf-certificate.ts leafFromDer': bytes(leafFromDer),
  'core/identity/refused-caller.ts refusedCallerFrom': {
    principal: (text) => refusedCallerFrom({ principal: text, certificate: '', xfcc: [] }, rules, null),
    xfcc: (text) => refusedCallerFrom({ principal: '', certificate: text, xfcc: [text] }, { mode: 'xfcc' }, null),
  },
  'core/identity/spiffe-id-pattern.ts coversSpiffeId': (text) =>
    coversSpiffeId(
      'spiffe://acme.test/a/*',
      mustSpiffeId(
        `spiffe://acme.test/a${text
          .replaceAll(/[^a-z]/g, 'a')
          .slice(0, 900)
          .replaceAll(/(?=a)/g, '/')}a`,
      ),
    ),
  'core/identity/spiffe-id-pattern.ts matchesSpiffeId': (text) =>
    matchesSpiffeId(
      'spiffe://acme.test/*a*b*c*',
      mustSpiffeId(`spiffe://acme.test/${text.replaceAll(/[^a-z]/g, 'a').slice(0, 1_900)}a`),
    ),
  'core/identity/spiffe-id.ts spiffeIdFrom': {
    text: spiffeIdFrom,
    path: (text) => spiffeIdFrom(`spiffe://acme.test/${text}`),
  },
  'core/identity/spiffe-id.ts trustDomainFrom': trustDomainFrom,
  'core/identity/xfcc.ts xfccFrom': {
    text: xfccFrom,
    value: (text) => xfccFrom(`By=a;URI=${text}`),
    quoted: (text) => xfccFrom(`By=a;Subject="${text}`),
  },
  'core/ledger/canonical-json.ts canonicalFrom': {
    bytes: bytes(canonicalFrom),
    string: (text) => canonicalFrom(Buffer.from(JSON.stringify({ a: text }))),
  },
  // Beyond the length from which on it is digested: below, it is not read at all.
  'core/ledger/record.ts recordText': (text) => recordText(`${'x'.repeat(2_048)}${text}`),
  'core/ledger/timeline-text.ts aligned': (text) => aligned([[text, text]]),
  'core/ledger/timeline-text.ts printable': printable,
  'core/protobuf/fields.ts eachField': bytes((of) => eachField(of, { from: 0, to: of.length }, () => null)),
  'core/protobuf/fields.ts eachVarint': bytes((of) => eachVarint(of, { from: 0, to: of.length }, () => null)),
  'core/protobuf/utf8.ts utf8From': bytes(utf8From),
  'core/protobuf/writer.ts ProtobufWriter': (text) => {
    const into = new ProtobufWriter();
    into.text(1, text);
    return into.bytes;
  },
  'core/runtime/edit-distance.ts changesWithin': (text) =>
    changesWithin(text, `${text.slice(0, 60)}x${text.slice(60)}`, 3),
  'core/runtime/without-end.ts withoutEnd': (text) => withoutEnd(text, '/'),
};

/** Files and exports of these rooms that read no caller's text by themselves, with what they read or who reads for them. */
export const notAtTheEdge: Readonly<Record<string, string>> = {
  'agent/service/api-answer.ts': 'texts of our own and of the issuer',
  'agent/service/issuer-lane.ts': 'no text',
  'agent/service/journal.ts': 'a file of our own',
  'agent/service/private-folder.ts': 'a file of our own, and options of a command',
  'agent/service/svid-rounds.ts': 'certificates of our own',
  'agent/service/task-ends.ts': 'answers of the issuer',
  'agent/service/task-service.ts': 'requests that taskRequestFrom has read',
  'agent/service/task-unit.ts': 'answers of the issuer',
  'agent/service/idle-units.ts': 'no text',
  'agent/service/unit-way.ts': 'answers of the issuer',
  'agent/service/tasks-api.ts': 'sockets; requests are read by segmentOf and taskRequestFrom',
  'agent/service/templates.ts templatesIn': 'files of the operator',
  'agent/service/upstream-door.ts': 'options of a command; requests are read by segmentOf',
  'agent/forward/http1-request.ts isRefusedAnswer': 'the status and one header of an answer',
  'agent/forward/http1-request.ts repetition': 'the status and headers of an answer that our sidecar denied',
  'agent/forward/upstream/mesh-route.ts': 'the configuration of the Envoy of the own pod',
  'agent/forward/upstream/mesh-verdict.ts': 'the configuration of the Envoy of the own pod, at most 8 MiB',
  'core/identity/spiffe-id-pattern.ts isSpiffeIdPattern': 'the operator’s file',
  'agent/forward/agent-card.ts agentCardUrls': 'an answer of the upstream, at most 1 MiB',
  'agent/forward/endpoint-event.ts': 'an answer of the upstream',
  'agent/forward/forward-option.ts': 'options of a command',
  'agent/forward/forward-target.ts': 'options of a command',
  'agent/forward/held-start.ts': 'an answer of the upstream',
  'agent/forward/http1-answer.ts': 'an answer of the upstream',
  'agent/forward/http2-body.ts': 'keeps bytes and reads none',
  'authority/issuer/tasks/readable-task.ts readableTask': 'the id of a path, or of a form that formFrom has read',
  'authority/issuer/tasks/task-tools.ts': 'a task of the state',
  'core/action/mcp/tool-changes.ts toolChanges':
    'a list of at most 4,096 tools, that is asked for now and then; each turn reads one tool, and digests are bounded by 4 MiB in all',
  'core/action/mcp/tool-changes.ts unreadableTools': 'texts of our own',
  'core/decide/mode.ts observesAgent': 'the operator’s file',
  'agent/forward/listing/event-lists.ts': 'an answer of the upstream, cut by EventCutter',
  'agent/forward/listing/held-bytes.ts': 'keeps bytes and reads none',
  'agent/forward/listing/parsed-message.ts': 'an answer of the upstream, by JSON.parse',
  'agent/forward/listing/shown-header.ts': 'the header of an answer of the upstream',
  'agent/forward/listing/unasked-list.ts': 'an answer of the upstream, at most 4 MiB',
  'agent/forward/listing/whole-list.ts': 'an answer of the upstream, at most 4 MiB',
  'agent/forward/local/listener.ts': 'sockets; requests are read by gated',
  'agent/forward/local/local-answer.ts': 'texts of our own',
  'agent/forward/local/places.ts': 'sockets',
  'agent/forward/request-body.ts': 'keeps bytes and reads none',
  'sidecar/envoy/grpc/call-name.ts callNameOf': 'numbers and an address, which Envoy says',
  'agent/forward/upstream/upstream-connections.ts': 'sockets',
  'agent/forward/upstream/upstream-failure.ts': 'texts of our own',
  'agent/forward/upstream/upstream-sessions.ts': 'sockets',
  'sidecar/envoy/authorization.ts': 'called with what the readers gave',
  'sidecar/envoy/grpc/byte-budget.ts': 'counts',
  'sidecar/envoy/grpc/call-watch.ts': 'times',
  'sidecar/envoy/check/check-call.ts': 'a call; its message is read by GrpcMessages',
  'sidecar/envoy/check/check-queue.ts': 'a queue',
  'sidecar/envoy/check/denial-body.ts': 'reasons and facts that are cut to 256 characters',
  'sidecar/envoy/access-log/entry-reader.ts': 'called by servedCallFrom',
  'sidecar/envoy/grpc/grpc-messages.ts framed': 'our own answers',
  'sidecar/envoy/grpc/grpc-server.ts': 'the configuration, and calls',
  'sidecar/envoy/health.ts': 'the name of one service, compared',
  'sidecar/envoy/grpc/http2-call.ts': 'our own answers',
  'sidecar/envoy/access-log/log-stream.ts': 'called with what logMessageFrom gave',
  'sidecar/envoy/network/callers.ts': 'certificates of proxies that mutual TLS has verified',
  'sidecar/envoy/network/network-server.ts': 'calls of verified proxies',
  'sidecar/envoy/server.ts': 'calls; their messages are read by the readers here',
  'sidecar/envoy/taken-sockets.ts': 'addresses of the configuration',
  'sidecar/envoy/wire-reader.ts': 'called by decodedCheckRequestFrom',
  'sidecar/http2/connection.ts': 'a socket; its bytes are read by FrameReader and HeaderDecoder',
  'sidecar/http2/frame.ts': 'our own frames',
  'sidecar/http2/header-block.ts': 'our own headers',
  'sidecar/http2/header-blocks.ts': 'called by a session with fragments that it bounds',
  'sidecar/http2/header-field.ts fieldSize': 'counts',
  'sidecar/http2/request-head.ts areTrailers': 'looks at first characters',
  'sidecar/http2/header-table.ts': 'called by HeaderDecoder',
  'sidecar/http2/incoming.ts': 'bytes that are handed on',
  'sidecar/http2/outgoing.ts': 'our own answers',
  'sidecar/http2/receive-window.ts': 'counts',
  'sidecar/http2/reset-memory.ts': 'numbers',
  'sidecar/http2/server.ts': 'sockets',
  'sidecar/http2/session.ts': 'frames, by the readers here',
  'sidecar/http2/stream.ts': 'bytes that are handed on',
  'core/identity/certificate-list.ts': 'certificates of the operator and of SPIRE',
  'core/identity/key-proof.ts': 'rows of the database, at most 32 KiB',
  'core/identity/held-svid.ts': 'our own SVID',
  'core/identity/small-file.ts': 'files of the operator',
  'core/identity/svid-files.ts': 'files of the operator',
  'core/identity/workload-api-address.ts': 'the configuration',
  'core/identity/workload-api-response.ts': 'answers of SPIRE',
  'core/identity/workload-api-stream.ts': 'answers of SPIRE',
  'core/identity/workload-api.ts': 'answers of SPIRE',
  'core/decide/decided-check.ts': 'calls shownText for paths, names and details',
  'core/protobuf/reader.ts': 'called by decodedCheckRequestFrom and servedCallFrom',
};

import { isAgentCard } from '../../src/agent-run/forward/agent-card.ts';
import { requestLines } from '../../src/agent-run/forward/http1-request.ts';
import { jsonRpcAnswer } from '../../src/agent-run/forward/json-rpc-answer.ts';
import { gated } from '../../src/agent-run/forward/local-gate.ts';
import { refusal } from '../../src/agent-run/forward/local-answer.ts';
import { localReference } from '../../src/agent-run/forward/local-reference.ts';
import { LocalUrls } from '../../src/agent-run/forward/local-urls.ts';
import { valuesOf } from '../../src/agent-run/forward/passed-headers.ts';
import { servedCallFrom } from '../../src/envoy/access-log-entry.ts';
import { logMessageFrom } from '../../src/envoy/access-log-message.ts';
import { askingAgentIn, carriesProof } from '../../src/envoy/asking-agent.ts';
import { authorityFrom, methodFrom, targetFrom } from '../../src/envoy/canonical.ts';
import { decodedCheckRequestFrom } from '../../src/envoy/check-request.ts';
import { decodedHeaderFrom } from '../../src/envoy/decoded-header.ts';
import { framingProblem } from '../../src/envoy/framing.ts';
import { GrpcMessages } from '../../src/envoy/grpc-messages.ts';
import { grpcTimeoutMs } from '../../src/envoy/grpc-timeout.ts';
import { headerLineFrom } from '../../src/envoy/header-line.ts';
import { plain } from '../../src/envoy/header-text.ts';
import { headersFrom } from '../../src/envoy/headers.ts';
import { hostAt, isTextAt, pathAt, plainAt, spiffeIdAt, uuidAt, wordAt } from '../../src/envoy/log-text.ts';
import type { MadeOf } from '../../src/envoy/log-text.ts';
import { mcpReadingsFrom } from '../../src/envoy/mcp-metadata.ts';
import { ownCopyOf } from '../../src/envoy/own-copy.ts';
import { peerCertificateFrom } from '../../src/envoy/peer-certificate.ts';
import { checkFactsFrom } from '../../src/envoy/request.ts';
import { isDeny } from '../../src/decision/decision.ts';
import { FrameReader } from '../../src/http2/frame-reader.ts';
import { HeaderDecoder } from '../../src/http2/header-decoder.ts';
import { fieldNamedAs, fieldOf } from '../../src/http2/header-field.ts';
import { decodeHuffman } from '../../src/http2/huffman.ts';
import { unpadded } from '../../src/http2/padding.ts';
import { contentLengthOf, requestHeadFrom } from '../../src/http2/request-head.ts';
import { settingsFrom } from '../../src/http2/settings.ts';
import { callerFrom } from '../../src/identity/caller.ts';
import { elementsIn, extensionsFrom, sequenceIn, uriNamesIn } from '../../src/identity/certificate-extensions.ts';
import { leafFromDer, leafFromPem, leafFromUrlEncodedPem } from '../../src/identity/leaf-certificate.ts';
import { refusedCallerFrom } from '../../src/identity/refused-caller.ts';
import { spiffeIdFrom, trustDomainFrom } from '../../src/identity/spiffe-id.ts';
import { xfccFrom } from '../../src/identity/xfcc.ts';
import { canonicalFrom } from '../../src/ledger/canonical-json.ts';
import { recordText } from '../../src/ledger/record.ts';
import { aligned, printable } from '../../src/ledger/timeline-text.ts';
import { eachField, eachVarint } from '../../src/protobuf/fields.ts';
import { utf8From } from '../../src/protobuf/utf8.ts';
import { ProtobufWriter } from '../../src/protobuf/writer.ts';
import { changesWithin } from '../../src/runtime/edit-distance.ts';
import { withoutEnd } from '../../src/runtime/without-end.ts';
import { mustSpiffeId, mustTrustDomain } from '../builders/spiffe-id.ts';
import { envoyCheckRequestType } from '../envoy/protos.ts';
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

const localUrls = new LocalUrls();
localUrls.add({ port: 4_100, secret: 'secret', target: { origin: 'https://a.test', base: '/b' } });

/** The readers of the rooms before `action/`, of records, and of the forwarder. */
export const edgeReaders: Readers = {
  'agent-run/forward/agent-card.ts isAgentCard': (text) =>
    isAgentCard(text, { headers: { 'content-type': text, 'content-length': '1' } }),
  'agent-run/forward/http1-request.ts requestLines': (text) =>
    requestLines(
      { rawHeaders: [text, text, 'connection', text], method: 'GET' } as never,
      { target: { origin: 'https://a.test' } as never, localUrls },
      'x',
    ),
  'agent-run/forward/json-rpc-answer.ts jsonRpcAnswer': (text) =>
    jsonRpcAnswer(refusal(403, 'x', 'x'), Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: text, method: text }))),
  'agent-run/forward/local-gate.ts gated': (text) =>
    gated(
      { method: 'GET', target: `/${text}`, hosts: ['127.0.0.1:1'], lines: ['origin', text] },
      { kind: 'tcp', port: 1, secret: Buffer.from('x') },
    ),
  'agent-run/forward/local-reference.ts localReference': (text) =>
    localReference(text, { origin: 'https://a.test', base: '/' }, '/s'),
  'agent-run/forward/local-urls.ts LocalUrls': (text) => localUrls.hidden(`http://127.0.0.1:4100${text}`),
  'agent-run/forward/passed-headers.ts valuesOf': (text) => valuesOf([text, text], 'origin'),
  'envoy/access-log-entry.ts servedCallFrom': bytes(servedCallFrom),
  'envoy/access-log-message.ts logMessageFrom': bytes(logMessageFrom),
  'envoy/asking-agent.ts askingAgentIn': {
    bytes: bytes((of) => askingAgentIn(of, 'peer')),
    principal: (text) => askingAgentIn(http(text, {}), 'peer'),
    header: (text) => askingAgentIn(http('', { headers: { 'x-forwarded-client-cert': text } }), 'xfcc'),
  },
  'envoy/asking-agent.ts carriesProof': (text) => carriesProof(http('', { headers: { [text]: text } })),
  'envoy/canonical.ts methodFrom': methodFrom,
  'envoy/canonical.ts targetFrom': {
    text: targetFrom,
    path: (text) => targetFrom(`/${text}`),
    query: (text) => targetFrom(`/?${text}`),
  },
  'envoy/canonical.ts authorityFrom': authorityFrom,
  'envoy/check-request.ts decodedCheckRequestFrom': {
    bytes: bytes(decodedCheckRequestFrom),
    header: (text) => decodedCheckRequestFrom(http('', { headers: { [text]: text } })),
    headers: (text) =>
      decodedCheckRequestFrom(http('', { headers: Object.fromEntries(pieces(text).map((one, at) => [`${at}`, one])) })),
  },
  'envoy/decoded-header.ts decodedHeaderFrom': bytes((of) => decodedHeaderFrom(of, 0, of.length)),
  'envoy/decoded-header.ts DecodedHeader': (text) => headerLineFrom('accept', text),
  'envoy/framing.ts framingProblem': (text) =>
    framingProblem({
      method: 'POST',
      headers: new Map([
        ['content-length', [text]],
        ['expect', [text]],
      ]),
      body: null,
    }),
  'envoy/grpc-messages.ts GrpcMessages': (text) => {
    const messages = new GrpcMessages(4_194_304);
    for (let at = 0; at < text.length; at += 64) messages.add(Buffer.from(text.slice(at, at + 64)));
    return messages.only();
  },
  'envoy/grpc-timeout.ts grpcTimeoutMs': grpcTimeoutMs,
  'envoy/header-line.ts headerLineFrom': {
    name: (text) => headerLineFrom(text, 'x'),
    value: (text) => headerLineFrom('x', text),
  },
  'envoy/header-text.ts plain': plain,
  'envoy/headers.ts headersFrom': {
    lines: (text) => headersFrom(pieces(text).map((one) => headerLineFrom('x-a', one))),
    connection: (text) => headersFrom([headerLineFrom('connection', text)]),
  },
  'envoy/log-text.ts wordAt': made(wordAt),
  'envoy/log-text.ts hostAt': made(hostAt),
  'envoy/log-text.ts pathAt': made(pathAt),
  'envoy/log-text.ts plainAt': made(plainAt),
  'envoy/log-text.ts uuidAt': made(uuidAt),
  'envoy/log-text.ts isTextAt': (text) => made(isTextAt(text))(text),
  'envoy/log-text.ts spiffeIdAt': made(spiffeIdAt),
  'envoy/mcp-metadata.ts mcpReadingsFrom': (text) =>
    mcpReadingsFrom({ mcp_proxy: { fields: { status: { stringValue: text }, [text]: { stringValue: text } } } }),
  'envoy/own-copy.ts ownCopyOf': bytes(ownCopyOf),
  'envoy/peer-certificate.ts peerCertificateFrom': (text) => peerCertificateFrom(text, undefined, 'peer'),
  'envoy/request.ts checkFactsFrom': {
    header: (text) => facts('', { headers: { ...asking, 'x-a': text } }),
    'header names': (text) => facts('', { headers: { ...asking, [`x-${text}`]: 'a' } }),
    body: (text) => facts('', { body: text, headers: { ...asking, 'x-envoy-auth-partial-body': 'false' } }),
    trace: (text) => facts(text, {}),
    path: (text) => facts('', { path: `/${text}` }),
  },
  'http2/frame-reader.ts FrameReader': bytes((of) => new FrameReader().read(of, () => true)),
  'http2/header-decoder.ts HeaderDecoder': {
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
  'http2/header-field.ts fieldOf': (text) => fieldOf(text, text),
  'http2/header-field.ts fieldNamedAs': (text) => fieldNamedAs(fieldOf(text, ''), text),
  'http2/huffman.ts decodeHuffman': bytes((of) => decodeHuffman(of, 0, of.length, Buffer.alloc(of.length * 2))),
  'http2/padding.ts unpadded': bytes((of) => unpadded(of, 0x8)),
  'http2/request-head.ts requestHeadFrom': (text) =>
    requestHeadFrom([
      fieldOf(':method', 'GET'),
      fieldOf(':path', text),
      ...text
        .slice(0, 128)
        .split('')
        .map((one) => fieldOf('a', one)),
      fieldOf('b', text),
    ]),
  'http2/request-head.ts contentLengthOf': (text) =>
    contentLengthOf({ method: 'POST', path: '/', headers: new Map([['content-length', text]]) }),
  'http2/settings.ts settingsFrom': bytes(settingsFrom),
  'identity/caller.ts callerFrom': {
    principal: (text) => callerFrom({ principal: text, certificate: '', xfcc: [] }, rules, 0),
    path: (text) => callerFrom({ principal: `spiffe://acme.test/${text}`, certificate: text, xfcc: [] }, rules, 0),
    xfcc: (text) =>
      callerFrom(
        { principal: proxy, certificate: '', xfcc: [`By=${proxy};URI=${text}`] },
        { ...rules, mode: 'xfcc' },
        0,
      ),
  },
  'identity/certificate-extensions.ts extensionsFrom': bytes(extensionsFrom),
  'identity/certificate-extensions.ts uriNamesIn': bytes(uriNamesIn),
  'identity/certificate-extensions.ts sequenceIn': bytes(sequenceIn),
  'identity/certificate-extensions.ts elementsIn': bytes(elementsIn),
  'identity/leaf-certificate.ts leafFromUrlEncodedPem': {
    text: leafFromUrlEncodedPem,
    content: (text) => leafFromUrlEncodedPem(`-----BEGIN CERTIFICATE-----%0A${text}%0A-----END CERTIFICATE-----%0A`),
  },
  'identity/leaf-certificate.ts leafFromPem': {
    text: leafFromPem,
    content: (text) => leafFromPem(`-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`),
  },
  'identity/leaf-certificate.ts leafFromDer': bytes(leafFromDer),
  'identity/refused-caller.ts refusedCallerFrom': {
    principal: (text) => refusedCallerFrom({ principal: text, certificate: '', xfcc: [] }, rules, null),
    xfcc: (text) => refusedCallerFrom({ principal: '', certificate: text, xfcc: [text] }, { mode: 'xfcc' }, null),
  },
  'identity/spiffe-id.ts spiffeIdFrom': {
    text: spiffeIdFrom,
    path: (text) => spiffeIdFrom(`spiffe://acme.test/${text}`),
  },
  'identity/spiffe-id.ts trustDomainFrom': trustDomainFrom,
  'identity/xfcc.ts xfccFrom': {
    text: xfccFrom,
    value: (text) => xfccFrom(`By=a;URI=${text}`),
    quoted: (text) => xfccFrom(`By=a;Subject="${text}`),
  },
  'ledger/canonical-json.ts canonicalFrom': {
    bytes: bytes(canonicalFrom),
    string: (text) => canonicalFrom(Buffer.from(JSON.stringify({ a: text }))),
  },
  // Beyond the length from which on it is digested: below, it is not read at all.
  'ledger/record.ts recordText': (text) => recordText(`${'x'.repeat(2_048)}${text}`),
  'ledger/timeline-text.ts aligned': (text) => aligned([[text, text]]),
  'ledger/timeline-text.ts printable': printable,
  'protobuf/fields.ts eachField': bytes((of) => eachField(of, { from: 0, to: of.length }, () => null)),
  'protobuf/fields.ts eachVarint': bytes((of) => eachVarint(of, { from: 0, to: of.length }, () => null)),
  'protobuf/utf8.ts utf8From': bytes(utf8From),
  'protobuf/writer.ts ProtobufWriter': (text) => {
    const into = new ProtobufWriter();
    into.text(1, text);
    return into.bytes;
  },
  'runtime/edit-distance.ts changesWithin': (text) => changesWithin(text, `${text.slice(0, 60)}x${text.slice(60)}`, 3),
  'runtime/without-end.ts withoutEnd': (text) => withoutEnd(text, '/'),
};

/** Files and exports of these rooms that read no caller's text by themselves, with what they read or who reads for them. */
export const notAtTheEdge: Readonly<Record<string, string>> = {
  'agent-run/forward/mesh-route.ts clearWay': 'the configuration of the Envoy of the own pod',
  'agent-run/forward/agent-card.ts agentCardUrls': 'an answer of the upstream, at most 1 MiB',
  'agent-run/forward/endpoint-event.ts': 'an answer of the upstream',
  'agent-run/forward/forward-option.ts': 'options of a command',
  'agent-run/forward/forward-target.ts': 'options of a command',
  'agent-run/forward/held-start.ts': 'an answer of the upstream',
  'agent-run/forward/http1-answer.ts': 'an answer of the upstream',
  'agent-run/forward/http2-body.ts': 'keeps bytes and reads none',
  'agent-run/forward/listener.ts': 'sockets; requests are read by gated',
  'agent-run/forward/local-answer.ts': 'texts of our own',
  'agent-run/forward/places.ts': 'sockets',
  'agent-run/forward/request-body.ts': 'keeps bytes and reads none',
  'envoy/call-name.ts callNameOf': 'numbers and an address, which Envoy says',
  'agent-run/forward/upstream-connections.ts': 'sockets',
  'agent-run/forward/upstream-failure.ts': 'texts of our own',
  'agent-run/forward/upstream-sessions.ts': 'sockets',
  'envoy/authorization.ts': 'called with what the readers gave',
  'envoy/byte-budget.ts': 'counts',
  'envoy/call-watch.ts': 'times',
  'envoy/check-call.ts': 'a call; its message is read by GrpcMessages',
  'envoy/check-queue.ts': 'a queue',
  'envoy/denial-body.ts': 'reasons and facts that are cut to 256 characters',
  'envoy/entry-reader.ts': 'called by servedCallFrom',
  'envoy/grpc-messages.ts framed': 'our own answers',
  'envoy/grpc-server.ts': 'the configuration, and calls',
  'envoy/health.ts': 'the name of one service, compared',
  'envoy/http2-call.ts': 'our own answers',
  'envoy/log-stream.ts': 'called with what logMessageFrom gave',
  'envoy/network/callers.ts': 'certificates of proxies that mutual TLS has verified',
  'envoy/network/network-server.ts': 'calls of verified proxies',
  'envoy/server.ts': 'calls; their messages are read by the readers here',
  'envoy/taken-sockets.ts': 'addresses of the configuration',
  'envoy/wire-reader.ts': 'called by decodedCheckRequestFrom',
  'http2/connection.ts': 'a socket; its bytes are read by FrameReader and HeaderDecoder',
  'http2/frame.ts': 'our own frames',
  'http2/header-block.ts': 'our own headers',
  'http2/header-blocks.ts': 'called by a session with fragments that it bounds',
  'http2/header-field.ts fieldSize': 'counts',
  'http2/request-head.ts areTrailers': 'looks at first characters',
  'http2/header-table.ts': 'called by HeaderDecoder',
  'http2/incoming.ts': 'bytes that are handed on',
  'http2/outgoing.ts': 'our own answers',
  'http2/receive-window.ts': 'counts',
  'http2/reset-memory.ts': 'numbers',
  'http2/server.ts': 'sockets',
  'http2/session.ts': 'frames, by the readers here',
  'http2/stream.ts': 'bytes that are handed on',
  'identity/certificate-list.ts': 'certificates of the operator and of SPIRE',
  'identity/key-proof.ts': 'rows of the database, at most 32 KiB',
  'identity/held-svid.ts': 'our own SVID',
  'identity/small-file.ts': 'files of the operator',
  'identity/svid-files.ts': 'files of the operator',
  'identity/workload-api-address.ts': 'the configuration',
  'identity/workload-api-response.ts': 'answers of SPIRE',
  'identity/workload-api-stream.ts': 'answers of SPIRE',
  'identity/workload-api.ts': 'answers of SPIRE',
  'decide/decided-check.ts': 'calls shownText for paths, names and details',
  'protobuf/reader.ts': 'called by decodedCheckRequestFrom and servedCallFrom',
};

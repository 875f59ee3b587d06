import { placeInParams } from '../../src/core/action/a2a/a2a-methods.ts';
import { actionFrom } from '../../src/core/action/action.ts';
import { otherArgument } from '../../src/core/action/arguments/argument-refusal.ts';
import { areTooLong, argumentFromJson, argumentFromText } from '../../src/core/action/arguments/argument.ts';
import { hasBody, isMethodWithBody, unreadBodyProblem } from '../../src/core/action/http/body.ts';
import { callShapeOf } from '../../src/core/action/call-shape.ts';
import type { HttpCall } from '../../src/core/action/http/call.ts';
import { textOfBytes } from '../../src/core/action/arguments/bytes-text.ts';
import { isAllNamed, otherPlaceIn } from '../../src/core/action/arguments/closed-arguments.ts';
import { amountOf } from '../../src/core/action/budget/budget.ts';
import { decimalFrom } from '../../src/core/action/budget/decimal.ts';
import { denialFormOf } from '../../src/core/action/denial-form.ts';
import { deniedActionOf } from '../../src/core/action/denied-action.ts';
import { deniedCallFrom } from '../../src/core/action/denied-call.ts';
import { passingHeaders } from '../../src/core/action/secrets/excepted-secret.ts';
import { grpcMessageFrom } from '../../src/core/action/grpc/grpc-frame.ts';
import { exactJsonFrom, jsonArguments, protobufFolded } from '../../src/core/action/arguments/json-arguments.ts';
import { indexOf, pointerOf, stepsOf } from '../../src/core/action/arguments/json-pointer.ts';
import { jsonRpcFrom, lookalike, objectMembers } from '../../src/core/action/json-rpc.ts';
import { jwtEnd } from '../../src/core/action/secrets/jwt-life.ts';
import { keyShapeOf } from '../../src/core/action/secrets/key-shapes.ts';
import { looseSegment } from '../../src/core/action/catalog/loose-routes.ts';
import { mcpReadingProblem } from '../../src/core/action/mcp/mcp-cross-check.ts';
import { mcpHeaderText } from '../../src/core/action/mcp/mcp-header-text.ts';
import { headerOf, mcpHeaderProblem, mcpVersionProblem } from '../../src/core/action/mcp/mcp-headers.ts';
import { isMcpParamHeader, mcpParamProblem } from '../../src/core/action/mcp/mcp-param-headers.ts';
import { nearestId } from '../../src/core/action/catalog/nearest.ts';
import { parameterTypeFrom } from '../../src/core/action/catalog/parameter-type.ts';
import { isPlainKey, looseKey, namesMethod, rootOfKey } from '../../src/core/action/http/query-key.ts';
import { queryValues } from '../../src/core/action/http/query.ts';
import {
  cutText,
  isSecretArgument,
  isSecretHeader,
  sha256Of,
  shownText,
  staticSecretsIn,
} from '../../src/core/action/secrets/static-secret.ts';
import { hintAbove, hintOf, hintOfName, nestedNames } from '../../src/core/action/secrets/secret-name.ts';
import { uriPasswordsIn } from '../../src/core/action/secrets/uri-password.ts';
import { reasons } from '../../src/core/decision/reasons.ts';
import { carriedByHttp } from '../../src/core/action/http/http-carriers.ts';
import { otherHeaders } from '../../src/core/action/http/other-headers.ts';
import { mustCatalog } from '../builders/catalog.ts';
import { headersOf, httpCall } from '../builders/http-call.ts';
import { must } from '../builders/must.ts';
import { pieces } from './reader.ts';
import type { Readers } from './reader.ts';

const catalog = mustCatalog(
  `servers:
  web:
    hosts: [web.acme.test]
    audience: https://web.acme.test
    routes:
      - { action: items.all, method: GET, path: /v1/items/all, risk: low }
      - { action: items.read, method: GET, path: '/v1/items/{id}', risk: low }
      - action: items.write
        method: POST
        path: '/v1/items/{id:text}'
        risk: low
        body: json
        args:
          q: { from: query, maxBytes: 65536 }
          note: { from: body, maxBytes: 65536 }
  tools:
    hosts: [tools.acme.test]
    audience: https://tools.acme.test
    mcp:
      path: /mcp
      tools:
        note: { action: notes.write, risk: low, otherArguments: deny, args: { text: { maxBytes: 65536 } } }
        open: { action: notes.open, risk: low, args: { text: { maxBytes: 65536 } } }
      resources: { action: tools.read, risk: low }
      other: { action: tools.other, risk: low }
  peer:
    hosts: [peer.acme.test]
    audience: https://peer.acme.test
    a2a:
      path: /a2a
      send: { action: peer.send, risk: low, args: { text: { pointer: /message/parts/0/text, maxBytes: 65536 } } }
`,
);

const search = { nowMs: 0, digestOf: (): string => 'digest' };
const json = headersOf({ 'content-type': 'application/json' });
const posted = (host: string, path: string, body: unknown, change: Partial<HttpCall> = {}): HttpCall =>
  httpCall({ method: 'POST', host, path, headers: json, body: Buffer.from(JSON.stringify(body)), ...change });
const tool = (params: unknown): HttpCall =>
  posted('tools.acme.test', '/mcp', { jsonrpc: '2.0', id: 1, method: 'tools/call', params });
const web = (change: Partial<HttpCall>): HttpCall => ({
  ...posted('web.acme.test', '/v1/items/x', {}),
  ...change,
});
const a2a = (message: unknown): HttpCall =>
  posted('peer.acme.test', '/a2a', { jsonrpc: '2.0', id: 1, method: 'SendMessage', params: { message } });
const header = (name: string) => (text: string) => headersOf({ 'content-type': 'application/json', [name]: text });
const message = must(jsonRpcFrom(tool({ name: 'note', arguments: { text: 'x' } })));
const target = { kind: 'tool', name: 'note', arguments: new Map() } as const;
const acting = (call: HttpCall): unknown => actionFrom(call, catalog);
const openRoute = (() => {
  const at = catalog.serverAt('web.acme.test', ['v1', 'items', 'x']);
  const route = at.kind === 'server' ? catalog.find(at.server, 'POST', ['v1', 'items', 'x']) : undefined;
  if (route?.kind !== 'http') throw new Error('the catalog has no such route');
  return route.action;
})();
const form = (contentType: string, text: string): HttpCall =>
  web({ headers: headersOf({ 'content-type': contentType }), body: Buffer.from(text) });
const type = must(parameterTypeFrom('[a-z0-9-]{1,64}'));
const body = { type: 'string', maxBytes: 65_536, name: 'a', from: 'body', pointer: ['a'], required: false } as const;
const path = { type: 'string', maxBytes: 65_536, from: 'path' } as const;
const names = { wanted: ['q', 'filter[x]'], elsewhere: ['id'], takesOthers: true };
const nobody = { isMcp: true, isCut: false, fault: null, envelope: new Map(), params: new Map(), ref: new Map() };

/** The readers of `src/core/action`, with each place of a call that a caller's text reaches. */
export const actionReaders: Readers = {
  'core/action/a2a/a2a-methods.ts placeInParams': (text) => placeInParams({ pointer: [text] }, text),
  'core/action/a2a/a2a.ts a2aActionFrom': {
    text: (text) => acting(a2a({ parts: [{ text }] })),
    member: (text) => acting(a2a({ [text]: 1 })),
    members: (text) => acting(a2a(Object.fromEntries(pieces(text).map((one, at) => [`${one}${at}`, at])))),
  },
  'core/action/a2a/a2a-carriers.ts carriedByA2a': {
    metadata: (text) => acting(a2a({ metadata: { [text]: text }, extensions: pieces(text) })),
    parts: (text) => acting(a2a({ parts: pieces(text).map((piece) => ({ text: piece })) })),
  },
  'core/action/action.ts actionFrom': {
    host: (text) => acting(web({ host: text })),
    path: (text) => acting(web({ path: text, segments: text.split('/') })),
    'unknown path': (text) => acting(web({ path: `/x/${text}`, segments: ['x', ...text.split('/')] })),
    method: (text) => acting(web({ method: text })),
  },
  'core/action/call-shape.ts callShapeOf': {
    query: (text) => callShapeOf(web({ query: text }), sha256Of),
    'query key': (text) => callShapeOf(web({ query: `${text}=${text}` }), sha256Of),
    'content type': (text) => callShapeOf(web({ headers: header('content-type')(text) }), sha256Of),
    body: (text) => callShapeOf(web({ body: Buffer.from(text) }), sha256Of),
    'body member': (text) => callShapeOf(web({ body: Buffer.from(JSON.stringify({ a: { [text]: text } })) }), sha256Of),
    tool: (text) => callShapeOf(tool({ name: text, arguments: { [text]: text } }), sha256Of),
    method: (text) =>
      callShapeOf(web({ body: Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: text })) }), sha256Of),
  },
  'core/action/arguments/argument-refusal.ts otherArgument': (text) => otherArgument(text),
  'core/action/arguments/argument.ts argumentFromText': (text) => argumentFromText(path, text),
  'core/action/arguments/argument.ts argumentFromJson': {
    string: (text) => argumentFromJson(body, text),
    strings: (text) => argumentFromJson({ ...body, type: 'strings' }, pieces(text)),
    decimal: (text) => argumentFromJson({ ...body, type: 'decimal' }, text),
  },
  'core/action/arguments/argument.ts areTooLong': (text) => areTooLong(new Map([['a', pieces(text)]])),
  'core/action/http/body.ts isMethodWithBody': (text) => isMethodWithBody(text),
  'core/action/http/body.ts hasBody': (text) => hasBody({ headers: header('content-length')(text), body: null }),
  'core/action/http/body.ts unreadBodyProblem': (text) =>
    unreadBodyProblem('unstated', web({ headers: header('content-type')(text), body: Buffer.from('x') })),
  'core/action/arguments/closed-arguments.ts otherArgumentIn': (text) =>
    acting(tool({ name: 'note', arguments: { [text]: 1 } })),
  'core/action/arguments/bytes-text.ts textOfBytes': (text) => textOfBytes(Buffer.from(text, 'latin1')),
  'core/action/arguments/closed-arguments.ts isAllNamed': (text) =>
    isAllNamed({ [text]: 1 }, [text], [[text, text], ['a']]),
  'core/action/http/http-carriers.ts carriedByHttp': {
    query: (text) => carriedByHttp(web({ query: text }), openRoute, null),
    json: (text) => carriedByHttp(web({}), openRoute, { [text]: text }),
    'form field': (text) => carriedByHttp(form('application/x-www-form-urlencoded', text), openRoute, null),
    part: (text) => carriedByHttp(form('multipart/form-data', text), openRoute, null),
    parts: (text) =>
      carriedByHttp(form('multipart/form-data', pieces(text).join('\ncontent-disposition: ')), openRoute, null),
  },
  'core/action/http/other-headers.ts otherHeaders': {
    name: (text) => otherHeaders({ headers: headersOf({ [text]: 'x' }) }, 'mcp'),
    names: (text) =>
      otherHeaders({ headers: headersOf(Object.fromEntries(pieces(text).map((one) => [one, one]))) }, 'http'),
  },
  'core/action/arguments/closed-arguments.ts otherPlaceIn': (text) =>
    otherPlaceIn({ [text]: { [text]: 1 } }, [['a'], [text, 'b']]),
  'core/action/budget/budget.ts amountOf': (text) => amountOf({ decimal: text }, true),
  'core/action/budget/decimal.ts decimalFrom': (text) => decimalFrom(text),
  'core/action/denial-form.ts denialFormOf': (text) =>
    denialFormOf(deniedCallFrom(web({ headers: header('accept')(text) }), catalog), reasons['action.unknown']),
  'core/action/denied-action.ts deniedActionOf': {
    path: (text) =>
      deniedActionOf(deniedCallFrom(web({ method: 'GET', path: `/v1/items/x/${text}` }), catalog), catalog),
    tool: (text) => deniedActionOf(deniedCallFrom(tool({ name: text }), catalog), catalog),
  },
  'core/action/denied-call.ts deniedCallFrom': (text) => deniedCallFrom(tool({ name: text }), catalog),
  'core/action/secrets/excepted-secret.ts passingHeaders': (text) => {
    const call = { headers: headersOf({ authorization: `Basic ${text}` }) };
    const secrets = staticSecretsIn({ ...call, query: '', segments: [] }, search);
    const exceptions = [
      { digest: null, header: null, untilMs: 1, owner: 'us', place: { file: 'a.yaml', line: 1, column: 1 } },
    ];
    return passingHeaders(call, secrets, { exceptions, nowMs: 0 });
  },
  'core/action/grpc/grpc-frame.ts grpcMessageFrom': (text) => grpcMessageFrom(Buffer.from(text)),
  'core/action/http/http.ts httpActionFrom': {
    query: (text) => acting(web({ query: text })),
    'query argument': (text) => acting(web({ query: `q=${text}` })),
    'path argument': (text) => acting(web({ segments: ['v1', 'items', text] })),
    'lookalike path': (text) => acting(web({ method: 'GET', segments: ['v1', 'items', text] })),
    'content type': (text) => acting(web({ headers: header('content-type')(text) })),
    body: (text) => acting(web({ body: Buffer.from(text) })),
    'body member': (text) => acting(web({ body: Buffer.from(JSON.stringify({ note: text, [text]: text })) })),
  },
  'core/action/arguments/json-arguments.ts exactJsonFrom': {
    text: (text) => exactJsonFrom(Buffer.from(text)),
    string: (text) => exactJsonFrom(Buffer.from(JSON.stringify([text, 1e30]))),
    number: (text) => exactJsonFrom(Buffer.from(`[1${text}]`)),
    numbers: (text) => exactJsonFrom(Buffer.from(`[${pieces(text).fill('1e5').join()}]`)),
    members: (text) =>
      exactJsonFrom(
        Buffer.from(
          `{${pieces(text)
            .map((_, at) => `"a${at}":1`)
            .join()}}`,
        ),
      ),
  },
  'core/action/arguments/json-arguments.ts jsonArguments': {
    value: (text) => jsonArguments([body], { a: text }),
    member: (text) => jsonArguments([body], { [text]: 1, [text.toUpperCase()]: 1 }),
  },
  'core/action/arguments/json-arguments.ts protobufFolded': (text) => protobufFolded(text),
  'core/action/arguments/json-pointer.ts stepsOf': (text) => stepsOf(text),
  'core/action/arguments/json-pointer.ts pointerOf': (text) => pointerOf(pieces(text)),
  'core/action/arguments/json-pointer.ts indexOf': (text) => indexOf(text),
  'core/action/json-rpc.ts jsonRpcFrom': {
    text: (text) => jsonRpcFrom(posted('tools.acme.test', '/mcp', null, { body: Buffer.from(text) })),
    member: (text) => jsonRpcFrom(posted('tools.acme.test', '/mcp', { [text]: 1 })),
    method: (text) => jsonRpcFrom(posted('tools.acme.test', '/mcp', { jsonrpc: '2.0', id: 1, method: text })),
    id: (text) => jsonRpcFrom(posted('tools.acme.test', '/mcp', { jsonrpc: '2.0', id: text, method: 'ping' })),
    'content type': (text) => jsonRpcFrom({ ...tool({}), headers: header('content-type')(text) }),
  },
  'core/action/json-rpc.ts objectMembers': (text) => objectMembers({ [text]: text }),
  'core/action/json-rpc.ts lookalike': (text) => lookalike([text, ...pieces(text)], ['name', 'arguments']),
  'core/action/secrets/jwt-life.ts jwtEnd': { text: (text) => jwtEnd(text), payload: (text) => jwtEnd(`eyJ.${text}.`) },
  'core/action/secrets/key-shapes.ts keyShapeOf': {
    text: (text) => keyShapeOf(text),
    'after a prefix': (text) => keyShapeOf(`sk-${text}`),
  },
  'core/action/catalog/loose-routes.ts looseSegment': (text) => looseSegment(text),
  'core/action/mcp/mcp-cross-check.ts mcpReadingProblem': {
    fault: (text) => mcpReadingProblem([{ ...nobody, fault: text }], message),
    name: (text) =>
      mcpReadingProblem(
        [
          {
            ...nobody,
            envelope: new Map<string, string | number>([
              ['method', 'tools/call'],
              ['id', 1],
            ]),
            params: new Map([[text, text]]),
          },
        ],
        message,
      ),
  },
  'core/action/mcp/mcp-header-text.ts mcpHeaderText': {
    text: (text) => mcpHeaderText(text),
    wrapped: (text) => mcpHeaderText(`=?base64?${text}?=`),
  },
  'core/action/mcp/mcp-headers.ts mcpVersionProblem': (text) => mcpVersionProblem(header('mcp-protocol-version')(text)),
  'core/action/mcp/mcp-headers.ts mcpHeaderProblem': (text) =>
    mcpHeaderProblem(header('mcp-name')(text), message, target),
  'core/action/mcp/mcp-headers.ts headerOf': (text) => headerOf(header('mcp-name')(text), text),
  'core/action/mcp/mcp-param-headers.ts isMcpParamHeader': (text) => isMcpParamHeader(text),
  'core/action/mcp/mcp-param-headers.ts mcpParamProblem': {
    value: (text) =>
      mcpParamProblem(header('mcp-param-a')(text), { sent: new Map([['a', text]]), args: new Map(), specs: [] }),
    name: (text) =>
      mcpParamProblem(header(`mcp-param-${text}`)('x'), { sent: new Map([[text, 'x']]), args: new Map(), specs: [] }),
  },
  'core/action/mcp/mcp-target.ts mcpTargetFrom': {
    tool: (text) => acting(tool({ name: text })),
    uri: (text) =>
      acting(
        posted('tools.acme.test', '/mcp', { jsonrpc: '2.0', id: 1, method: 'resources/read', params: { uri: text } }),
      ),
    parameter: (text) => acting(tool({ name: 'note', [text]: 1 })),
    reference: (text) =>
      acting(
        posted('tools.acme.test', '/mcp', {
          jsonrpc: '2.0',
          id: 1,
          method: 'completion/complete',
          params: { ref: { type: 'ref/prompt', name: text, [text]: 1 } },
        }),
      ),
    meta: (text) =>
      acting(tool({ name: 'note', _meta: { [text]: text, 'io.modelcontextprotocol/protocolVersion': text } })),
  },
  'core/action/mcp/mcp.ts mcpActionFrom': {
    argument: (text) => acting(tool({ name: 'open', arguments: { text } })),
    'argument name': (text) => acting(tool({ name: 'open', arguments: { [text]: 1 } })),
    method: (text) => acting(posted('tools.acme.test', '/mcp', { jsonrpc: '2.0', id: 1, method: `x/${text}` })),
    header: (text) => acting({ ...tool({ name: 'open' }), headers: header('mcp-name')(text) }),
  },
  'core/action/catalog/nearest.ts nearestId': (text) => nearestId(text, ['payments.create', text.slice(1)]),
  'core/action/catalog/parameter-type.ts parameterTypeFrom': (text) => type.accepts(text),
  'core/action/http/query-key.ts isPlainKey': (text) => isPlainKey(text),
  'core/action/http/query-key.ts looseKey': (text) => looseKey(text),
  'core/action/http/query-key.ts rootOfKey': (text) => rootOfKey(text),
  'core/action/http/query-key.ts namesMethod': {
    text: (text) => namesMethod(text),
    escaped: (text) => namesMethod(`method%${text}`),
  },
  'core/action/http/query.ts queryValues': {
    text: (text) => queryValues(text, names),
    value: (text) => queryValues(`q=${text}`, names),
  },
  'core/action/secrets/static-secret.ts staticSecretsIn': {
    header: (text) => staticSecretsIn({ headers: headersOf({ 'x-a': text }), query: '', segments: [] }, search),
    'header for keys': (text) =>
      staticSecretsIn(
        { headers: headersOf({ 'x-api-key': text, authorization: text }), query: '', segments: [] },
        search,
      ),
    query: (text) => staticSecretsIn({ headers: new Map(), query: text, segments: [] }, search),
    segments: (text) => staticSecretsIn({ headers: new Map(), query: '', segments: text.split('/') }, search),
  },
  'core/action/secrets/static-secret.ts shownText': (text) => shownText(text, search.digestOf),
  'core/action/secrets/secret-name.ts nestedNames': (text) => nestedNames(text),
  'core/action/secrets/secret-name.ts hintOfName': (text) => hintOfName(text),
  'core/action/secrets/secret-name.ts hintOf': (text) => hintOf(text),
  'core/action/secrets/secret-name.ts hintAbove': (text) => hintAbove(text),
  'core/action/secrets/static-secret.ts isSecretArgument': (text) => isSecretArgument('secret-if-random', text),
  'core/action/secrets/static-secret.ts isSecretHeader': (text) => isSecretHeader('x-note', text),
  'core/action/secrets/static-secret.ts cutText': (text) => cutText(text, 200),
  'core/action/secrets/static-secret.ts sha256Of': (text) => sha256Of(text),
  'core/action/secrets/uri-password.ts uriPasswordsIn': (text) => uriPasswordsIn(text, 16),
};

/** Files and exports of `src/core/action` that read no caller's text, with what they read. */
export const notOfCallers: Readonly<Record<string, string>> = {
  'core/action/catalog/catalog-file.ts isHost': 'the operator’s file',
  'core/action/a2a/a2a-carriers.ts carrierProblem': 'called by a2aActionFrom',
  'core/action/catalog/attributes.ts': 'the catalog, a file of the operator',
  'core/action/catalog/catalog-arguments.ts': 'the catalog',
  'core/action/catalog/catalog-assembly.ts': 'the catalog',
  'core/action/catalog/catalog-descriptor-sets.ts': 'the catalog',
  'core/action/catalog/catalog-head.ts': 'the catalog',
  'core/action/catalog/catalog-protocols.ts': 'the catalog',
  'core/action/catalog/catalog-remarks.ts': 'the catalog',
  'core/action/catalog/named-values.ts': 'the catalog',
  'core/action/grpc/protobuf/descriptor-set.ts': 'descriptor sets of the catalog',
  'core/action/grpc/protobuf/message-json.ts': 'test cases of policies',
  'core/action/grpc/protobuf/message-shape.ts': 'descriptor sets of the catalog',
  'core/action/catalog/server-places.ts': 'the catalog',
  'core/action/catalog/template.ts': 'the catalog',
  'core/action/catalog/yaml-file.ts': 'the catalog',
  'core/action/catalog/loose-routes.ts LooseRoutes': 'called by actionFrom',
  'core/action/catalog/route-table.ts': 'called by actionFrom',
  'core/action/catalog/routes.ts': 'called by actionFrom',
  'core/action/catalog/server-table.ts': 'called by actionFrom',
};

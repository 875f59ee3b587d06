import type { CallShape } from '../../core/action/call-shape.ts';
import type { Catalog } from '../../core/action/catalog/catalog.ts';
import type { Attempt } from '../policy/cases/test-case.ts';
import type { LearntCall } from './learnt-call.ts';
import { membersIn } from './read-shape.ts';
import { sampleObject, sampleQuery } from './sample-call.ts';
import { isSessionMethod } from './seen/seen-host.ts';

/** The attempt of a recorded call: what its record has, and made-up values that the catalog needs to match the call. */
export function recordedAttempt(call: LearntCall, catalog: Catalog): Attempt {
  const { host, method, path, shape, action, args = {} } = call;
  const known = action === null ? undefined : catalog.actions.get(action);
  if (known !== undefined) {
    const sent = Object.entries(args).filter(([name]) => known.args.some((spec) => spec.name === name));
    return { kind: 'action', action: known.id, args: Object.fromEntries(sent) };
  }
  const found = catalog.serverAt(host, path.slice(1).split('/'));
  const server = found.kind === 'server' ? found.server : null;
  const target = server === null ? undefined : catalog.find(server, 'POST', path.slice(1).split('/'));
  if (target?.kind === 'mcp' && (shape.protocol === 'mcp' || shape.rpc === undefined))
    return mcpAttempt(target.mcp.session.id, call, server?.id ?? null);
  if (target?.kind === 'a2a' && shape.rpc !== undefined) {
    const action = target.a2a.methods.get(shape.rpc.method);
    if (action !== undefined) return { kind: 'action', action: action.id, args: {} };
  }
  return {
    kind: 'call',
    method,
    url: `https://${host}${path}${sampleQuery(shape.query)}`,
    ...contentOf(method, shape),
  };
}

/** Methods that the catalog decides by what was called, or listened to, before. No record says so: they are tried as the session. */
const OF_EARLIER_CALLS = /^(?:tasks\/.*|subscriptions\/listen)$/;

/** Parameters with which any other method is about some resource or prompt. */
const SAMPLE_PARAMS = {
  uri: 'x:y',
  name: 'x',
  ref: { type: 'ref/prompt', name: 'x' },
  argument: { name: 'x', value: 'x' },
};

function mcpAttempt(session: string, { method, shape }: LearntCall, server: string | null): Attempt {
  const { rpc } = shape;
  if (rpc === undefined || method !== 'POST' || isSessionMethod(rpc.method) || OF_EARLIER_CALLS.test(rpc.method))
    return { kind: 'action', action: session, args: {} };
  if (rpc.tool === null) return { kind: 'mcp', server, method: rpc.method, params: SAMPLE_PARAMS };
  const given = sampleObject(membersIn(shape));
  return { kind: 'mcp', server, method: rpc.method, params: { name: rpc.tool, arguments: given } };
}

/** An empty message of gRPC: not compressed, of no length. */
const EMPTY_FRAME = new Uint8Array(5);

function contentOf(
  method: string,
  shape: CallShape,
): Pick<Extract<Attempt, { readonly kind: 'call' }>, 'headers' | 'body'> {
  const { protocol, rpc } = shape;
  const members = membersIn(shape);
  if (protocol === 'grpc')
    return {
      headers: [
        ['content-type', 'application/grpc'],
        ['te', 'trailers'],
      ],
      body: EMPTY_FRAME,
    };
  if (method === 'GET' || method === 'HEAD' || (members.length === 0 && rpc === undefined))
    return { headers: [], body: null };
  const body = rpc === undefined ? sampleObject(members) : { jsonrpc: '2.0', id: 1, method: rpc.method, params: {} };
  return { headers: [['content-type', 'application/json']], body: Buffer.from(JSON.stringify(body)) };
}

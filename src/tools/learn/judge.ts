import type { CallShape } from '../../core/action/call-shape.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../core/identity/spiffe-id.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { AuthorizationDetail } from '../../core/token/authorization-details.ts';
import { rehearse } from '../policy/cases/rehearse.ts';
import { plainCircumstances, plainTask } from '../policy/cases/test-case.ts';
import type { Attempt, CaseCircumstances } from '../policy/cases/test-case.ts';
import type { LearntCall } from './learnt-call.ts';
import { membersIn } from './read-shape.ts';
import { sampleObject, sampleQuery } from './sample-call.ts';
import { seenAgain } from './sightings.ts';
import type { Sightings } from './sightings.ts';

/** What the learnt set decides of a call; `null` reason if it allows it. */
export interface JudgedCall {
  readonly reason: string | null;
  /** The action, or the call if no action is its own. */
  readonly what: string;
}

/** Calls that would be denied, alike in agent, reason and action. */
export interface DeniedCalls {
  readonly agent: string;
  readonly reason: string;
  readonly what: string;
  readonly seen: Sightings;
}

const MAX_MEMORY = 4_000;
const MAX_GROUPS = 1_000;

/** Decides recorded calls by a learnt policy set and the learnt intents, with the engine in use. */
export class CallJudge {
  calls = 0;
  allowed = 0;
  readonly #set: PolicySet;
  readonly #intents: ReadonlyMap<string, readonly AuthorizationDetail[]>;
  readonly #memory = new Map<string, JudgedCall>();
  readonly #denied = new Map<string, DeniedCalls>();

  /** @param intents what the intent of each agent grants */
  constructor(set: PolicySet, intents: ReadonlyMap<string, readonly AuthorizationDetail[]>) {
    this.#set = set;
    this.#intents = intents;
  }

  add(call: LearntCall): JudgedCall {
    const { agent, at, method, host, path, shape } = call;
    const key = JSON.stringify([agent, method, host, path, shape]);
    const judged = this.#memory.get(key) ?? this.#judged(call);
    if (this.#memory.size >= MAX_MEMORY) this.#memory.clear();
    this.#memory.set(key, judged);
    this.calls += 1;
    if (judged.reason === null) this.allowed += 1;
    else this.#note({ agent, reason: judged.reason, what: judged.what }, at);
    return judged;
  }

  /** What would be denied, most often first. */
  get denied(): readonly DeniedCalls[] {
    return [...this.#denied.values()].toSorted((one, other) => other.seen.count - one.seen.count);
  }

  #note(of: Omit<DeniedCalls, 'seen'>, atMs: number): void {
    const key = JSON.stringify([of.agent, of.reason, of.what]);
    const known = this.#denied.get(key);
    if (known === undefined && this.#denied.size >= MAX_GROUPS) return;
    this.#denied.set(key, { ...of, seen: seenAgain(known?.seen, atMs) });
  }

  #judged(call: LearntCall): JudgedCall {
    const what = `${call.method} ${call.host}${call.path}`;
    const agent = spiffeIdFrom(call.agent);
    if (isDeny(agent)) return { reason: agent.reason, what };
    const attempt = attemptOf(call, this.#set);
    const plain = plainCircumstances(agent);
    const granted: CaseCircumstances = {
      ...plain,
      task: { ...plainTask, details: this.#intents.get(call.agent) ?? [] },
    };
    // First by the policies alone, so that the reason says what is missing.
    for (const circumstances of [plain, granted]) {
      const rehearsal = rehearse(attempt, circumstances, this.#set);
      if (isProblem(rehearsal)) return { reason: 'action.unknown', what };
      const { decision, target } = rehearsal;
      if (isDeny(decision)) return { reason: decision.reason, what: target?.action.id ?? what };
    }
    return { reason: null, what };
  }
}

/** The call with made-up values: what a record has of it, and what the learnt catalog needs to know it. */
function attemptOf(call: LearntCall, { catalog }: PolicySet): Attempt {
  const { host, method, path, shape } = call;
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

function mcpAttempt(session: string, { method, shape }: LearntCall, server: string | null): Attempt {
  const { rpc } = shape;
  if (
    rpc === undefined ||
    method !== 'POST' ||
    (rpc.tool === null && !/^(?:resources\/read|prompts\/get)$/.test(rpc.method))
  )
    return { kind: 'action', action: session, args: {} };
  if (rpc.tool === null) return { kind: 'mcp', server, method: rpc.method, params: { uri: 'x:y', name: 'x' } };
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

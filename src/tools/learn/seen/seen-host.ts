import { SEND_METHODS } from '../../../core/action/a2a/a2a-methods.ts';
import type { SeenCall } from '../learnt-call.ts';
import { PathTrie } from './path-trie.ts';
import { CALLS_BYTES, textBytes } from './room.ts';
import type { Room } from './room.ts';
import { SeenCalls } from './seen-calls.ts';

/** Most endpoints of MCP servers or A2A agents at one host, and most that one agent is the first to call. */
const MAX_ENDPOINTS = 16;
const MAX_ENDPOINTS_AN_AGENT = 4;
const MAX_ENDPOINT_PATH = 256;

/** What a JSON-RPC call is to its endpoint: the session, a tool, or a method by name. */
export type EndpointPart = 'session' | 'send' | `tool ${string}` | `method ${string}`;

/** An MCP server or an A2A agent at a path of a host. */
export interface SeenEndpoint {
  readonly protocol: 'mcp' | 'a2a';
  readonly path: string;
  readonly parts: Map<EndpointPart, SeenCalls>;
}

/** What was seen of one host. Bounded: what there is no room for is refused. */
export class SeenHost {
  readonly #room: Room;
  readonly #trie: PathTrie;
  readonly #endpoints = new Map<string, SeenEndpoint>();
  /** How many of them each agent was the first to call. */
  readonly #founded = new Map<string, number>();
  readonly #grpc = new Map<string, SeenCalls>();
  readonly #operations = new Map<string, SeenCalls>();

  constructor(room: Room) {
    this.#room = room;
    this.#trie = new PathTrie(room);
  }

  /** Adds a call; why it is left out, if it is. */
  add(call: SeenCall): string | null {
    const { protocol } = call.shape;
    if (protocol === 'mcp' || protocol === 'a2a') return this.#addRpc(call, protocol);
    if (protocol !== 'grpc') return this.#trie.add(call) ? null : FULL;
    return GRPC_PATH.test(call.path) ? this.#addTo(this.#grpc, call.path.slice(1), call) : NAMELESS;
  }

  /** Adds a call to an operation of an API description. */
  addOperation(id: string, call: SeenCall): string | null {
    return this.#addTo(this.#operations, id, call);
  }

  /** The routes of calls that are neither gRPC, MCP nor A2A. Read it once, after the last `add`, as `PathTrie.routes`. */
  get routes(): ReturnType<PathTrie['routes']> {
    return this.#trie.routes();
  }

  /** By path and protocol. */
  get endpoints(): Iterable<SeenEndpoint> {
    return this.#endpoints.values();
  }

  /** Methods of gRPC services, `package.Service/Method`. */
  get grpc(): ReadonlyMap<string, SeenCalls> {
    return this.#grpc;
  }

  /** Operations of an API description, by action id. */
  get operations(): ReadonlyMap<string, SeenCalls> {
    return this.#operations;
  }

  #addRpc(call: SeenCall, protocol: 'mcp' | 'a2a'): string | null {
    const { path, shape } = call;
    // Streams and the end of a session have no message.
    const part = shape.rpc === undefined ? 'session' : partOf(protocol, shape.rpc);
    if (protocol === 'a2a' && part === 'session') return 'to an A2A agent, without a method';
    if (!WIRE_NAME.test(part) || HIDDEN.test(part)) return NAMELESS;
    const key = `${protocol} ${path}`;
    const endpoint = this.#endpoints.get(key) ?? this.#founding(call, protocol);
    return endpoint === null ? FULL : this.#addTo(endpoint.parts, part, call);
  }

  /** A new endpoint; `null` if there is no room for it. */
  #founding({ agent, path }: SeenCall, protocol: 'mcp' | 'a2a'): SeenEndpoint | null {
    const founded = this.#founded.get(agent) ?? 0;
    if (this.#endpoints.size >= MAX_ENDPOINTS || founded >= MAX_ENDPOINTS_AN_AGENT || path.length > MAX_ENDPOINT_PATH)
      return null;
    this.#founded.set(agent, founded + 1);
    const endpoint: SeenEndpoint = { protocol, path, parts: new Map() };
    this.#endpoints.set(`${protocol} ${path}`, endpoint);
    return endpoint;
  }

  #addTo<Key extends string>(calls: Map<Key, SeenCalls>, key: Key, call: SeenCall): string | null {
    const known = calls.get(key);
    if (known === undefined && !this.#room.take(call.agent, CALLS_BYTES + textBytes(key))) return FULL;
    const seen = known ?? new SeenCalls();
    calls.set(key, seen);
    return seen.add(call, this.#room) ? null : FULL;
  }
}

/** A tool or a method whose name a catalog can have, after the word that says which it is. */
const WIRE_NAME = /^[\x20-\x7e]{1,128}$/;
/** A name that the record has as a digest, since it may be a secret. */
const HIDDEN = /\bsha-256:/;
const GRPC_PATH = /^\/[\w.]{1,128}\/\w{1,128}$/;
const NAMELESS = 'to a tool or a method whose name no catalog can have';

const FULL = 'of more different kinds than there is room for';

/** Methods that open, keep and list a session of MCP, which the catalog has as one action. */
const SESSION =
  /^(?:initialize|ping|server\/discover|logging\/setLevel|notifications\/.*|(?:tools|prompts|resources|resources\/templates)\/list)$/;

/** Whether a method belongs to the session. */
export const isSessionMethod = (method: string): boolean => SESSION.test(method);

/** Methods of MCP that become actions by themselves; all others become none. */
const OF_ACTIONS: ReadonlySet<string> = new Set(['resources/read', 'prompts/get']);

/** Whether a call to an MCP server becomes an action of a catalog: a tool, a resource, a prompt or the session. */
export const isOfMcpAction = ({ rpc }: SeenCall['shape']): boolean =>
  rpc === undefined ||
  (rpc.method === 'tools/call' ? rpc.tool !== null : OF_ACTIONS.has(rpc.method) || isSessionMethod(rpc.method));

function partOf(
  protocol: 'mcp' | 'a2a',
  { method, tool }: { readonly method: string; readonly tool: string | null },
): EndpointPart {
  if (protocol === 'a2a') return SEND_METHODS.includes(method) ? 'send' : `method ${method}`;
  if (method === 'tools/call' && tool !== null) return `tool ${tool}`;
  return isSessionMethod(method) ? 'session' : `method ${method}`;
}

/** A fleet of agents and what they do all day, by a seed. It knows nothing of what reads its records. */
import type { CallShape, MemberKinds } from '../../../src/core/action/call-shape.ts';
import type { UseRecord } from '../../../src/core/ledger/record.ts';
import { useRecord } from '../../builders/ledger-record.ts';

const DAY_MS = 86_400_000;
/** 1 November 2026. */
export const FLEET_START_MS = Date.UTC(2026, 10, 1);

/** One thing that can be done at a server. */
export interface FleetAction {
  readonly id: string;
  readonly host: string;
  readonly protocol: 'http' | 'mcp' | 'grpc' | 'a2a';
  /** A call to it, with values of its own. */
  readonly call: (draw: Draw) => FleetCall;
}

/** A call as a record has it. */
export interface FleetCall {
  readonly method: string;
  readonly path: string;
  readonly shape: CallShape;
}

/** What one agent is there for. */
export interface FleetAgent {
  readonly id: string;
  readonly habits: readonly FleetAction[];
  /** Done every second to fourth day. */
  readonly errands: readonly FleetAction[];
  /** Whether it also does what is none of its business. */
  readonly isAstray: boolean;
}

/** A whole fleet. */
export interface Fleet {
  readonly actions: readonly FleetAction[];
  readonly agents: readonly FleetAgent[];
}

/** One recorded call, with what is true of it. */
export interface FleetUse {
  readonly record: UseRecord;
  readonly action: FleetAction;
  readonly agent: FleetAgent;
  readonly isLegitimate: boolean;
}

/** A source of numbers by a seed (mulberry32). */
export class Draw {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 to 1, exclusive. */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  below(end: number): number {
    return Math.floor(this.unit() * end);
  }

  of<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to draw from');
    return item;
  }

  some<T>(items: readonly T[], count: number): readonly T[] {
    const left = [...items];
    return Array.from({ length: Math.min(count, left.length) }, () => left.splice(this.below(left.length), 1)).flat();
  }

  hex(length: number): string {
    return Array.from({ length }, () => this.below(16).toString(16)).join('');
  }
}

const NAMES =
  'orders customers invoices shipments products carts coupons tickets notes users teams projects boards tasks files folders reports metrics alerts budgets accounts ledgers quotes leads deals contacts campaigns pages posts comments'.split(
    ' ',
  );
const VERBS =
  'get list search find create update add close assign archive export summarize translate classify schedule approve comment label link rename'.split(
    ' ',
  );

/** What identifies a thing at a server: each collection has its own kind. */
const IDS: readonly ((draw: Draw) => string)[] = [
  (draw) => String(1 + draw.below(900_000)),
  (draw) => `${draw.hex(8)}-${draw.hex(4)}-4${draw.hex(3)}-a${draw.hex(3)}-${draw.hex(12)}`,
  (draw) => `${draw.hex(11)}a${draw.hex(10)}7${draw.hex(1)}`,
  (draw) => `acme-${draw.of(NAMES)}-${draw.below(4_000)}`,
  (draw) => `2026-${String(1 + draw.below(12)).padStart(2, '0')}-${String(1 + draw.below(28)).padStart(2, '0')}`,
];

const capital = (word: string): string => `${word.charAt(0).toUpperCase()}${word.slice(1)}`;

const http = (query: readonly string[] = [], members?: MemberKinds): CallShape => ({
  protocol: 'http',
  query,
  ...(members === undefined ? {} : { members }),
});

/** Eight collections with five actions each. */
function httpServer(host: string, draw: Draw): readonly FleetAction[] {
  const prefix = draw.of(['/api/v1', '/v2', '', '/rest']);
  return draw.some(NAMES, 8).flatMap((name) => {
    const id = draw.of(IDS);
    const sub = draw.of(NAMES);
    const body: MemberKinds = { title: 'string', count: 'integer', meta: { source: 'string', urgent: 'boolean' } };
    const verbs: readonly (readonly [string, (of: Draw) => FleetCall])[] = [
      [
        'list',
        (of) => ({ method: 'GET', path: `${prefix}/${name}`, shape: http(of.unit() < 0.3 ? ['page', 'size'] : []) }),
      ],
      ['read', (of) => ({ method: 'GET', path: `${prefix}/${name}/${id(of)}`, shape: http() })],
      [
        'create',
        (of) => ({
          method: 'POST',
          path: `${prefix}/${name}`,
          shape: http([], of.unit() < 0.4 ? body : { title: 'string', count: 'integer' }),
        }),
      ],
      [
        draw.unit() < 0.2 ? 'delete' : 'update',
        (of) => ({ method: 'PATCH', path: `${prefix}/${name}/${id(of)}`, shape: http([], { title: 'string' }) }),
      ],
      ['sub', (of) => ({ method: 'GET', path: `${prefix}/${name}/${id(of)}/${sub}`, shape: http() })],
    ];
    return verbs.map(([verb, call]) => {
      const isDelete = verb === 'delete';
      return {
        id: `${host} ${name}.${verb}`,
        host,
        protocol: 'http' as const,
        call: (of: Draw) => {
          const made = call(of);
          return isDelete ? { ...made, method: 'DELETE', shape: http() } : made;
        },
      };
    });
  });
}

function mcpServer(host: string, draw: Draw): readonly FleetAction[] {
  const path = draw.of(['/mcp', '/api/mcp']);
  const tools = draw.some(
    VERBS.flatMap((verb) => draw.some(NAMES, 4).map((name) => `${verb}_${name}`)),
    40,
  );
  return tools.map((tool) => ({
    id: `${host} ${tool}`,
    host,
    protocol: 'mcp' as const,
    call: (of: Draw) => ({
      method: 'POST',
      path,
      shape: {
        protocol: 'mcp',
        query: [],
        rpc: { method: 'tools/call', tool },
        members: { id: 'string', ...(of.unit() < 0.3 ? { limit: 'integer', filter: { state: 'string' } } : {}) },
      },
    }),
  }));
}

function grpcServer(host: string, draw: Draw): readonly FleetAction[] {
  return draw.some(NAMES, 6).flatMap((name) =>
    ['Get', 'List', 'Create'].map((verb) => ({
      id: `${host} ${verb}${capital(name)}`,
      host,
      protocol: 'grpc' as const,
      call: () => ({
        method: 'POST',
        path: `/acme.${name}.v1.${capital(name)}/${verb}${capital(name)}`,
        shape: { protocol: 'grpc', query: [] },
      }),
    })),
  );
}

const a2aServer = (host: string): readonly FleetAction[] =>
  ['message/send', 'tasks/get', 'tasks/cancel', 'tasks/list'].map((method) => ({
    id: `${host} ${method}`,
    host,
    protocol: 'a2a' as const,
    call: () => ({ method: 'POST', path: '/a2a', shape: { protocol: 'a2a', query: [], rpc: { method, tool: null } } }),
  }));

/** 30 agents in eight roles, and 400 actions at 12 servers: six of HTTP, three of MCP, two of gRPC, one of A2A. */
export function fleetOf(seed: number): Fleet {
  const draw = new Draw(seed);
  const servers = [
    ...Array.from({ length: 6 }, (_, n) => httpServer(`web-${n}.acme.test`, draw)),
    ...Array.from({ length: 3 }, (_, n) => mcpServer(`tools-${n}.acme.test`, draw)),
    ...Array.from({ length: 2 }, (_, n) => grpcServer(`rpc-${n}.acme.test`, draw)),
    a2aServer('peer.acme.test'),
  ];
  const actions = servers.flat();
  const roles = Array.from({ length: 8 }, () => {
    const mine = draw.some(servers, 4).flat();
    return { habits: draw.some(mine, 12 + draw.below(6)), errands: draw.some(mine, 4), rest: mine };
  });
  const agents = Array.from({ length: 30 }, (_, n): FleetAgent => {
    const role = roles[n % roles.length] ?? draw.of(roles);
    return {
      id: `spiffe://acme.test/ns/role-${n % roles.length}/sa/agent-${n}`,
      habits: [...role.habits, ...draw.some(role.rest, 2)],
      errands: [...role.errands, ...draw.some(role.rest, 1)],
      isAstray: n === 7,
    };
  });
  return { actions, agents };
}

/** Whether an action is an agent's business. */
export const isBusinessOf = ({ habits, errands }: FleetAgent, { id }: FleetAction): boolean =>
  [...habits, ...errands].some((action) => action.id === id);

/** What the fleet does in some days, in the order of time. */
export function usesOfFleet({ actions, agents }: Fleet, seed: number, days: number): readonly FleetUse[] {
  const draw = new Draw(seed);
  const uses: FleetUse[] = [];
  const add = (agent: FleetAgent, action: FleetAction, atMs: number): void => {
    const n = uses.length;
    uses.push({
      record: recordOf(agent.id, action, { draw, atMs, n }),
      action,
      agent,
      isLegitimate: isBusinessOf(agent, action),
    });
  };
  for (const agent of agents) {
    const dues = agent.errands.map((action) => ({ action, due: draw.below(2) }));
    for (let day = 0; day < days; day += 1) {
      const startMs = FLEET_START_MS + day * DAY_MS;
      const inDay = (): number => startMs + draw.below(DAY_MS);
      for (const action of agent.habits)
        for (let times = 1 + draw.below(4); times > 0; times -= 1) add(agent, action, inDay());
      for (const errand of dues) {
        if (errand.due > day) continue;
        add(agent, errand.action, inDay());
        errand.due = day + 2 + draw.below(3);
      }
      const others = agent.isAstray ? actions.filter((action) => !isBusinessOf(agent, action)) : [];
      for (const action of draw.some(others, agent.isAstray ? 3 : 0)) add(agent, action, inDay());
    }
  }
  return uses.toSorted((one, other) => one.record.at - other.record.at);
}

/** The record of an observed call that no catalog knows. */
export function recordOf(
  agent: string,
  action: FleetAction,
  { draw, atMs, n }: { readonly draw: Draw; readonly atMs: number; readonly n: number },
): FleetUse['record'] {
  const { method, path, shape } = action.call(draw);
  return useRecord({
    agent,
    at: atMs,
    credential: 'workload-identity',
    decisionId: `use-${n}`,
    host: action.host,
    method,
    mode: 'observe',
    path,
    policyGeneration: 1,
    shape,
    would: { decision: 'deny', reason: 'action.unknown', detail: null, policyIds: [] },
  });
}

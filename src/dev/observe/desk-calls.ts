/** The calls of the agents of the story: their work, and what is off it. */
import type { AgentCall } from '../agent.ts';
import type { AgentName } from './observed-host.ts';
import { TOOLS } from './observed-host.ts';

/** A call of an agent, with its name for people. */
export interface DeskCall extends Omit<AgentCall, 'host'> {
  readonly name: string;
  readonly method: string;
  readonly path: string;
}

const json = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

const get = (path: string): DeskCall => ({ name: `GET ${path}`, method: 'GET', path });

const note = (ticket: number): DeskCall => ({
  name: `POST /tickets/${ticket}/notes`,
  method: 'POST',
  path: `/tickets/${ticket}/notes`,
  headers: json,
  body: JSON.stringify({ text: 'seen' }),
});

const rpc = (name: string, message: object): DeskCall => ({
  name,
  method: 'POST',
  path: '/mcp',
  headers: json,
  body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
});

const tool = (name: string, args: object): DeskCall =>
  rpc(`MCP tool ${name}`, { method: 'tools/call', params: { name, arguments: args } });

const initialize = rpc('MCP initialize', {
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'digest', version: '1' } },
});

/** What an agent does in one round of its work, as it always did. */
export const workOf = (agent: AgentName, round: number): readonly DeskCall[] =>
  agent === 'digest'
    ? [initialize, tool('search_tickets', { query: 'open' }), tool('get_ticket', { ticket: 100 + round })]
    : [get('/tickets'), get(`/tickets/${100 + round}`), note(100 + round)];

/** What it never did: the calls of an agent that goes astray, by agent. The second is the work of another agent. */
export const STRAYS = {
  'triage-1': [
    { name: 'DELETE /tickets/101', method: 'DELETE', path: '/tickets/101' },
    tool('get_ticket', { ticket: 101 }),
  ],
  digest: [tool('delete_ticket', { ticket: 101 })],
} as const satisfies Partial<Record<AgentName, readonly DeskCall[]>>;

/** As a call through Envoy. */
export const throughEnvoy = ({ method, path, headers = {}, body }: DeskCall): AgentCall => ({
  host: TOOLS,
  method,
  path,
  headers,
  ...(body === undefined ? {} : { body }),
});

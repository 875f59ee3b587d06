import type { Bench } from './bench.ts';
import type { Load } from './load.ts';
import type { Caller, RemitUnderTest } from './remit-under-test.ts';

/** The tool servers of the shipped catalog, by audience. */
export const audiences = {
  files: 'https://files.acme.test',
  payments: 'https://payments.acme.test',
  tickets: 'https://tickets.acme.test',
} as const;

/** Live tokens shared by a load of repeated uses. */
const LIVE_TOKENS = 64;

const filesRead = { audience: audiences.files, actions: ['files.read'] } as const;
const files = { host: 'files.acme.test', method: 'GET' } as const;

/** Names are numbered over the whole run, so that none is repeated. */
let named = 0;
const newPath = (): string => `/v1/files/report-${(named += 1)}`;

/** Repeated uses of 64 live tokens on one path, by default those of the planner. */
export async function reuse({ domain }: Bench, issuer: RemitUnderTest, by: Caller = domain.planner): Promise<Load> {
  const tokens = await issuer.tokens(LIVE_TOKENS, { ...filesRead, by });
  return { ...files, xfcc: by.xfcc, calls: tokens.map((token) => ({ path: '/v1/files/report', token })) };
}

/** Uses of 64 live tokens, each on a new path that policies read, so that each needs a new decision. */
export async function newDecisions({ domain }: Bench, issuer: RemitUnderTest, count: number): Promise<Load> {
  const tokens = await issuer.tokens(LIVE_TOKENS, { ...filesRead, by: domain.planner });
  const calls = Array.from({ length: count }, (_, index) => ({
    path: newPath(),
    token: tokens[index % tokens.length] ?? '',
  }));
  return { ...files, xfcc: domain.planner.xfcc, calls, isOnce: true };
}

/** First uses of tokens on one path. */
export async function newTokens({ domain }: Bench, issuer: RemitUnderTest, count: number): Promise<Load> {
  const tokens = await issuer.tokens(count, { ...filesRead, by: domain.planner });
  const calls = tokens.map((token) => ({ path: '/v1/files/report', token }));
  return { ...files, xfcc: domain.planner.xfcc, calls, isOnce: true };
}

/** Uses of 64 live tokens whose tasks have a budget, so that each use is settled in the state file. */
export async function budgeted({ domain }: Bench, issuer: RemitUnderTest): Promise<Load> {
  const constraints = { max_calls: 1_000_000 };
  const tokens = await issuer.tokens(LIVE_TOKENS, { ...filesRead, constraints, by: domain.planner });
  return { ...files, xfcc: domain.planner.xfcc, calls: tokens.map((token) => ({ path: '/v1/files/report', token })) };
}

/** First uses of tokens, each on a new path. */
export async function cold(bench: Bench, issuer: RemitUnderTest, count: number): Promise<Load> {
  const load = await newTokens(bench, issuer, count);
  return { ...load, calls: load.calls.map(({ token }) => ({ path: newPath(), token })) };
}

/** Uses of 64 live tokens for an action of high risk, whose record is on disk before the answer. */
export async function highRisk({ domain }: Bench, issuer: RemitUnderTest): Promise<Load> {
  const tokens = await issuer.tokens(LIVE_TOKENS, {
    audience: audiences.payments,
    actions: ['payments.refund'],
    // The example policies permit high risk for a quarter of an hour.
    constraints: { not_after: Math.floor(Date.now() / 1_000) + 900 },
    by: domain.planner,
  });
  const calls = tokens.map((token) => ({ path: '/v1/payments/p-1/refund', token }));
  return { host: 'payments.acme.test', method: 'POST', xfcc: domain.planner.xfcc, calls };
}

export const toolMessage = (name: string, args: object): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name, arguments: args },
  });

const mcpMessage = (description: string): string => toolMessage('create_ticket', { title: 'a report', description });

/** Calls of an MCP tool, with messages of about `bytes` bytes. */
export const messages = (bench: Bench, issuer: RemitUnderTest, bytes: number): Promise<Load> =>
  toolCalls(bench, issuer, mcpMessage('x'.repeat(Math.max(1, bytes - mcpMessage('').length))));

/** Calls of an MCP tool with the message, by tokens whose intent has `tickets.create` alone. */
export async function toolCalls({ domain }: Bench, issuer: RemitUnderTest, body: string): Promise<Load> {
  const tokens = await issuer.tokens(LIVE_TOKENS, {
    audience: audiences.tickets,
    actions: ['tickets.create'],
    by: domain.planner,
  });
  const calls = tokens.map((token) => ({ path: '/mcp', token }));
  return { host: 'tickets.acme.test', method: 'POST', xfcc: domain.planner.xfcc, calls, body };
}

import { type A2aTestServer, startA2aServer } from '../e2e/a2a-server.ts';
import { type AgentDomain, startAgentDomain } from './agent-domain.ts';

const AUDIENCE = 'https://files.acme.test';

const ASKING = '{ kind: { pointer: /message/metadata/kind } }';
const CATALOG = `servers:
  trips:
    hosts: [files.acme.test, localhost]
    audience: ${AUDIENCE}
    routes:
      - { action: trips.card, method: GET, path: /.well-known/agent-card.json, risk: low }
    a2a:
      path: /a2a
      methods:
        SendMessage: { action: trips.ask, risk: low, args: ${ASKING} }
        SendStreamingMessage: { action: trips.follow, risk: low, args: ${ASKING} }
        GetTask: { action: trips.get, risk: low, args: { id: { required: true } } }
`;

/** Why a trip is not paid, in the words of the policy. */
export const ADVICE = 'trips are asked for, not paid';

const POLICIES = `
@id("trips")
permit (
  principal in Remit::AgentGroup::"agents",
  action in [Remit::Action::"trips.card", Remit::Action::"trips.ask", Remit::Action::"trips.follow"],
  resource in Remit::Server::"trips"
);

@id("not-paid")
@reason("${ADVICE}")
forbid (principal, action in [Remit::Action::"trips.ask", Remit::Action::"trips.follow"], resource)
when { context.args has kind && context.args.kind == "payment" };
`;

/** All agents together may ask for one kind a day: each of them asks for trips. */
const LIMITS = `limits:
  - id: kinds-a-day
    agents: ['spiffe://acme.test/ns/agents/*']
    actions: [trips.ask, trips.follow]
    per: []
    window: 1d
    distinct: { argument: kind, limit: 1 }
`;

/** How often a task may ask. */
export const ASKS = 4;

const INTENT = {
  purpose: 'plan a trip',
  access: [
    { resource: AUDIENCE, actions: ['trips.card', 'trips.get'] },
    { resource: AUDIENCE, actions: ['trips.ask', 'trips.follow'], constraints: { max_calls: ASKS } },
  ],
  expires_in: '10m',
};

/** A trust domain with an A2A agent. */
export interface TripsDomain extends AgentDomain {
  readonly server: A2aTestServer;
}

/** Starts it with this Envoy. */
export async function startTripsDomain(envoy: string): Promise<TripsDomain> {
  const server = await startA2aServer(`${AUDIENCE}/a2a`);
  const called = {
    server,
    catalog: CATALOG,
    policies: POLICIES,
    limits: LIMITS,
    intent: INTENT,
    url: AUDIENCE,
    urlEnd: '/',
    lastTask: () => server.tasks.at(-1) ?? '',
  } as const;
  return { ...(await startAgentDomain(envoy, called)), server };
}

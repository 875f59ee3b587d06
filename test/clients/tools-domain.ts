import { startMcpServer } from '../e2e/mcp-server.ts';
import type { McpTestServer } from '../e2e/mcp-server.ts';
import { type AgentDomain, startAgentDomain } from './agent-domain.ts';

const AUDIENCE = 'https://files.acme.test/mcp';

const CATALOG = `servers:
  files:
    hosts: [files.acme.test, localhost]
    audience: ${AUDIENCE}
    mcp:
      path: /mcp
      tools:
        read_file: { action: files.read, risk: low, args: { name: { required: true } } }
        delete_file: { action: files.delete, risk: low, args: { name: {} } }
        share_file: { action: files.share, risk: low, args: { name: {}, days: { type: long, required: true } } }
        lend_file: { action: files.lend, risk: low, args: { days: { type: long, required: true } } }
`;

/** Why a file is not deleted, in the words of the policy. */
export const ADVICE = 'ask a person to delete files';

const POLICIES = `
@id("files")
permit (
  principal in Remit::AgentGroup::"agents",
  action in [
    Remit::Action::"files.mcp.session",
    Remit::Action::"files.read",
    Remit::Action::"files.delete",
    Remit::Action::"files.share",
    Remit::Action::"files.lend"
  ],
  resource in Remit::Server::"files"
);

@id("files-stay")
@reason("${ADVICE}")
forbid (principal, action == Remit::Action::"files.delete", resource)
when { context.args has name && context.args.name == "trip" };
`;

/** All agents together may read one file a day: each of them reads the same one. */
const LIMITS = `limits:
  - id: files-a-day
    agents: ['spiffe://acme.test/ns/agents/*']
    actions: [files.read]
    per: []
    window: 1d
    distinct: { argument: name, limit: 1 }
`;

/** One file may be shared, and files may be lent for 30 days in all. */
const INTENT = {
  purpose: 'tidy up the files of a trip',
  access: [
    { resource: AUDIENCE, actions: ['files.read', 'files.delete'] },
    { resource: AUDIENCE, actions: ['files.share'], constraints: { max_calls: 1 } },
    { resource: AUDIENCE, actions: ['files.lend'], constraints: { max_amount: { argument: 'days', limit: 30 } } },
  ],
  expires_in: '10m',
};

/** A trust domain with an MCP server that keeps sessions. */
export interface ToolsDomain extends AgentDomain {
  readonly server: McpTestServer;
}

/** Starts it with this Envoy. @param issuer further settings of the issuer */
export async function startToolsDomain(
  envoy: string,
  issuer: Readonly<Record<string, unknown>> = {},
): Promise<ToolsDomain> {
  const server = await startMcpServer();
  const called = {
    server,
    catalog: CATALOG,
    policies: POLICIES,
    limits: LIMITS,
    intent: INTENT,
    url: AUDIENCE,
    urlEnd: '',
    lastTask: () => String(server.requests.at(-1)?.headers['x-remit-task']),
  } as const;
  return { ...(await startAgentDomain(envoy, called, issuer)), server };
}

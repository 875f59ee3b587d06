import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, it } from '@jest/globals';
import { ClientCredentialsProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { DevDomain } from '../../src/dev/domain.ts';
import { testFolder } from '../builders/test-folders.ts';
import { writePolicies } from '../e2e/written-policies.ts';
import { startDomain } from '../e2e/domain.ts';
import { startMcpServer } from '../e2e/mcp-server.ts';
import type { McpTestServer } from '../e2e/mcp-server.ts';
import { fetchOverMtls } from '../e2e/mtls-fetch.ts';
import { freePort } from '../free-port.ts';
import { clientPart, describeWith, envoyPart } from '../parts.ts';

const AGENT = 'spiffe://acme.test/ns/agents/sa/planner';
const HOST = 'files.acme.test';
/** As in the URL that clients of another port than that of HTTPS have. */
const HOST_WITH_PORT = `${HOST}:8443`;
const SCOPE = 'files.mcp.session files.read';

/** What both SDKs for TypeScript have. */
interface TypeScriptSdk {
  readonly Client: typeof Client;
  readonly ClientCredentialsProvider: typeof ClientCredentialsProvider;
  readonly StreamableHTTPClientTransport: typeof StreamableHTTPClientTransport;
}

const CATALOG = `servers:
  files:
    hosts: [${HOST}]
    audience: https://${HOST}
    mcp:
      path: /mcp
      tools:
        read_file: { action: files.read, risk: low, args: { name: { required: true } } }
        delete_file: { action: files.delete, risk: high, args: { name: {} } }
`;

const POLICIES = `
@id("read")
permit (
  principal in Remit::AgentGroup::"agents",
  action in [Remit::Action::"files.mcp.session", Remit::Action::"files.read"],
  resource in Remit::Server::"files"
);

@id("issue")
permit (principal in Remit::AgentGroup::"agents", action == Remit::Action::"issue", resource)
when { context.requested.risk == "low" };
`;

/** The sign-in of stock MCP SDKs: the 401 of Envoy leads to the issuer, and the issuer's answer to a session. */
describeWith(envoyPart(), 'the sign-in of an MCP SDK with client credentials', (envoy) => {
  const scratch = testFolder(async () => {
    await domain?.stop();
    await server?.close();
  });
  let server: McpTestServer;
  let domain: DevDomain;
  let issuer: URL;
  beforeAll(async () => {
    server = await startMcpServer();
    const policies = join(scratch.folder, 'policies');
    await writePolicies(policies, { 'actions.yaml': CATALOG, 'files.cedar': POLICIES });
    const port = await freePort();
    issuer = new URL(`https://localhost:${port}`);
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      policies,
      filesServer: server.address,
      settings: { issuer: { listen: `127.0.0.1:${port}`, url: issuer.origin } },
    });
  });

  const tasks = (): number => {
    const state = new DatabaseSync(join(scratch.folder, 'state.db'), { readOnly: true });
    try {
      return Number(state.prepare('SELECT count(*) AS tasks FROM tasks').get()?.['tasks']);
    } finally {
      state.close();
    }
  };

  /** `fetch` with the certificate of the planner, which finds the host of the tools at Envoy, as by a name server. */
  async function fetchAsPlanner() {
    const svid = await domain.authority.svid('/ns/agents/sa/planner');
    const caller = { svid, bundlePem: domain.authority.bundlePem };
    return (url: string | URL, init: RequestInit = {}): Promise<Response> => {
      const { hostname, port } = new URL(url);
      const body = init.body instanceof URLSearchParams ? init.body.toString() : init.body;
      const sent = { ...init, ...(body === undefined ? {} : { body }) };
      return fetchOverMtls(url, sent, { ...caller, port: hostname === HOST ? domain.stage.envoyPort : Number(port) });
    };
  }

  it.each(['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/mcp', '/none'])(
    'is led from %s at Envoy to the metadata of the server',
    async (path) => {
      const response = await (await fetchAsPlanner())(`https://${HOST}${path}`);
      const named = /resource_metadata="([^"]+)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1] ?? '';
      expect([response.status, named]).toEqual([401, `${issuer.origin}/.well-known/oauth-protected-resource/files`]);
      const metadata = await (await fetchAsPlanner())(named);
      expect(await metadata.json()).toMatchObject({
        resource: `https://${HOST}`,
        authorization_servers: [issuer.origin],
        scopes_supported: ['files.mcp.session', 'files.read', 'files.delete'],
      });
    },
  );

  it('is led at a port to the metadata of the server there', async () => {
    const response = await (await fetchAsPlanner())(`https://${HOST_WITH_PORT}/mcp`);
    const named = /resource_metadata="([^"]+)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1] ?? '';
    expect(named).toBe(`${issuer.origin}/.well-known/oauth-protected-resource/files:8443`);
    const metadata = await (await fetchAsPlanner())(named);
    expect(await metadata.json()).toMatchObject({ resource: `https://${HOST_WITH_PORT}` });
  });

  /** One of the two SDKs for TypeScript; their parts have the same names. */
  async function signsIn(sdk: TypeScriptSdk, host: string): Promise<void> {
    const before = tasks();
    const transport = new sdk.StreamableHTTPClientTransport(new URL(`https://${host}/mcp`), {
      authProvider: new sdk.ClientCredentialsProvider({
        clientId: AGENT,
        clientSecret: '',
        expectedIssuer: issuer.origin,
        scope: SCOPE,
      }),
      fetch: await fetchAsPlanner(),
    });
    const client = new sdk.Client({ name: 'planner', version: '1.0.0' });
    await client.connect(transport);
    const result = await client.callTool({ name: 'read_file', arguments: { name: 'trip-report' } });
    await client.close();
    expect(result).toMatchObject({ content: [{ type: 'text', text: 'read_file was run' }] });
    expect(tasks()).toBe(before + 1);
  }

  const hosts = [HOST, HOST_WITH_PORT] as const;

  it.each(hosts)('1.x for TypeScript gets a token by its scope at %s, without a secret', (host) =>
    signsIn({ Client, ClientCredentialsProvider, StreamableHTTPClientTransport }, host),
  );

  describeWith(clientPart('mcp-typescript-2'), 'of TypeScript', (folder) => {
    it.each(hosts)('2.x gets a token by its scope at %s, without a secret', async (host) => {
      const entry = join(folder, 'node_modules/@modelcontextprotocol/client/dist/index.mjs');
      // The same classes as those of 1.x, as far as they are used here.
      await signsIn((await import(pathToFileURL(entry).href)) as TypeScriptSdk, host);
    });
  });

  for (const version of ['mcp-python-1', 'mcp-python-2'] as const) {
    describeWith(clientPart(version), 'of the Python SDK', (packages) => {
      it.each(hosts)(`${version} at %s gets what policies grant, and renews it within its task`, async (host) => {
        const before = tasks();
        const { stdout } = await promisify(execFile)('python3', [join(import.meta.dirname, 'python/mcp_sign_in.py')], {
          env: {
            PATH: process.env['PATH'],
            PYTHONPATH: packages,
            AGENT,
            HOST_NAME: HOST,
            URL_HOST: host,
            ENVOY_PORT: String(domain.stage.envoyPort),
            ISSUER: issuer.origin,
            BUNDLE: join(scratch.folder, 'bundle.pem'),
            SVID_CERT: join(scratch.folder, 'planner.pem'),
            SVID_KEY: join(scratch.folder, 'planner.key'),
          },
          timeout: 120_000,
        });
        expect(JSON.parse(stdout)).toEqual({
          scope: SCOPE,
          text: 'read_file was run',
          again: 'read_file was run',
          renewed: true,
        });
        expect(tasks()).toBe(before + 1);
      });
    });
  }
});

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ListToolsRequestSchema, type Tool } from '@modelcontextprotocol/sdk/types.js';
import type { CertificateAuthority } from '../../src/dev/authority.ts';
import type { HostPort } from '../../src/tools/init/envoy-config.ts';

/** An MCP server of the official SDK, with sessions, whose list of tools the test changes. */
export interface ChangingServer {
  /** For Envoy, without TLS. */
  readonly address: HostPort;
  /** For whoever looks at its tools: the same server over mutual TLS. */
  readonly url: string;
  readonly list: (tools: readonly Tool[]) => void;
  /** How often its tools were listed over mutual TLS. */
  readonly looks: () => number;
  /** Names of the tools that ran. */
  readonly ran: readonly string[];
  readonly close: () => Promise<void>;
}

/** Starts it on two free loopback ports, at `/mcp`. */
export async function startChangingServer(authority: CertificateAuthority): Promise<ChangingServer> {
  const ran: string[] = [];
  let tools: readonly Tool[] = [];
  let looks = 0;
  const serving = (onListed: () => void): ((request: IncomingMessage, response: ServerResponse) => void) => {
    const transports = new Map<string, StreamableHTTPServerTransport>();
    const opened = async (): Promise<StreamableHTTPServerTransport> => {
      const server = new Server({ name: 'files', version: '1.0.0' }, { capabilities: { tools: {} } });
      server.setRequestHandler(ListToolsRequestSchema, () => {
        onListed();
        return { tools: [...tools] };
      });
      server.setRequestHandler(CallToolRequestSchema, ({ params }) => {
        ran.push(params.name);
        return { content: [{ type: 'text' as const, text: `${params.name} was run` }] };
      });
      const transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => void transports.set(id, transport),
        onsessionclosed: (id) => void transports.delete(id),
      });
      await server.connect(transport);
      return transport;
    };
    return (request, response) => {
      const known = transports.get(String(request.headers['mcp-session-id']));
      void (async () => (known ?? (await opened())).handleRequest(request, response))();
    };
  };
  const own = await authority.svid('/ns/tools/sa/server', { dns: ['localhost'] });
  const plain = createServer(serving(() => undefined));
  const secure = createHttpsServer(
    { key: own.keyPem, cert: own.certPem, ca: authority.bundlePem, requestCert: true, rejectUnauthorized: true },
    serving(() => void (looks += 1)),
  );
  const [port, securePort] = [await listening(plain), await listening(secure)];
  return {
    address: { host: '127.0.0.1', port },
    url: `https://localhost:${securePort}/mcp`,
    list: (next) => void (tools = next),
    looks: () => looks,
    ran,
    close: async () => {
      for (const server of [plain, secure]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

async function listening(server: NetServer): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
